// Binary-coded grids on the CPU: what the column loop reads, and the exact search that fits them.
// As for uniform grids, parameters are kept transposed here, [.., rows].
#pragma once

#include "halftone/backend/cpu.hpp"
#include "halftone/quant/binary_candidates.hpp"

namespace halftone {

/// Binary-coded grids as the column loop reads them: at position j row r rounds w to level number
/// find_level(w, thresholds(g·(2^k − 1) + ., r)), which has the value levels(g·2^k + ., r) and the code
/// codes(g·2^k + ., r); g = group_of_position[j].
template <class S>
struct BinaryCells {
  MatrixView<const S> levels;                       ///< [groups · 2^bits, rows], ascending inside a group
  MatrixView<const S> thresholds;                   ///< [groups · (2^bits − 1), rows], ascending inside a group
  MatrixView<const std::uint8_t> codes;             ///< [groups · 2^bits, rows]
  const std::int32_t* group_of_position = nullptr;  ///< [width], of the block's columns
  int bits = 0;                                     ///< k
};

/// The grid of one group, as fit_binary_grid leaves it.
template <class S>
struct FittedBinary {
  MatrixView<float> alphas;        ///< [k, rows], largest first
  float* biases = nullptr;         ///< [rows]
  MatrixView<S> levels;            ///< [2^k, rows]
  MatrixView<S> thresholds;        ///< [2^k − 1, rows]
  MatrixView<std::uint8_t> codes;  ///< [2^k, rows]
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
