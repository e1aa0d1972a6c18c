// The core of GPTQ and of every method that stands on it: columns are rounded one after the other, and each one's
// rounding error is pushed onto the columns still to come. (GPTQ, arXiv 2210.17323, Algorithm 1.)
//
//   for each block [a, b) of columns                         W [out, in] and U [in, in] in solving order
//     diffuse_block: q_j = decode(encode(w_j)),  e_j = (w_j − q_j) / U_jj,  w_c −= e_j U_jc  inside the block
//     W[:, b:] −= E · U[a:b, b:]                             the rest of the matrix, one product
//     S[:, b:] += L · T[a:b, b:]                             with a second update alone: second_update.hpp
//
// The grid is a policy (see Grids below), the second update is optional, and the last columns may be kept: they take
// corrections and are not rounded (OWQ, arXiv 2306.02272). Work: half of out · in² multiply-adds, nearly all of it in
// products, and as much again for a second update. The result does not depend on the block size, but for rounding error
// and where a group's grid or L below says so.
#pragma once

#include <algorithm>  // min
#include <utility>    // as_const
#include <vector>

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/quantize.hpp"
#include "halftone/core/options.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "halftone/solver/second_update.hpp"

namespace halftone {

/// When the grid of a group is fitted, and which columns make up a group.
enum class GroupMode : std::int32_t {
  Static = 0,     ///< before the solve, on the weights as they came; groups of consecutive original columns
  Fresh = 1,      ///< when its first column's turn comes, on weights that hold every correction so far; groups of
                  ///< consecutive columns in solving order
  Reference = 2,  ///< as Fresh, but without the corrections made inside the current block, as in the GPTQ code
};
template <>
struct EnumWords<GroupMode> {
  static constexpr std::string_view values[] = {"static", "fresh", "reference"};
};

/// How the columns are cut.
struct DiffusionPlan {
  Index columns = 0;       ///< columns to round, the first ones; those behind them are kept
  Index block_size = 128;  ///< columns between two updates of the rest of the matrix
  GroupMode groups = GroupMode::Static;
  Index group_columns = 0;  ///< columns of a full group

  /// End of the block that starts at `first`. Fresh groups start blocks.
  Index block_end(Index first) const {
    Index end = std::min(first + block_size, columns);
    if (groups == GroupMode::Fresh) end = std::min(end, (first / group_columns + 1) * group_columns);
    return end;
  }
};

/// Group of every position: of its original column with static groups, else of the position.
inline std::vector<std::int32_t> groups_of_positions(const DiffusionPlan& plan,
                                                     const std::vector<std::int32_t>& order) {
  std::vector<std::int32_t> groups = groups_of_columns(static_cast<Index>(order.size()), plan.group_columns);
  if (plan.groups != GroupMode::Static) return groups;
  std::vector<std::int32_t> of_position(order.size());
  for (std::size_t p = 0; p < order.size(); ++p) of_position[p] = groups[static_cast<std::size_t>(order[p])];
  return of_position;
}

/// What blocks push onto the columns behind them: W −= E · U.
template <class S, class Backend>
class Corrections {
 public:
  /// `products` BFloat16 (float): E and U are rounded. A correction is then off by 2⁻⁹ of itself, far below a step of
  /// the grid, and the sum of squared errors by some 10⁻⁵.
  Corrections(const Context<Backend>& context, MatrixView<const S> U, ProductType products)
      : context_(&context), U_(U), rounds_(products == ProductType::BFloat16) {
    if constexpr (may_round<S, Backend>)
      if (rounds_) {
        negated_ = rounded_to_bfloat(context, U);
        negate(context, negated_.view());
      }
  }
  /// Of the columns [first, end) onto all behind them. E [rows, end − first], W [rows, in].
  void operator()(Index first, Index end, MatrixView<const S> E, MatrixView<S> W) {
    const Index width = end - first, rest = W.cols - end;
    const MatrixView<S> behind = W.middle_cols(end, rest);
    if constexpr (may_round<S, Backend>) {
      if (rounds_) {
        return gemm(*context_, Transpose::No, Transpose::No, rounded_to_bfloat(*context_, E, errors_),
                    std::as_const(negated_).view().block(first, end, width, rest), true, behind);
      }
    }
    gemm(*context_, Transpose::No, Transpose::No, S(-1), E, U_.block(first, end, width, rest), S(1), behind);
  }

 private:
  const Context<Backend>* context_;
  MatrixView<const S> U_;
  bool rounds_;
  typename Backend::template Matrix<BFloat16> negated_, errors_;  // −U, and E of the block, rounded
};

/// Rounds the first plan.columns columns of W and diffuses their errors.
///
/// `Grids` is a policy: fit(context, group, columns, importance) fits a group's grid, cells(group_of_position) gives
/// what the backend's diffuse_block reads. Static groups must have been fitted before; the others are fitted here. U
/// [in, in]: the inverse factor, upper. W [out, in] in: the weights; out: rounded values, and behind them the kept
/// columns with all corrections. importance [in]: diag(H) in solving order, for the fits here; null counts as ones.
/// group_of_position [in]. codes [out, >= plan.columns] out. `products`: of Corrections.
/// Returns Σ e² = tr((Q−W) Hd (Q−W)ᵀ), W the weights that came in; with a second update in the mode pre alone.
template <class S, class Backend, class Grids>
double diffuse_errors(const Context<Backend>& context, const DiffusionPlan& plan, MatrixView<const S> U,
                      MatrixView<S> W, Grids& grids, const S* importance, const std::int32_t* group_of_position,
                      MatrixView<std::uint8_t> codes, const SecondTerm<S>& term = {},
                      ProductType products = ProductType::Float) {
  const Index widest = std::min(plan.block_size, plan.columns);
  auto errors = context.template allocate<S>(W.rows, widest);
  SecondSums<S, Backend> second(context, term, U, W, widest);
  Corrections<S, Backend> correct(context, U, products);

  RunningSum<Backend> loss(context, W.rows);
  for (Index a = 0, b = 0; a < plan.columns; a = b) {
    b = plan.block_end(a);
    const Index width = b - a, rest = W.cols - b;
    if (plan.groups != GroupMode::Static) {
      const Index first_start = (a + plan.group_columns - 1) / plan.group_columns * plan.group_columns;
      for (Index start = first_start; start < b; start += plan.group_columns) {
        const Index count = std::min(plan.group_columns, plan.columns - start);
        const auto moved = second.moved(a, start, count);
        grids.fit(context, start / plan.group_columns, moved.empty() ? W.middle_cols(start, count) : moved.view(),
                  importance == nullptr ? nullptr : importance + start);
      }
    }

    const MatrixView<S> block = W.middle_cols(a, width), E = errors.view().middle_cols(0, width);
    const auto cells = grids.cells(group_of_position + a);
    diffuse_block(context, cells, U.block(a, a, width, width), block, E, codes.middle_cols(a, width),
                  second.inside(a, width));
    loss.add(MatrixView<const S>(E), MatrixView<const S>(E));

    if (rest == 0) continue;
    second.finish(cells, a, width, E);
    correct(a, b, MatrixView<const S>(E), W);
  }
  return loss.value() + second.move_kept(plan.columns);
}

}  // namespace halftone
