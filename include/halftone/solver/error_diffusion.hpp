// The core of GPTQ and of every method that stands on it: columns are rounded one after the other, and each one's
// rounding error is pushed onto the columns still to come. (GPTQ, arXiv 2210.17323, Algorithm 1.)
//
//   for each panel P of columns                            W [out, in], factor [in, in] in solving order
//     W[:, P] += Z U_PP                                      what the panels before it ask for: earlier_panels.hpp
//     for each block [a, b) of the panel
//       diffuse_block: q_j = decode(encode(w_j)),  e_j = (w_j − q_j) / U_jj,  w_c −= e_j U_jc  inside the block
//       W[:, b:] −= E · U[a:b, b:]                           the rest of the panel, one product
//       S[:, b:] += L · T[a:b, b:]                           with a second update alone: second_update.hpp
//
// The grid is a policy (see Grids below), the second update is optional, and the last columns may be kept: they take
// corrections and are not rounded (OWQ, arXiv 2306.02272). Work: half of out · in² multiply-adds, nearly all of it in
// products, and as much again for a second update. The result does not depend on panels and blocks, but for rounding
// error and where a group's grid or L below says so.
#pragma once

#include <algorithm>  // min
#include <numeric>    // lcm
#include <utility>    // as_const
#include <vector>

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/quantize.hpp"
#include "halftone/core/options.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "halftone/solver/earlier_panels.hpp"
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
  Index block_size = 128;  ///< columns between two updates of the rest of a panel
  GroupMode groups = GroupMode::Static;
  Index group_columns = 0;  ///< columns of a full group
  Index panel = one_panel;  ///< columns of a panel of the factor, of panel_columns()

  /// End of the block that starts at `first`. Fresh groups start blocks.
  Index block_end(Index first) const {
    Index end = std::min(first + block_size, columns);
    if (groups == GroupMode::Fresh) end = std::min(end, (first / group_columns + 1) * group_columns);
    return end;
  }
  /// Columns of panels, about as many as wanted, that no block crosses, nor a group that is fitted on the way. On the
  /// CPU solves are as fast with 128 to 256 of them; a GPU inverts fewer panels faster. The same everywhere: rounded
  /// products are rounded in the same places.
  Index panel_columns(Index wanted = 256) const {
    const Index unit = groups == GroupMode::Static  ? block_size
                       : groups == GroupMode::Fresh ? group_columns
                                                    : std::lcm(block_size, group_columns);
    return std::max<Index>(1, (wanted + unit / 2) / unit) * unit;
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

/// What the blocks of a panel push onto its columns behind them: W −= E · U.
template <class S, class Backend>
class Corrections {
 public:
  /// U [panel, panel]. `products` BFloat16 (float): E and U are rounded. A correction is then off by 2⁻⁹ of itself, far
  /// below a step of the grid, and the sum of squared errors by some 10⁻⁵.
  Corrections(const Context<Backend>& context, MatrixView<const S> U, ProductType products)
      : context_(&context), U_(U), rounds_(products == ProductType::BFloat16) {}

  /// Of the columns [first, end) onto all behind them. E [rows, end − first], W [rows, panel].
  void operator()(Index first, Index end, MatrixView<const S> E, MatrixView<S> W) {
    const Index width = end - first, rest = W.cols - end;
    if (rest == 0) return;
    const MatrixView<S> behind = W.middle_cols(end, rest);
    if constexpr (may_round<S, Backend>) {
      if (rounds_) {
        if (negated_.empty()) {
          negated_ = rounded_to_bfloat(*context_, U_);
          negate(*context_, negated_.view());
        }
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

namespace detail {

/// diffuse_errors, a panel at a time.
template <class S, class Backend, class Grids>
class ColumnLoop {
 public:
  ColumnLoop(const Context<Backend>& context, const DiffusionPlan& plan, MatrixView<const S> factor, MatrixView<S> W,
             Grids& grids, const S* importance, const std::int32_t* group_of_position, MatrixView<std::uint8_t> codes,
             const SecondTerm<S>& term, ProductType products)
      : context_(context),
        plan_(plan),
        factor_(factor),
        W_(W),
        grids_(grids),
        importance_(importance),
        group_of_position_(group_of_position),
        codes_(codes),
        products_(products),
        errors_(context.template allocate<S>(W.rows, std::min(plan.block_size, plan.columns))),
        second_(context, term, factor, W, errors_.cols()),
        loss_(context, W.rows) {}

  double run() {
    EarlierPanels<S, Backend> earlier(context_, factor_, W_, plan_.panel, products_);
    const Index width = std::min(plan_.panel, W_.cols);
    double kept_loss = 0;
    for (Index first = 0; first < W_.cols; first += width) {
      const Index end = std::min(first + width, W_.cols);
      earlier.enter(first, end);
      round_panel(first, end);
      kept_loss += second_.move_kept(std::clamp(plan_.columns, first, end), end);
      earlier.leave(first, end);
    }
    return loss_.value() + kept_loss;
  }

 private:
  /// Rounds the columns of [first, end) that are not kept, and diffuses their errors inside of it.
  void round_panel(Index first, Index end) {
    Corrections<S, Backend> correct(context_, factor_.block(first, first, end - first, end - first), products_);
    for (Index a = first, b = 0; a < std::min(end, plan_.columns); a = b) {
      b = plan_.block_end(a);
      const Index width = b - a;
      if (plan_.groups != GroupMode::Static) fit_groups(a, b);
      const MatrixView<S> block = W_.middle_cols(a, width), E = errors_.view().middle_cols(0, width);
      const auto cells = grids_.cells(group_of_position_ + a);
      diffuse_block(context_, cells, factor_.block(a, a, width, width), block, E, codes_.middle_cols(a, width),
                    second_.inside(a, width));
      loss_.add(MatrixView<const S>(E), MatrixView<const S>(E));
      if (b < W_.cols) second_.finish(cells, a, width, E);
      if (b < end) correct(a - first, b - first, MatrixView<const S>(E), W_.middle_cols(first, end - first));
    }
  }

  /// Fits the groups that start in [a, b), with all columns before a done.
  void fit_groups(Index a, Index b) {
    const Index first = (a + plan_.group_columns - 1) / plan_.group_columns * plan_.group_columns;
    for (Index start = first; start < b; start += plan_.group_columns) {
      const Index count = std::min(plan_.group_columns, plan_.columns - start);
      const auto moved = second_.moved(a, start, count);
      grids_.fit(context_, start / plan_.group_columns, moved.empty() ? W_.middle_cols(start, count) : moved.view(),
                 importance_ == nullptr ? nullptr : importance_ + start);
    }
  }

  const Context<Backend>& context_;
  const DiffusionPlan& plan_;
  MatrixView<const S> factor_;
  MatrixView<S> W_;
  Grids& grids_;
  const S* importance_;
  const std::int32_t* group_of_position_;
  MatrixView<std::uint8_t> codes_;
  ProductType products_;
  typename Backend::template Matrix<S> errors_;  // E of the block
  SecondSums<S, Backend> second_;
  RunningSum<Backend> loss_;
};

}  // namespace detail

/// Rounds the first plan.columns columns of W and diffuses their errors.
///
/// `Grids` is a policy: fit(context, group, columns, importance) fits a group's grid, cells(group_of_position) gives
/// what the backend's diffuse_block reads. Static groups must have been fitted before; the others are fitted here.
/// factor [in, in]: as inverse_factor leaves it in panels of plan.panel columns; U itself, one panel, with a second
/// update in another mode than pre. W [out, in] in: the weights; out: rounded values, and behind them the kept columns
/// with all corrections. importance [in]: diag(H) in solving order, for the fits here; null counts as ones.
/// group_of_position [in]. codes [out, >= plan.columns] out. `products`: of EarlierPanels and Corrections. Returns Σ e²
/// = tr((Q−W) Hd (Q−W)ᵀ), W the weights that came in; with a second update in the mode pre alone. Throws
/// Status::InvalidArgument where blocks or groups would cross panels, or a second update has more than
/// one in another mode than pre.
template <class S, class Backend, class Grids>
double diffuse_errors(const Context<Backend>& context, const DiffusionPlan& plan, MatrixView<const S> factor,
                      MatrixView<S> W, Grids& grids, const S* importance, const std::int32_t* group_of_position,
                      MatrixView<std::uint8_t> codes, const SecondTerm<S>& term = {},
                      ProductType products = ProductType::Float) {
  if (plan.panel < W.cols) {
    require(term.T.empty() || term.mode == SecondMode::Pre, Status::InvalidArgument,
            "diffuse_errors: a second update in a mode other than pre with panels of ", plan.panel,
            " columns, wanted one_panel");
    require(plan.panel % plan.panel_columns(1) == 0, Status::InvalidArgument, "diffuse_errors: panels of ", plan.panel,
            " columns, wanted a multiple of ", plan.panel_columns(1));
  }
  detail::ColumnLoop<S, Backend, Grids> loop(context, plan, factor, W, grids, importance, group_of_position, codes,
                                             term, products);
  return loop.run();
}

}  // namespace halftone
