// Optimisers over groups of parameters: sign-SGD and AdamW, with a learning rate that decays over a known number of
// steps; and the best of several looks. Elementwise: the same bytes for any number of threads.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "halftone/tune/trainable.hpp"

namespace halftone {

enum class OptimiserKind : std::int32_t {
  SignSgd = 0,  ///< p −= η sign(g); no step where g is exactly 0
  AdamW = 1,    ///< arXiv 1711.05101
};
template <>
struct EnumWords<OptimiserKind> {
  static constexpr std::string_view values[] = {"signsgd", "adamw"};
};

/// Learning rate at step t of n, over that at step 0; f is what it decays to.
enum class Decay : std::int32_t {
  Constant = 0,  ///< 1
  Linear = 1,    ///< f + (1 − f)(1 − t/n)
  Cosine = 2,    ///< f + (1 − f)(1 + cos(π t/n))/2
};
template <>
struct EnumWords<Decay> {
  static constexpr std::string_view values[] = {"constant", "linear", "cosine"};
};

struct OptimiserOptions {
  OptimiserKind kind = OptimiserKind::AdamW;
  double rate = 0.005;  ///< η at step 0, of a group of rate 1
  Decay decay = Decay::Cosine;
  double decay_to = 0;  ///< f
  int steps = 200;      ///< n
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-12;   ///< beside sqrt(v): far below gradients of a mean over many elements
  double weight_decay = 0;  ///< of p, decoupled; 0: latent numbers are no weights that should shrink
};

/// η of step t (from 0). Beyond the last step that of the last.
double learning_rate(const OptimiserOptions& options, int step);

/// Moves parameters against their gradients. Memory, the backend's: with AdamW a float a parameter, and another with
/// momentum; else none.
template <class Backend = Cpu>
class Optimiser {
 public:
  /// Takes the groups' spans, which must stay valid, as must the context. Throws Status::InvalidArgument for options
  /// out of bounds; Status::ShapeMismatch for a group of fewer gradients than values.
  Optimiser(const Context<Backend>& context, std::vector<ParameterGroup> groups, const OptimiserOptions& options);

  /// One step with the gradients, which then are 0. A gradient that is not finite counts as 0.
  void step();
  int steps_done() const { return done_; }
  const std::vector<ParameterGroup>& groups() const { return groups_; }

 private:
  using Matrix = typename Backend::template Matrix<float>;
  void sign_step(const ParameterGroup& group, float rate);
  template <bool momentum>
  void adam_step(std::size_t group, float rate);

  const Context<Backend>* context_;
  std::vector<ParameterGroup> groups_;
  OptimiserOptions options_;
  std::vector<Matrix> mean_, square_;  // of each group
  int done_ = 0;
};

/// Keeps the parameters of the look with the smallest loss; of equal ones the first. A look at a held-out slice, not a
/// mini-batch: the best mini-batch is no improvement on the last step. Memory, the backend's: a float a parameter.
template <class Backend = Cpu>
class BestLook {
 public:
  /// The context must outlive it.
  explicit BestLook(const Context<Backend>& context) : context_(&context) {}

  /// True if the look is the best so far, and kept. NaN never is.
  bool offer(double loss, std::span<const ParameterGroup> groups);
  /// Infinite before the first.
  double loss() const { return loss_; }
  /// Number of the look, from 0; −1: none was kept.
  int look() const { return look_; }
  /// Puts the best parameters back; nothing happens if there are none. Throws Status::ShapeMismatch unless the groups
  /// are as those that were offered.
  void restore_to(std::span<const ParameterGroup> groups) const;

 private:
  const Context<Backend>* context_;
  double loss_ = std::numeric_limits<double>::infinity();
  int look_ = -1, looks_ = 0;
  std::vector<typename Backend::template Matrix<float>> values_;  // [1, values] of each group
};

}  // namespace halftone
