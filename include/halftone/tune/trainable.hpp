// Trainable quantisers: a matrix whose rounding and grid are numbers θ that a gradient moves.
//
//   forward(W)    θ -> the weights that it decodes to, exactly what a format will decode: codes are rounded and grid
//                 parameters rounded to their stored type inside
//   backward(dW)  adds dL/dθ to the gradients, rounding passed straight through
//
// Everything else (the walk over blocks, the loss, the optimiser) knows these two alone. A quantiser starts from any
// solver's result: every latent number starts inside its code's cell, at the point nearest the weight that it stands
// for, so that the first forward gives the solver's values bit for bit. result() is codes on a grid of the same kind,
// bits, groups and stored types: what could hold the solver's result can hold it.
//
// SignRound is that of arXiv 2309.05516 as arXiv 2411.03934 uses it; the learned step that of LSQ, arXiv 1902.08153.
//
// Memory, of each weight: 4 bytes of latent number and 4 of its gradient (none for `scales`), one byte of code, and 4
// for W with `signround`; all of it the backend's. Work of forward and backward: a few operations a weight. Parallel
// over rows, nothing is summed across them: the same bytes for any number of threads.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "halftone/backend/cpu.hpp"
#include "halftone/core/options.hpp"
#include "halftone/quant/quantized_matrix.hpp"

namespace halftone {

/// What is trained.
enum class TrainableKind : std::int32_t {
  SignRound = 0,  ///< an offset V of each weight before rounding, and factors α, β of the range of each group
  Latent = 1,     ///< latent codes, rounded straight through, and the logarithm of each scale (or α and β)
  Lsq = 2,        ///< latent weights, rounded straight through, log scales and zeros: a learned step
  Scales = 3,     ///< the grid alone, codes fixed: log scales (or α and β)
};
template <>
struct EnumWords<TrainableKind> {
  static constexpr std::string_view values[] = {"signround", "latent", "lsq", "scales"};
};

struct TrainableOptions {
  TrainableKind kind = TrainableKind::Latent;
  double scale_rate =
      0.1;  ///< learning rate of grid parameters beside that of latent numbers; SignRound: 1, as its own
  /// Latent numbers start at least so far, in steps of the grid, from the edges of their cells: at 0 as near the weight
  /// as their codes allow, at 1/2 in the middle. More than 0 where codes of a strong solver would be lost at once: most
  /// that are not what plain rounding gives start at an edge. SignRound and Lsq leave those that are where they are.
  double margin = 0;
  bool outliers = true;  ///< train the values of outlier columns too (weak-column tuning of OWQ, arXiv 2306.02272)
  int minimum_zero = 0;  ///< smallest zero point, as in GridOptions
};

/// Trained numbers of one kind, and dL/d of them, in the memory of the backend.
struct ParameterGroup {
  std::string_view name;       ///< "codes", "log_scales"; lives as long as the program
  std::span<float> values;     ///< valid as long as the trainable
  std::span<float> gradients;  ///< as many
  double rate = 1;             ///< learning rate relative to the optimiser's
};

/// One matrix being trained: its numbers, W and dW are in the memory of the backend of its context. Thread-compatible:
/// one thread at a time, which uses those of the context.
class Trainable {
 public:
  virtual ~Trainable() = default;
  virtual Index rows() const = 0;
  virtual Index cols() const = 0;
  /// Everything that an optimiser may move, in a fixed order. Gradients start at 0.
  virtual std::vector<ParameterGroup> parameters() = 0;
  /// W [out, in]: what θ decodes to. θ that left its bounds is first moved back onto them. Throws
  /// Status::ShapeMismatch.
  virtual void forward(MatrixView<float> W) = 0;
  /// Adds to the gradients what dW = dL/dW [out, in] at the last forward means for θ. Throws Status::ShapeMismatch.
  virtual void backward(MatrixView<const float> dW) = 0;
  /// The matrix that θ stands for, on the host: dequantize() of it is what forward gives. Its report is that of the
  /// start.
  virtual QuantizedMatrix result() = 0;
};

/// `target` [out, in], in the backend's memory: the weights that the codes stand for; `start`: a solver's result for
/// them, on the host. Compiled into the library for Cpu and, where it is built, Cuda. Nothing of either is kept by
/// reference; the context must outlive the trainable. Throws Status::ShapeMismatch; Status::InvalidData for a
/// target that is not finite, or codes, zeros and groups that the start's grid does not have;
/// Status::InvalidArgument for a margin out of bounds; Status::Unsupported for
/// SignRound and Lsq on a binary-coded grid, whose α and β Latent and Scales train.
template <class Backend>
std::unique_ptr<Trainable> make_trainable(const Context<Backend>& context, MatrixView<const float> target,
                                          const QuantizedMatrix& start, const TrainableOptions& options = {});

}  // namespace halftone
