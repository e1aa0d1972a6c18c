// The exact search that fits binary-coded grids. As in quantize.hpp, parameters are kept transposed here, [.., rows].
#pragma once

#include "halftone/backend/cells.hpp"
#include "halftone/backend/cpu.hpp"
#include "halftone/quant/binary_candidates.hpp"

namespace halftone {

/// The grid of one group, as fit_binary_grid leaves it; the last three are a group of BinaryCells.
template <class S>
struct FittedBinary {
  MatrixView<float> alphas;        ///< [k, rows], largest first
  float* biases = nullptr;         ///< [rows]
  MatrixView<S> levels;            ///< [2^k, rows]
  MatrixView<S> thresholds;        ///< [2^k − 1, rows]
  MatrixView<std::uint8_t> codes;  ///< [2^k, rows]

  /// The grid of the rows from `first` on.
  FittedBinary from_row(Index first) const {
    const auto rest = [first](auto matrix) { return matrix.middle_cols(first, matrix.cols - first); };
    return {rest(alphas), biases + first, rest(levels), rest(thresholds), rest(codes)};
  }
};

/// Fits the grid of one group: for every row of W [rows, columns] the candidate (quant/binary_candidates.hpp) of least
/// error Σ_j ω_j (q_j − w_j)², where q are the levels of α and β as they are stored: rounded to their type before they
/// are compared. `importance` [columns] or null: diag(H), the ω of BinaryObjective::Hessian; null, or zeros only: ones.
/// W and importance must be finite, importance >= 0.
///
/// Exact: every candidate is scored with unrounded parameters, and those whose score is so close to the best that
/// rounding could make them win are scored again as stored. Of equal ones the first wins: shapes in the order of
/// candidates.shapes(), then scales from the smallest, then centres from the lowest. Sums in double; the same bytes for
/// any number of threads and any instruction set.
/// Work for a row: one sort, and about 25 · shapes + 10^4 operations for k = 3, n = 5.
template <class S>
void fit_binary_grid(const Context<Cpu>& context, const BinaryCandidates& candidates, MatrixView<const S> W,
                     const S* importance, const FittedBinary<S>& out);

}  // namespace halftone

#if !defined(HALFTONE_COMPILED)
#include "halftone/backend/binary_grid.impl.hpp"
#endif
