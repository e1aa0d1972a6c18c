// The second update of the column loop (GPTQv2, arXiv 2504.02692): beside its error, every column passes on what the
// deviation of its input costs, w_j ⊗ P[j, j+1:] with P = α·T·U, T = strict_upper(D Uᵀ).
//
// U is also what pushes the errors. With S = L·T, L the columns that are passed on (w_j of the paper),
//
//     W − Q = E U − α L T U = (E − α S) U                    E: (w_j − q_j) / U_jj, as the papers have it
//
// so that a column which keeps e_j − α s_j instead, the error of what it was before its own move α s_j U_jj, pushes
// both at once. Neither P nor a product with it is needed, only half of the flops of S, and Σ e² stays the exact loss:
//
//     w_j += α s_j U_jj for rounding alone;  e_j = (w_j unmoved − q_j) / U_jj          inside the block [a, b)
//     S[:, b:] += L · T[a:b, b:];  W[:, b:] −= E · U[a:b, b:]                          behind it
//
// In the mode pre, where a block goes on with the very L, (E − α S) = (W − Q) U⁻¹ holds for all of it: the panels of
// earlier_panels.hpp then serve as they are, and U is needed inside them alone.
#pragma once

#include <utility>  // as_const

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/quantize.hpp"
#include "halftone/core/options.hpp"

namespace halftone {

/// With which columns the second update reaches the columns behind a block.
enum class SecondMode : std::int32_t {
  Reference = 0,   ///< the rounded columns, as in the published GPTQv2 code: depends on the block size
  Pre = 1,         ///< the columns just before rounding, as in its paper, equation 18
  PreClamped = 2,  ///< those, clamped to the range of their grid: steadier at 2 bit
};
template <>
struct EnumWords<SecondMode> {
  static constexpr std::string_view values[] = {"reference", "pre", "pre_clamped"};
};

/// What the second update multiplies with.
template <class S>
struct SecondTerm {
  MatrixView<const S> T;  ///< [in, in] in solving order, zeros on and below the diagonal; empty: no second update
  SecondMode mode = SecondMode::Reference;
  double strength = 1;  ///< α
};

/// S = L·T while the columns of W [out, in] are solved; nothing without a second update. U [in, in]: the inverse
/// factor, of which the panel that is solved is read.
template <class Scalar, class Backend>
class SecondSums {
 public:
  using BackendMatrix = typename Backend::template Matrix<Scalar>;

  /// Blocks have `widest` columns at most. The views must outlive this.
  SecondSums(const Context<Backend>& context, const SecondTerm<Scalar>& term, MatrixView<const Scalar> U,
             MatrixView<Scalar> W, Index widest)
      : context_(&context), term_(term), U_(U), W_(W) {
    if (empty()) return;
    sums_ = context.template allocate<Scalar>(W.rows, W.cols);
    before_ = context.template allocate<Scalar>(W.rows, widest);
    set_zero(context, sums_.view());
  }
  bool empty() const { return term_.T.empty(); }

  /// For diffuse_block on the columns [a, a + width).
  SecondUpdate<Scalar> inside(Index a, Index width) {
    if (empty()) return {};
    return {term_.T.block(a, a, width, width), strength(), sums_.view().middle_cols(a, width),
            before_.view().middle_cols(0, width)};
  }

  /// The columns [first, first + count) with all that the columns before a, first >= a, pass on: W + α S[:, a:] U[a:,
  /// ·]. [out, count]; empty without a second update, when that is W.
  BackendMatrix moved(Index a, Index first, Index count) const {
    if (empty()) return {};
    auto columns = context_->copy(MatrixView<const Scalar>(W_.middle_cols(first, count)));
    const Index inner = first + count - a;
    gemm(*context_, Transpose::No, Transpose::No, strength(), sums_.view().middle_cols(a, inner),
         U_.block(a, first, inner, count), Scalar(1), columns.view());
    return columns;
  }

  /// After the columns [a, a + width) were rounded, with their errors E [out, width]: S for the columns behind them.
  /// Where L is not what the block itself went on with, E comes to be what L would have made it.
  template <class Cells>
  void finish(const Cells& cells, Index a, Index width, MatrixView<Scalar> E) {
    if (empty()) return;
    const Index b = a + width, rest = W_.cols - b;
    const MatrixView<Scalar> before = before_.view().middle_cols(0, width), rounded = W_.middle_cols(a, width);
    BackendMatrix clamped;
    MatrixView<const Scalar> L = before;
    if (term_.mode == SecondMode::Reference) L = rounded;
    if (term_.mode == SecondMode::PreClamped) {
      clamped = context_->copy(MatrixView<const Scalar>(before));
      clamp_block(*context_, cells, clamped.view());
      L = std::as_const(clamped).view();
    }
    if (term_.mode != SecondMode::Pre) {
      add_scaled(*context_, before, Scalar(-1), L);
      gemm(*context_, Transpose::No, Transpose::No, strength(), MatrixView<const Scalar>(before),
           term_.T.block(a, a, width, width), Scalar(1), E);
    }
    gemm(*context_, Transpose::No, Transpose::No, Scalar(1), L, term_.T.block(a, b, width, rest), Scalar(1),
         sums_.view().middle_cols(b, rest));
  }

  /// The columns [first, end) of a panel are not rounded and end where the others moved them. Returns their part of Σ
  /// e².
  double move_kept(Index first, Index end) {
    if (empty() || first == end) return 0;
    const Index count = end - first;
    const auto columns = moved(first, first, count);
    convert(*context_, columns.view(), W_.middle_cols(first, count));
    const MatrixView<const Scalar> sums = std::as_const(sums_).view().middle_cols(first, count);
    return term_.strength * term_.strength * inner_product(*context_, sums, sums);
  }

 private:
  Scalar strength() const { return static_cast<Scalar>(term_.strength); }

  const Context<Backend>* context_;
  SecondTerm<Scalar> term_;
  MatrixView<const Scalar> U_;
  MatrixView<Scalar> W_;
  BackendMatrix sums_, before_;  ///< [out, in] S; [out, widest] the block's columns just before rounding
};

}  // namespace halftone
