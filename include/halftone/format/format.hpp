// Checkpoint formats: how a quantised matrix becomes tensors, and what says so in config.json.
// To add one: a class here, its source, a round-trip test, a line in `formats()`. See docs/formats.md.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/format/json.hpp"
#include "halftone/format/tensor_source.hpp"
#include "halftone/quant/quantized_matrix.hpp"

namespace halftone {

/// What is known of a matrix before it is solved: enough to say which tensors its format will store.
struct MatrixPlan {
  std::string module;         ///< "model.layers.0.self_attn.q_proj"; its tensors are <module>.<suffix>
  Index rows = 0, cols = 0;   ///< [out, in]
  GridOptions grid;           ///< after Format::adapt
  bool act_order = false;     ///< columns solved by descending diag(H)
  bool group_index = false;   ///< groups do not follow the columns: a group index must be stored
  Index outlier_columns = 0;  ///< columns that stay in 16 bit, beside the codes
  bool binary_coded =
      false;           ///< codes are signs of planes (quant/binary_grid.hpp); of `grid` bits, groups and type count
  std::string method;  ///< "gptq", for the config's informative fields
  DType dtype = DType::BF16;  ///< of the original weight
};

/// A matrix as the headers and the config of a checkpoint describe it; nothing of it is read.
struct StoredMatrix {
  std::string module;
  Index rows = 0, cols = 0;   ///< [out, in]
  int bits = 0;               ///< of a code; of an element where it is dense
  Index group_size = 0;       ///< columns of a full group; 0 where it is dense
  bool symmetric = false;     ///< no zero points, or all of them in the middle
  bool group_index = false;   ///< groups do not follow the columns
  Index outlier_columns = 0;  ///< columns that stay in 16 bit, beside the codes
  bool binary_coded = false;  ///< codes are signs of planes
  DType dtype = DType::F16;   ///< of the scales; of the elements where it is dense
  std::int64_t bytes = 0;     ///< of all tensors that hold it

  bool quantized() const { return group_size > 0; }
};

/// Receives one finished tensor: the name of a TensorInfo that `tensors` announced, and exactly its bytes.
using TensorSink = std::function<void(std::string_view name, std::span<const std::byte> bytes)>;

class Format {
 public:
  virtual ~Format() = default;
  virtual std::string_view name() const = 0;  ///< word of the command: "gptq_v2"
  virtual std::string_view help() const = 0;  ///< one line: who loads it
  /// False if it stores plain values: what codes would take is then of more interest than what it stores.
  virtual bool stores_codes() const { return true; }

  /// Adjusts what the format fixes (type of the scales, smallest zero). `explicit_scale_type`: the user chose it.
  virtual void adapt(GridOptions& grid, DType model_dtype, bool explicit_scale_type) const = 0;
  /// Throws Status::Unsupported, naming module, got and wanted, if the format cannot express the matrix.
  virtual void check(const MatrixPlan& plan) const = 0;
  /// Tensors that hold the matrix, in the order in which encode sends them.
  virtual std::vector<TensorInfo> tensors(const MatrixPlan& plan) const = 0;
  /// Sends every tensor of tensors(plan) to the sink.
  virtual void encode(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSink& sink) const = 0;
  /// What a reader will decode from what encode stores: the values with which a walk over a model goes on. [out, in]
  /// dequantize() unless a format stores something else (`dense` rounds it to the original type).
  virtual Matrix<float> stored_values(const MatrixPlan& plan, const QuantizedMatrix& matrix) const;
  /// Reads the matrix back through decode and compares it with the solver's. Throws Status::Internal, naming the module
  /// and the first difference.
  virtual void verify(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSource& source,
                      const Json& config) const;
  /// Adds to the model's config.json what a loader needs. `plans`: every quantised matrix; `kept`: modules of linear
  /// layers that stay as they were ("lm_head").
  virtual void describe(Json& config, std::span<const MatrixPlan> plans, std::span<const std::string> kept) const = 0;
  /// Further small files of the directory, name and text (quantize_config.json).
  virtual std::vector<std::pair<std::string, std::string>> side_files(const Json& config) const;

  /// What is stored of a module, from headers and config alone. Nothing if `module` is not stored in this format's way.
  /// Throws Status::InvalidData for tensors that do not fit each other.
  virtual std::optional<StoredMatrix> stored(const TensorSource& source, const Json& config,
                                             std::string_view module) const = 0;
  /// Reads a matrix back. Null if `module` is not stored in this format's way. Throws Status::InvalidData.
  virtual std::unique_ptr<QuantizedMatrix> decode(const TensorSource& source, const Json& config,
                                                  std::string_view module) const = 0;
};

/// Every format, in the order in which --help lists them.
std::span<const Format* const> formats();
/// By name; throws Status::NotFound with the list of names.
const Format& find_format(std::string_view name);
/// The format that a config.json's `quantization_config` names; null for a checkpoint that is not quantised.
/// Throws Status::Unsupported for one that no reader here knows.
const Format* detect_format(const Json& config);

}  // namespace halftone
