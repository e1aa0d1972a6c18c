// Optimisers and looks, which each backend compiles once. A backend runs a step of its parameters' numbers through
// each_parameter(context, count, step).
#pragma once

#include <cmath>    // pow, sqrt
#include <utility>  // as_const, move

#include "halftone/backend/arrange.hpp"
#include "halftone/tune/optimiser.hpp"
#include "tune/optimiser_steps.hpp"

namespace halftone {
namespace tune {

/// Throws Status::InvalidArgument for options out of bounds.
void check_optimiser(const OptimiserOptions& options);
/// Throws Status::ShapeMismatch for fewer gradients than values.
void check_group(const ParameterGroup& group);

/// A group's values as a matrix of one row.
inline MatrixView<float> row_of(const ParameterGroup& group) {
  return {group.values.data(), 1, static_cast<Index>(group.values.size())};
}

}  // namespace tune

template <class Backend>
Optimiser<Backend>::Optimiser(const Context<Backend>& context, std::vector<ParameterGroup> groups,
                              const OptimiserOptions& options)
    : context_(&context), groups_(std::move(groups)), options_(options) {
  tune::check_optimiser(options);
  const auto zeros = [&](Index count) {
    Matrix row = context.template allocate<float>(1, count);
    set_zero(context, row.view());
    return row;
  };
  for (const ParameterGroup& group : groups_) {
    tune::check_group(group);
    if (options.kind != OptimiserKind::AdamW) continue;
    const auto count = static_cast<Index>(group.values.size());
    mean_.push_back(zeros(options.beta1 > 0 ? count : 0));
    square_.push_back(zeros(count));
  }
}

template <class Backend>
void Optimiser<Backend>::step() {
  const double rate = learning_rate(options_, done_++);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const auto own = static_cast<float>(rate * groups_[g].rate);
    if (options_.kind == OptimiserKind::SignSgd)
      sign_step(groups_[g], own);
    else if (options_.beta1 > 0)
      adam_step<true>(g, own);
    else
      adam_step<false>(g, own);
  }
}

template <class Backend>
void Optimiser<Backend>::sign_step(const ParameterGroup& group, float rate) {
  each_parameter(*context_, static_cast<Index>(group.values.size()),
                 tune::SignStep{.values = group.values.data(),
                                .gradients = group.gradients.data(),
                                .rate = rate,
                                .kept = 1 - rate * static_cast<float>(options_.weight_decay)});
}

template <class Backend>
template <bool momentum>
void Optimiser<Backend>::adam_step(std::size_t group, float rate) {
  const ParameterGroup& own = groups_[group];
  each_parameter(
      *context_, static_cast<Index>(own.values.size()),
      tune::AdamStep<momentum>{.values = own.values.data(),
                               .gradients = own.gradients.data(),
                               .mean = mean_[group].data(),
                               .square = square_[group].data(),
                               .rate = rate,
                               .kept = 1 - rate * static_cast<float>(options_.weight_decay),
                               .beta1 = static_cast<float>(options_.beta1),
                               .rest1 = static_cast<float>(1 - options_.beta1),
                               .unbias1 = static_cast<float>(1 / (1 - std::pow(options_.beta1, done_))),
                               .beta2 = static_cast<float>(options_.beta2),
                               .rest2 = static_cast<float>(1 - options_.beta2),
                               .unbias2 = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, done_))),
                               .epsilon = static_cast<float>(options_.epsilon)});
}

template <class Backend>
bool BestLook<Backend>::offer(double loss, std::span<const ParameterGroup> groups) {
  const int look = looks_++;
  if (!(loss < loss_)) return false;
  values_.resize(groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const MatrixView<float> now = tune::row_of(groups[g]);
    if (values_[g].cols() != now.cols) values_[g] = context_->template allocate<float>(1, now.cols);
    context_->template transfer<float>(now, values_[g].view(), Transfer::Within);
  }
  loss_ = loss;
  look_ = look;
  return true;
}

template <class Backend>
void BestLook<Backend>::restore_to(std::span<const ParameterGroup> groups) const {
  if (look_ < 0) return;
  require(groups.size() == values_.size(), Status::ShapeMismatch, "best look: of ", values_.size(),
          " groups of parameters, got ", groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const MatrixView<float> now = tune::row_of(groups[g]);
    require(values_[g].cols() == now.cols, Status::ShapeMismatch, "best look: ", groups[g].name, " had ",
            values_[g].cols(), " values, got ", now.cols);
    context_->template transfer<float>(values_[g].view(), now, Transfer::Within);
  }
}

}  // namespace halftone
