#include "halftone/tune/optimiser.hpp"

#include <algorithm>  // copy, min
#include <cmath>      // cos, pow, sqrt
#include <numbers>    // pi

namespace halftone {

namespace {

constexpr const char* who = "optimiser";
constexpr Index elements_per_piece = 1 << 14;

void require_between(const char* what, double got, double least, double most) {
  require(got >= least && got <= most, Status::InvalidArgument, who, ": ", what, " is ", got, ", wanted ", least,
          " .. ", most);
}

float finite_or_0(float gradient) { return gradient - gradient == 0 ? gradient : 0.0f; }

Index total_size(std::span<const ParameterGroup> groups) {
  std::size_t size = 0;
  for (const ParameterGroup& group : groups) size += group.values.size();
  return static_cast<Index>(size);
}

}  // namespace

double learning_rate(const OptimiserOptions& options, int step) {
  const double done = std::min(step, options.steps - 1) / static_cast<double>(options.steps);
  double left = 1;
  if (options.decay == Decay::Linear) left = 1 - done;
  if (options.decay == Decay::Cosine) left = 0.5 * (1 + std::cos(std::numbers::pi * done));
  return options.rate * (options.decay_to + (1 - options.decay_to) * left);
}

Optimiser::Optimiser(const Context<Cpu>& context, std::vector<ParameterGroup> groups, const OptimiserOptions& options)
    : context_(&context), groups_(std::move(groups)), options_(options) {
  require_between("rate", options.rate, 0, 1e6);
  require_between("decay_to", options.decay_to, 0, 1);
  require_between("steps", options.steps, 1, 1e9);
  require_between("beta1", options.beta1, 0, 0.999999);
  require_between("beta2", options.beta2, 0, 0.999999);
  require_between("epsilon", options.epsilon, 1e-30, 1);
  require_between("weight_decay", options.weight_decay, 0, 1e6);
  for (const ParameterGroup& group : groups_) {
    require(group.values.size() == group.gradients.size(), Status::ShapeMismatch, who, ": ", group.name, " has ",
            group.values.size(), " values and ", group.gradients.size(), " gradients");
    if (options.kind != OptimiserKind::AdamW) continue;
    mean_.emplace_back(group.values.size(), 0.0f);
    square_.emplace_back(group.values.size(), 0.0f);
  }
}

void Optimiser::step() {
  const double rate = learning_rate(options_, done_++);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const auto own = static_cast<float>(rate * groups_[g].rate);
    if (options_.kind == OptimiserKind::SignSgd)
      sign_step(groups_[g], own);
    else
      adam_step(g, own);
  }
}

void Optimiser::sign_step(const ParameterGroup& group, float rate) {
  float *values = group.values.data(), *gradients = group.gradients.data();
  const float kept = 1 - rate * static_cast<float>(options_.weight_decay);
  parallel_pieces(context_->threads(), static_cast<Index>(group.values.size()), elements_per_piece,
                  [&](Index first, Index last) {
                    for (Index i = first; i < last; ++i) {
                      const float g = finite_or_0(gradients[i]);
                      values[i] = kept * values[i] - (g > 0 ? rate : g < 0 ? -rate : 0.0f);
                      gradients[i] = 0;
                    }
                  });
}

/// m = β1 m + (1 − β1) g,  v = β2 v + (1 − β2) g²,  p −= η ((m / (1 − β1^t)) / (sqrt(v / (1 − β2^t)) + ε) + λ p)
void Optimiser::adam_step(std::size_t group, float rate) {
  float *values = groups_[group].values.data(), *gradients = groups_[group].gradients.data();
  float *mean = mean_[group].data(), *square = square_[group].data();
  const auto beta1 = static_cast<float>(options_.beta1), beta2 = static_cast<float>(options_.beta2);
  const auto rest1 = static_cast<float>(1 - options_.beta1), rest2 = static_cast<float>(1 - options_.beta2);
  const auto unbias1 = static_cast<float>(1 / (1 - std::pow(options_.beta1, done_)));
  const auto unbias2 = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, done_)));
  const auto epsilon = static_cast<float>(options_.epsilon);
  const float kept = 1 - rate * static_cast<float>(options_.weight_decay);
  parallel_pieces(context_->threads(), static_cast<Index>(groups_[group].values.size()), elements_per_piece,
                  [&](Index first, Index last) {
                    for (Index i = first; i < last; ++i) {
                      const float g = finite_or_0(gradients[i]);
                      mean[i] = beta1 * mean[i] + rest1 * g;
                      square[i] = beta2 * square[i] + rest2 * g * g;
                      values[i] =
                          kept * values[i] - rate * (mean[i] * unbias1) / (std::sqrt(square[i]) * unbias2 + epsilon);
                      gradients[i] = 0;
                    }
                  });
}

std::vector<float> snapshot(std::span<const ParameterGroup> groups) {
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(total_size(groups)));
  for (const ParameterGroup& group : groups) values.insert(values.end(), group.values.begin(), group.values.end());
  return values;
}

void restore(std::span<const ParameterGroup> groups, std::span<const float> values) {
  require(static_cast<Index>(values.size()) == total_size(groups), Status::ShapeMismatch, who, ": a snapshot of ",
          values.size(), " numbers, wanted ", total_size(groups));
  for (const ParameterGroup& group : groups) {
    std::copy(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(group.values.size()), group.values.begin());
    values = values.subspan(group.values.size());
  }
}

bool BestLook::offer(double loss, std::span<const ParameterGroup> groups) {
  const int look = looks_++;
  if (!(loss < loss_)) return false;
  values_ = snapshot(groups);
  loss_ = loss;
  look_ = look;
  return true;
}

void BestLook::restore_to(std::span<const ParameterGroup> groups) const {
  if (look_ >= 0) restore(groups, values_);
}

}  // namespace halftone
