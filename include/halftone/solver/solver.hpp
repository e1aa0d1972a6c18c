// What a solver is. docs/adding_a_solver.md walks through one.
#pragma once

#include <chrono>
#include <concepts>
#include <string_view>

#include "halftone/quant/quantized_matrix.hpp"
#include "halftone/quant/statistics.hpp"

namespace halftone {

/// A method with its options on one layer, as a class template over scalar and backend:
///
///   template <class Scalar, class Backend> class XSolver
///     using Options = XOptions;                              options.hpp: a struct with `fields`
///     using Prepared = ...;                                  what the matrices of a stage share
///     static constexpr std::string_view name, help, paper;   "x", one line, "arXiv 0000.00000"
///     XSolver(const Context<Backend>&, Options)              validates everything, throws at once
///     options(), grid(), moments()                           grid: of the results; moments: the sums it needs
///     prepare(statistics), quantize(W, prepared)
///
/// Optional: act_order() and group_index(), for solvers that reorder columns, and outlier_columns(cols), for those that
/// keep some, and binary_coded() (see Quantizer).
template <class T, class Scalar, class Backend>
concept SolverFor = std::constructible_from < T,
        const Context<Backend>
&, typename T::Options > &&requires(const T& solver, MatrixView<const Scalar> W, const typename T::Prepared& prepared,
                                    const InputStatistics<Scalar, Backend>& statistics) {
  { T::name } -> std::convertible_to<std::string_view>;
  { T::help } -> std::convertible_to<std::string_view>;
  { T::paper } -> std::convertible_to<std::string_view>;
  T::Options::fields(solver.options(), [](const auto&) {});
  { solver.grid() } -> std::convertible_to<const GridOptions&>;
  { solver.moments() } -> std::same_as<Moments>;
  { solver.prepare(statistics) } -> std::same_as<typename T::Prepared>;
  { solver.quantize(W, prepared) } -> std::same_as<QuantizedMatrix>;
};

/// What the registry takes: a solver in float on the CPU.
template <class T>
concept Solver = SolverFor<T, float, Cpu>;

/// Checks that every solver makes of the weights. Throws Status::ShapeMismatch unless W is [>= 1, width];
/// Status::InvalidData for NaN or infinite weights, naming row and column.
template <class S, class Backend>
void check_weights(std::string_view who, const Context<Backend>& context, MatrixView<const S> W, Index width) {
  require(W.rows > 0 && W.cols == width, Status::ShapeMismatch, who, ": W is ", W.rows, " x ", W.cols,
          ", wanted 1 or more rows of ", width, " columns as the inputs have");
  if (const auto bad = find_nonfinite(context, W))
    fail(Status::InvalidData, who, ": a weight is not finite at row ", bad->row, ", column ", bad->column);
}

/// Seconds since `start`.
inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace halftone
