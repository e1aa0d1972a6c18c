// Input statistics of a stage: what calibration leaves behind for a solver.
#pragma once

#include "halftone/backend/cpu.hpp"
#include "halftone/core/matrix.hpp"

namespace halftone {

/// Which sums are kept.
enum class Moments : std::uint8_t {
  None = 0,     ///< nothing (RTN)
  Second = 1,   ///< H = Σ xᵀx
  Cross = 2,    ///< and D = Σ (x_fp − x)ᵀ x, for asymmetric calibration (GPTQv2, arXiv 2504.02692)
};

/// H = XᵀX and, for asymmetric calibration, D = (X_fp − X)ᵀX, as plain sums over tokens: mergeable, divided by the number
/// of tokens only where somebody asks. The same bytes for any number of threads if batches arrive in the same order.
template <class S, class Backend = Cpu>
class InputStatistics {
 public:
  /// `width`: columns of X, the `in` of the matrices of the stage.
  InputStatistics(const Context<Backend>& context, Index width, Moments moments);

  /// Adds a batch X [tokens, in]. Throws Status::ShapeMismatch; Status::InvalidData for NaN or infinite inputs, naming
  /// token and column. A refused batch leaves the sums as they were.
  void add(MatrixView<const S> X);
  /// Adds a pair: the quantised stream's X and the full-precision stream's X_fp, token by token.
  void add(MatrixView<const S> X, MatrixView<const S> X_fp);
  /// Adds another's sums. Throws Status::ShapeMismatch where width or moments differ.
  void merge(const InputStatistics& other);

  const Context<Backend>& context() const { return *context_; }
  Index width() const { return width_; }
  Index tokens() const { return tokens_; }
  Moments moments() const { return moments_; }
  /// Σ xᵀx [in, in], both triangles. Throws Status::InvalidArgument if moments() is None.
  const Matrix<S>& second_moments() const;
  /// Σ (x_fp − x)ᵀ x [in, in]; row: deviating channel, column: channel of X. Needs Moments::Cross.
  const Matrix<S>& cross_moments() const;

 private:
  const Context<Backend>* context_;
  Index width_ = 0, tokens_ = 0;
  Moments moments_;
  mutable typename Backend::template Matrix<S> H_;  // upper triangle until asked for
  typename Backend::template Matrix<S> D_;
  mutable bool mirrored_ = false;
};

}  // namespace halftone
