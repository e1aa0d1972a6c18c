// Leaf kernel: matrix product by Eigen, for the tiles that linear_algebra.impl.hpp cuts.
#pragma once

#include "halftone/backend/leaf/namespace.hpp"

#include <Eigen/Core>

#include "halftone/core/view.hpp"

namespace halftone::detail::HALFTONE_LEAF {

template <class S>
using EigenMatrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class S>
using EigenConstMap = Eigen::Map<const EigenMatrix<S>, Eigen::Unaligned, Eigen::OuterStride<>>;
template <class S>
using EigenMap = Eigen::Map<EigenMatrix<S>, Eigen::Unaligned, Eigen::OuterStride<>>;

/// See LinearKernels::gemm.
template <class S>
void gemm(bool transpose_a, bool transpose_b, Index m, Index n, Index k, S alpha, const S* A, Index lda, const S* B,
          Index ldb, S beta, S* C, Index ldc) {
  EigenMap<S> c(C, m, n, Eigen::OuterStride<>(ldc));
  if (beta == S(0))
    c.setZero();
  else if (beta != S(1))
    c *= beta;
  const EigenConstMap<S> a(A, transpose_a ? k : m, transpose_a ? m : k, Eigen::OuterStride<>(lda));
  const EigenConstMap<S> b(B, transpose_b ? n : k, transpose_b ? k : n, Eigen::OuterStride<>(ldb));
  if (transpose_a && transpose_b)
    c.noalias() += alpha * (a.transpose() * b.transpose());
  else if (transpose_a)
    c.noalias() += alpha * (a.transpose() * b);
  else if (transpose_b)
    c.noalias() += alpha * (a * b.transpose());
  else
    c.noalias() += alpha * (a * b);
}

}  // namespace halftone::detail::HALFTONE_LEAF
