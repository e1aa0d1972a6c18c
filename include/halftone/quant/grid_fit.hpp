// The uniform grids of a whole matrix while it is being solved: fitted group by group, read by the column loop, stored.
#pragma once

#include <string_view>

#include "halftone/quant/grid_groups.hpp"
#include "halftone/quant/grid_refit.hpp"
#include "halftone/quant/quantized_matrix.hpp"

namespace halftone {

/// Throws Status::InvalidArgument, naming `who`, for grid options out of their bounds.
inline void check_grid(std::string_view who, const GridOptions& options) {
  validate_options(who, options);
  require(options.group_size != 0, Status::InvalidArgument, who, ": option 'group_size' is 0, wanted -1 or 1 .. ",
          1 << 30);
}

/// column / group_columns for every column.
inline std::vector<std::int32_t> groups_of_columns(Index columns, Index group_columns) {
  std::vector<std::int32_t> groups(static_cast<std::size_t>(columns));
  for (Index j = 0; j < columns; ++j)
    groups[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(j / group_columns);
  return groups;
}

/// fit_uniform_grid for every group of consecutive columns of W [rows, in]; importance [in] or null. scales, zeros
/// [groups, rows]. Parallel over groups and chunks of rows.
template <class S>
void fit_uniform_grids(const Context<Cpu>& context, const GridOptions& options, MatrixView<const S> W,
                       const S* importance, MatrixView<S> scales, MatrixView<S> zeros) {
  detail::fit_groups(
      context, options, W, importance, [&](Index group, Index row, MatrixView<const S> piece, const S* weights) {
        fit_uniform_grid(context, piece, weights, options, scales.row(group) + row, zeros.row(group) + row);
      });
}

/// Scales and zeros of every group. A grid policy of the error-diffusion core (solver/error_diffusion.hpp), which asks
/// of one: fit(context, group, W, importance), cells(group_of_position).
template <class S, class Backend>
class UniformGrids {
 public:
  /// `rows` × `groups` of W; the options must have passed check_grid.
  UniformGrids(const Context<Backend>& context, const GridOptions& options, Index rows, Index groups)
      : options_(options),
        scales_(context.template allocate<S>(groups, rows)),
        zeros_(context.template allocate<S>(groups, rows)) {}

  /// Fits one group on its columns W [rows, columns]; importance [columns] or null (see fit_uniform_grid).
  void fit(const Context<Backend>& context, Index group, MatrixView<const S> W, const S* importance) {
    fit_uniform_grid(context, W, importance, options_, scales_.row(group), zeros_.row(group));
  }

  /// Fits every group on W [rows, in], groups of consecutive columns; importance [in] or null.
  void fit_all(const Context<Backend>& context, MatrixView<const S> W, const S* importance) {
    fit_uniform_grids(context, options_, W, importance, scales_.view(), zeros_.view());
  }

  /// What the column loop reads. group_of_position[j] is the group of the block's column j.
  UniformCells<S> cells(const std::int32_t* group_of_position) const {
    return {scales_.view(), zeros_.view(), group_of_position, static_cast<S>(options_.top())};
  }

  /// Moves the scales of one group to what suits its codes best under H, and Q and G with them (quant/grid_refit.hpp).
  Index refit(const Context<Backend>& context, Index group, const RefitTask<S>& task) {
    return refit_uniform(context, task, options_.scale_type, scales_.row(group), zeros_.row(group));
  }

  /// As results hold them. `in`: columns of W.
  UniformGrid stored(const Context<Backend>& context, Index in) const {
    const auto scales = context.download(scales_.view()), zeros = context.download(zeros_.view());
    UniformGrid grid{options_.bits,
                     options_.symmetric,
                     options_.group_columns(in),
                     dtype_of(options_.scale_type),
                     Matrix<float>(scales.cols(), scales.rows()),
                     Matrix<std::uint8_t>(scales.cols(), scales.rows())};
    for (Index g = 0; g < scales.rows(); ++g)
      for (Index r = 0; r < scales.cols(); ++r) {
        grid.scales(r, g) = static_cast<float>(scales(g, r));
        grid.zeros(r, g) = static_cast<std::uint8_t>(zeros(g, r));
      }
    return grid;
  }

 private:
  GridOptions options_;
  typename Backend::template Matrix<S> scales_, zeros_;  // [groups, rows]
};

}  // namespace halftone
