// Learning rates, what options may be, and optimisers on the CPU.
#include "halftone/tune/optimiser.hpp"

#include <algorithm>  // min
#include <cmath>      // cos
#include <numbers>    // pi

#include "tune/optimiser.impl.hpp"

namespace halftone {
namespace tune {
namespace {

constexpr const char* who = "optimiser";

void require_between(const char* what, double got, double least, double most) {
  require(got >= least && got <= most, Status::InvalidArgument, who, ": ", what, " is ", got, ", wanted ", least,
          " .. ", most);
}

}  // namespace

void check_optimiser(const OptimiserOptions& options) {
  require_between("rate", options.rate, 0, 1e6);
  require_between("decay_to", options.decay_to, 0, 1);
  require_between("steps", options.steps, 1, 1e9);
  require_between("beta1", options.beta1, 0, 0.999999);
  require_between("beta2", options.beta2, 0, 0.999999);
  require_between("epsilon", options.epsilon, 1e-30, 1);
  require_between("weight_decay", options.weight_decay, 0, 1e6);
}

void check_group(const ParameterGroup& group) {
  require(group.values.size() == group.gradients.size(), Status::ShapeMismatch, who, ": ", group.name, " has ",
          group.values.size(), " values and ", group.gradients.size(), " gradients");
}

/// step(i) for every i in [0, count), in parallel.
template <class Step>
void each_parameter(const Context<Cpu>& context, Index count, const Step& step) {
  constexpr Index grain = 1 << 14;
  parallel_pieces(context.threads(), count, grain, [&](Index first, Index last) {
    const Step own = step;  // whose numbers no store can change
    for (Index i = first; i < last; ++i) own(i);
  });
}

}  // namespace tune

double learning_rate(const OptimiserOptions& options, int step) {
  const double done = std::min(step, options.steps - 1) / static_cast<double>(options.steps);
  double left = 1;
  if (options.decay == Decay::Linear) left = 1 - done;
  if (options.decay == Decay::Cosine) left = 0.5 * (1 + std::cos(std::numbers::pi * done));
  return options.rate * (options.decay_to + (1 - options.decay_to) * left);
}

template class Optimiser<Cpu>;
template class BestLook<Cpu>;

}  // namespace halftone
