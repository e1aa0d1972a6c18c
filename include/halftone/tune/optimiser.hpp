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

/// Moves parameters against their gradients. Memory: with AdamW two floats a parameter, else none.
class Optimiser {
 public:
  /// Takes the groups' spans, which must stay valid, as must the context. Throws Status::InvalidArgument for options
  /// out of bounds; Status::ShapeMismatch for a group of fewer gradients than values.
  Optimiser(const Context<Cpu>& context, std::vector<ParameterGroup> groups, const OptimiserOptions& options);

  /// One step with the gradients, which then are 0. A gradient that is not finite counts as 0.
  void step();
  int steps_done() const { return done_; }
  const std::vector<ParameterGroup>& groups() const { return groups_; }

 private:
  void sign_step(const ParameterGroup& group, float rate);
  void adam_step(std::size_t group, float rate);

  const Context<Cpu>* context_;
  std::vector<ParameterGroup> groups_;
  OptimiserOptions options_;
  std::vector<std::vector<float>> mean_, square_;  // of each group
  int done_ = 0;
};

/// The values of every group, one after the other.
std::vector<float> snapshot(std::span<const ParameterGroup> groups);
/// Puts them back. Throws Status::ShapeMismatch unless they are as many.
void restore(std::span<const ParameterGroup> groups, std::span<const float> values);

/// Keeps the parameters of the look with the smallest loss; of equal ones the first. A look at a held-out slice, not a
/// mini-batch: the best mini-batch is no improvement on the last step.
class BestLook {
 public:
  /// True if the look is the best so far, and kept. NaN never is.
  bool offer(double loss, std::span<const ParameterGroup> groups);
  /// Infinite before the first.
  double loss() const { return loss_; }
  /// Number of the look, from 0; −1: none was kept.
  int look() const { return look_; }
  /// Puts the best parameters back; nothing happens if there are none.
  void restore_to(std::span<const ParameterGroup> groups) const;

 private:
  double loss_ = std::numeric_limits<double>::infinity();
  int look_ = -1, looks_ = 0;
  std::vector<float> values_;
};

}  // namespace halftone
