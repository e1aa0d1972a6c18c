// How errors reach the columns of a panel from the panels before it, without the inverse factor above its diagonal.
//
// Hd = R Rᵀ, U = R⁻¹. With D = W − Q, W as it came, Σ e² of the column loop is ‖D R‖², and e_j the entry j of D R: the
// LDLQ of QuIP (arXiv 2307.13304), where rounding against R is shown to be GPTQ. Of a panel P and what lies before it
//
//     E_P = D_P R_PP + Z_P,   Z_P = D[:, :P] R[:P, P]
//
// so that the column loop inside the panel, with U_PP = R_PP⁻¹ alone, runs on W_P + Z_P U_PP: what Algorithm 1 of GPTQ
// would have made of it by then. As many multiply-adds as pushing E U ahead, n³/3 flops less in the factor, one pass
// over the weights instead of one a block; and a rounding error of Z is an error of Σ e² itself, where one of E U is
// multiplied by R.
#pragma once

#include <algorithm>  // min
#include <utility>    // as_const

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"

namespace halftone {

template <class S, class Backend>
class EarlierPanels {
 public:
  /// `factor` as inverse_factor leaves it, in panels of `panel` columns; W [out, in] is changed in place. `products`
  /// BFloat16 (float): D and R are rounded in Z; Σ e² is off by 2⁻¹⁸ Σ D_ij² H_jj at most.
  EarlierPanels(const Context<Backend>& context, MatrixView<const S> factor, MatrixView<S> W, Index panel,
                ProductType products)
      : context_(&context), factor_(factor), W_(W), rounds_(products == ProductType::BFloat16) {
    if (panel >= W.cols) return;
    const Index remembered = (W.cols - 1) / panel * panel;  // all panels but the last
    sums_ = context.template allocate<S>(W.rows, panel);
    if constexpr (may_round<S, Backend>)
      if (rounds_) {
        rounded_ = context.template allocate<BFloat16>(W.rows, remembered);
        factors_ = context.template allocate<BFloat16>(remembered, panel);
        differences_ = context.template allocate<S>(W.rows, panel);
        return;
      }
    differences_ = context.template allocate<S>(W.rows, remembered);
  }

  /// Moves the columns [first, end) of W, a panel, to where those before them want them.
  void enter(Index first, Index end) {
    if (end < W_.cols) convert(*context_, MatrixView<const S>(W_.middle_cols(first, end - first)), kept(first, end));
    if (first == 0) return;
    const MatrixView<S> Z = sums_.view().middle_cols(0, end - first);
    multiply(first, end, Z);
    gemm(*context_, Transpose::No, Transpose::No, S(1), MatrixView<const S>(Z),
         factor_.block(first, first, Z.cols, Z.cols), S(1), W_.middle_cols(first, Z.cols));
  }

  /// Remembers what became of them.
  void leave(Index first, Index end) {
    if (end == W_.cols) return;
    const MatrixView<S> D = kept(first, end);
    add_scaled(*context_, D, S(-1), W_.middle_cols(first, end - first));
    if constexpr (may_round<S, Backend>)
      if (rounds_) narrow(*context_, MatrixView<const S>(D), rounded_.view().middle_cols(first, end - first));
  }

 private:
  /// Where the panel's D is computed from its W.
  MatrixView<S> kept(Index first, Index end) {
    return differences_.view().middle_cols(rounded_.empty() ? first : 0, end - first);
  }

  /// Z = D[:, :first] R[:first, first:end].
  void multiply(Index first, Index end, MatrixView<S> Z) {
    const MatrixView<const S> R = factor_.block(0, first, first, end - first);
    if constexpr (may_round<S, Backend>) {
      if (rounds_)
        return gemm(*context_, Transpose::No, Transpose::No, std::as_const(rounded_).view().middle_cols(0, first),
                    rounded_to_bfloat(*context_, R, factors_), false, Z);
    }
    gemm(*context_, Transpose::No, Transpose::No, S(1), std::as_const(differences_).view().middle_cols(0, first), R,
         S(0), Z);
  }

  const Context<Backend>* context_;
  MatrixView<const S> factor_;
  MatrixView<S> W_;
  bool rounds_;
  typename Backend::template Matrix<S> sums_, differences_;        // Z; D, of one panel where it is rounded
  typename Backend::template Matrix<BFloat16> rounded_, factors_;  // D and R[:, P], rounded
};

}  // namespace halftone
