// Matrices of the host in a backend's memory; on the CPU they are moved.
#pragma once

#include <utility>  // move

#include "halftone/model/executor.hpp"

namespace halftone::detail {

template <class T>
Matrix<T> moved_to(const Context<Cpu>&, Matrix<T> matrix) {
  return matrix;
}
template <class T, class Backend>
typename Backend::template Matrix<T> moved_to(const Context<Backend>& context, Matrix<T> matrix) {
  return context.upload(std::as_const(matrix).view());
}

inline BlockWeights<float> moved_to(const Context<Cpu>&, BlockWeights<float> weights) { return weights; }
/// Each matrix of the host is freed as soon as it is there.
template <class Backend>
BlockWeights<float, Backend> moved_to(const Context<Backend>& context, BlockWeights<float> weights) {
  BlockWeights<float, Backend> there;
  const auto each = [&](auto& from, auto& to) {
    for (auto& matrix : from) to.push_back(moved_to(context, std::move(matrix)));
  };
  each(weights.linears, there.linears);
  each(weights.biases, there.biases);
  each(weights.parameters, there.parameters);
  each(weights.halves, there.halves);
  return there;
}

}  // namespace halftone::detail
