// A layer to solve, and small helpers.
#pragma once

#include <string>
#include <string_view>

#include "error_text.hpp"
#include "halftone/solver/gptq.hpp"
#include "halftone/solver/rtn.hpp"
#include "random_matrix.hpp"

namespace halftone::test {

/// W [rows, width], X [tokens, width] and the statistics of X, in S on the CPU.
template <class S>
struct Layer {
  Context<Cpu> context;
  Matrix<S> W, X;
  InputStatistics<S> statistics;

  Layer(Index rows, Index width, Index tokens, std::uint64_t seed, int threads = 1)
      : Layer(random_matrix<S>(rows, width, seed, 0.1), random_inputs<S>(tokens, width, seed + 100), threads) {}
  Layer(Matrix<S> weights, Matrix<S> inputs, int threads = 1)
      : context(threads), W(std::move(weights)), X(std::move(inputs)), statistics(context, W.cols(), Moments::Second) {
    statistics.add(X);
  }
  Layer(const Layer&) = delete;  // the statistics hold a pointer to the context

  const Matrix<S>& H() const { return statistics.second_moments(); }
  QuantizedMatrix gptq(const DiffusionOptions& options) const { return gptq(options, W, statistics); }
  QuantizedMatrix gptq(const DiffusionOptions& options, const Matrix<S>& weights,
                       const InputStatistics<S>& moments) const {
    const DiffusionSolver<S, Cpu> solver(context, "gptq", options);
    return solver.quantize(weights, solver.prepare(moments));
  }
  QuantizedMatrix rtn(const GridOptions& grid) const {
    const RtnSolver<S, Cpu> solver(context, RtnOptions{grid});
    return solver.quantize(W, solver.prepare(statistics));
  }
};

/// GPTQ options in one line.
inline GptqOptions gptq_options(int bits, std::int64_t group_size = -1, bool act_order = false,
                                GroupMode groups = GroupMode::Static, std::int64_t block_size = 128) {
  GptqOptions options;
  options.grid.bits = bits;
  options.grid.group_size = group_size;
  options.act_order = act_order;
  options.groups = groups;
  options.block_size = block_size;
  return options;
}

template <class To, class From>
Matrix<To> converted(const Matrix<From>& from) {
  Matrix<To> to(from.rows(), from.cols());
  for (Index i = 0; i < from.rows(); ++i)
    for (Index j = 0; j < from.cols(); ++j) to(i, j) = static_cast<To>(from(i, j));
  return to;
}

/// Share of elements that differ.
inline double share_of_differences(const Matrix<std::uint8_t>& a, const Matrix<std::uint8_t>& b) {
  Index differences = 0;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index j = 0; j < a.cols(); ++j) differences += a(i, j) != b(i, j) ? 1 : 0;
  return static_cast<double>(differences) / static_cast<double>(a.size());
}

/// tr((Q−W) H (Q−W)ᵀ) / tr(W H Wᵀ) in double, element by element.
template <class A, class B, class C>
double naive_relative_error(const Matrix<A>& Q, const Matrix<B>& W, const Matrix<C>& H) {
  double error = 0, reference = 0;
  for (Index r = 0; r < W.rows(); ++r)
    for (Index i = 0; i < W.cols(); ++i)
      for (Index j = 0; j < W.cols(); ++j) {
        const auto h = static_cast<double>(H(i, j));
        const auto difference = [&](Index c) { return static_cast<double>(Q(r, c)) - static_cast<double>(W(r, c)); };
        error += difference(i) * h * difference(j);
        reference += static_cast<double>(W(r, i)) * h * static_cast<double>(W(r, j));
      }
  return error / reference;
}

/// True if some note holds the text.
inline bool noted(const SolveReport& report, std::string_view text) {
  for (const std::string& note : report.notes)
    if (note.find(text) != std::string::npos) return true;
  return false;
}

}  // namespace halftone::test
