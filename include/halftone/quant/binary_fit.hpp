// The binary-coded grids of a whole matrix while it is being solved: the counterpart of UniformGrids in grid_fit.hpp.
#pragma once

#include "halftone/backend/binary_grid.hpp"
#include "halftone/quant/grid_groups.hpp"
#include "halftone/quant/grid_refit.hpp"

namespace halftone {

/// fit_binary_grid for every group of consecutive columns of W [rows, in]; importance [in] or null. `out` holds the
/// groups one below the other: alphas [groups · k, rows], biases [groups, rows], and so on. Parallel over groups and
/// chunks of rows.
template <class S>
void fit_binary_grids(const Context<Cpu>& context, const BinaryCandidates& candidates, const GridOptions& options,
                      MatrixView<const S> W, const S* importance, const FittedBinary<S>& out) {
  const Index bits = candidates.bits(), levels = candidates.levels();
  detail::fit_groups(
      context, options, W, importance, [&](Index group, Index row, MatrixView<const S> piece, const S* weights) {
        const auto part = [&](auto matrix, Index height) {
          return matrix.block(group * height, row, height, piece.rows);
        };
        fit_binary_grid(
            context, candidates, piece, weights,
            FittedBinary<S>{part(out.alphas, bits), out.biases + group * W.rows + row, part(out.levels, levels),
                            part(out.thresholds, levels - 1), part(out.codes, levels)});
      });
}

/// A grid policy of the error-diffusion core (solver/error_diffusion.hpp): fit and cells.
template <class S, class Backend>
class BinaryGrids {
 public:
  /// `rows` × `groups` of W. The candidates must outlive the grids; `options` are those that they were made of.
  BinaryGrids(const Context<Backend>& context, const BinaryCandidates& candidates, const GridOptions& options,
              Index rows, Index groups)
      : candidates_(&candidates),
        options_(options),
        alphas_(context.template allocate<float>(groups * candidates.bits(), rows)),
        biases_(context.template allocate<float>(groups, rows)),
        levels_(context.template allocate<S>(groups * candidates.levels(), rows)),
        thresholds_(context.template allocate<S>(groups * (candidates.levels() - 1), rows)),
        codes_(context.template allocate<std::uint8_t>(groups * candidates.levels(), rows)) {}

  /// Fits one group on its columns W [rows, columns]; importance [columns] or null (see fit_binary_grid).
  void fit(const Context<Backend>& context, Index group, MatrixView<const S> W, const S* importance) {
    fit_binary_grid(context, *candidates_, W, importance, fitted(group, W.rows));
  }

  /// Fits every group on W [rows, in], groups of consecutive columns; importance [in] or null.
  void fit_all(const Context<Backend>& context, MatrixView<const S> W, const S* importance) {
    fit_binary_grids(
        context, *candidates_, options_, W, importance,
        FittedBinary<S>{alphas_.view(), biases_.data(), levels_.view(), thresholds_.view(), codes_.view()});
  }

  /// What the column loop reads. group_of_position[j] is the group of the block's column j.
  BinaryCells<S> cells(const std::int32_t* group_of_position) const {
    return {levels_.view(), thresholds_.view(), codes_.view(), group_of_position, candidates_->bits()};
  }

  /// Moves α and β of one group to what suits its codes best under H, and Q, G and codes with them
  /// (quant/grid_refit.hpp).
  Index refit(const Context<Backend>& context, Index group, const RefitTask<S>& task) {
    return refit_binary(context, task, options_.scale_type, fitted(group, task.Q.rows));
  }

  /// As results hold them. `in`: columns of W.
  BinaryGrid stored(const Context<Backend>& context, Index in) const {
    const auto alphas = context.download(alphas_.view()), biases = context.download(biases_.view());
    BinaryGrid grid{candidates_->bits(), options_.group_columns(in), dtype_of(options_.scale_type),
                    Matrix<float>(alphas.cols(), alphas.rows()), Matrix<float>(biases.cols(), biases.rows())};
    for (Index r = 0; r < alphas.cols(); ++r) {
      for (Index i = 0; i < alphas.rows(); ++i) grid.alphas(r, i) = alphas(i, r);
      for (Index g = 0; g < biases.rows(); ++g) grid.biases(r, g) = biases(g, r);
    }
    return grid;
  }

 private:
  /// The places of one group.
  FittedBinary<S> fitted(Index group, Index rows) {
    const Index bits = candidates_->bits(), levels = candidates_->levels();
    return {alphas_.view().block(group * bits, 0, bits, rows), biases_.row(group),
            levels_.view().block(group * levels, 0, levels, rows),
            thresholds_.view().block(group * (levels - 1), 0, levels - 1, rows),
            codes_.view().block(group * levels, 0, levels, rows)};
  }

  const BinaryCandidates* candidates_;
  GridOptions options_;
  typename Backend::template Matrix<float> alphas_, biases_;  // [groups · k, rows], [groups, rows]
  typename Backend::template Matrix<S> levels_, thresholds_;  // [groups · 2^k, rows], [groups · (2^k − 1), rows]
  typename Backend::template Matrix<std::uint8_t> codes_;     // [groups · 2^k, rows]
};

}  // namespace halftone
