// Everything about a run that headers alone can say: which matrix gets which method, what will be written, what it
// costs. The walk executes a plan; --dry-run prints one.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "halftone/format/format.hpp"
#include "halftone/model/model.hpp"
#include "halftone/pipeline/recipe.hpp"

namespace halftone {

template <>
struct EnumWords<ProductType> {
  static constexpr std::string_view values[] = {"float", "bf16"};  // as of Compute
};

/// Codes, scales and zeros (or alphas and biases), group index, outlier columns, packed without a gap: stored_bits of
/// the result.
Index packed_bits(const MatrixPlan& plan);

/// One matrix that will be quantised.
struct PlannedMatrix {
  MatrixPlan matrix;
  std::string method;
  OptionMap options;  ///< all of them, after Format::adapt: what make_quantizer gets
  Moments moments = Moments::None;
  int linear = 0;          ///< index into the block program's linears
  Index code_bits = 0;     ///< packed_bits(matrix)
  Index stored_bytes = 0;  ///< of all tensors that the format stores for it

  double code_bits_per_weight() const {
    return static_cast<double>(code_bits) / static_cast<double>(matrix.rows * matrix.cols);
  }
};

/// The quantised matrices of one stage of a block.
struct PlannedStage {
  int stage = 0;                    ///< index into the block program's stages
  Moments moments = Moments::None;  ///< the most that any of its matrices needs
  bool spill_sums = false;          ///< its sums are in host memory while its matrices are solved on a device
  std::vector<PlannedMatrix> matrices;
};

/// Bytes, by what holds them at the run's peak.
struct MemoryEstimate {
  Index process = 0;     ///< program, libraries and what the caller holds
  Index streams = 0;     ///< hidden states of all calibration windows
  Index weights = 0;     ///< one block: once, or twice with two streams; and the next, which is read ahead
  Index statistics = 0;  ///< H, D and the factor of a stage
  Index solver = 0;      ///< working copies of one matrix
  Index files = 0;       ///< mapped pages, results that wait to be written, encoded tensors
  Index tuning = 0;      ///< what is trained, its gradients, and the values of a batch in a window of blocks

  /// Freed matrices that are kept for the next (core/memory.hpp), at most.
  Index kept() const {
    return (streams + weights + statistics + solver + tuning) / static_cast<Index>(detail::kept_share);
  }
  Index peak() const { return process + streams + weights + statistics + solver + files + tuning + kept(); }
};

/// A run on another processor than the CPU.
struct DevicePlan {
  std::string name;        ///< empty: the CPU alone
  Index memory_limit = 0;  ///< bytes of its memory that the run takes at most
  Index fixed_bytes = 0;   ///< for weights, statistics, solver and one chunk of tokens
  Index sums_bytes = 0;    ///< of the sums of a stage that are spilled to the host while it is solved; 0: none are
  Index token_bytes = 0;   ///< for the hidden states of a token, of all streams
  Index resident = 0;  ///< tokens whose hidden states stay on the device; those of the others are spilled to the host
};

struct RunPlan {
  std::string format;              ///< a name of formats()
  std::vector<std::string> notes;  ///< format chosen and why, rules that match nothing
  std::vector<std::vector<PlannedStage>> blocks;
  std::vector<std::string> kept;              ///< linear modules that stay as they are
  std::vector<TensorInfo> tensors;            ///< of the output, in the order of the files
  std::vector<std::string> copied;            ///< those of them that are copied from the checkpoint
  Moments moments = Moments::None;            ///< the most that any stage needs
  ProductType products = ProductType::Float;  ///< what the streams' linears and the statistics multiply
  TuneOptions tune;                           ///< steps > 0: blocks are tuned after they are solved
  Index windows = 0, length = 0;              ///< of the calibration data
  Index weights = 0;                          ///< elements of all quantised matrices
  Index parameters = 0;                       ///< elements of all tensors of the checkpoint
  double bits_per_weight = 0, code_bits_per_weight = 0, model_bits_per_weight = 0;  ///< as in RunReport
  Index checkpoint_bytes = 0;                                                       ///< of the checkpoint's tensors
  Index output_bytes = 0;                                                           ///< of the weights' files
  MemoryEstimate memory;                                                            ///< of the host
  DevicePlan device;
  double flops = 0;

  Index matrices() const;
  Index tokens() const { return windows * length; }
  /// Full-precision and quantised stream, the quantised alone, or none.
  int streams() const { return moments >= Moments::Cross || tune.steps > 0 ? 2 : moments == Moments::Second ? 1 : 0; }
};

/// Plans a run over calibration data of the given size; 0 and 0: there is none. Throws Status::Unsupported if the
/// checkpoint is already quantised or the format cannot express a matrix; Status::InvalidArgument for bad options,
/// rules, or calibration data that is missing; Status::NotFound for unknown methods and formats. `half_units`: what
/// computes has units for 16-bit products; left open: as the context's processor.
RunPlan make_plan(const Context<Cpu>& context, const Model& model, const Recipe& recipe, Index windows, Index length,
                  std::optional<bool> half_units = {});

/// Windows and length that a recipe's calibration data will have: the header's where it is a file of token ids; 0 and 0
/// where there is none.
std::pair<Index, Index> calibration_shape(const Calibration& calibration);

/// Seconds that the plan may take here: its flops at the rate of a small matrix product, which this measures (some 50
/// ms).
double estimated_seconds(const Context<Cpu>& context, const RunPlan& plan);

/// The plan for people and for programs. `seconds`: from estimated_seconds; not said of a run on a device.
std::string plan_table(const RunPlan& plan, double seconds);
nlohmann::json plan_json(const RunPlan& plan, double seconds);

}  // namespace halftone
