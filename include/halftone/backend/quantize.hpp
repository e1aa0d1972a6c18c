// The two primitives that a solver needs beside linear algebra: fitting grids, and the column loop of error diffusion.
// Grid parameters are kept transposed here, [groups, rows]: rows are the vector lanes and the threads of a GPU.
#pragma once

#include <algorithm>  // clamp

#include "halftone/backend/cells.hpp"
#include "halftone/backend/cpu.hpp"
#include "halftone/quant/grid.hpp"

namespace halftone {

/// Fits the grid of one group: for every row of W [rows, columns] a scale and a zero.
/// `importance` [columns] or null: diag(H), the weights of GridSearch::Hessian (null counts as ones).
/// Out: scales[rows] (values of options.scale_type, > 0), zeros[rows].
///
/// Min-max (GPTQ, section 3): lo = min(0, min w), hi = max(0, max w); symmetric: hi = max(hi, −lo), lo = −hi; both
/// zero: −1 and 1. scale = (hi − lo) / (2^bits − 1), rounded to its stored type, at least that type's smallest positive
/// value; zero = clamp(round(−lo / scale), minimum_zero, 2^bits − 1), symmetric 2^(bits−1). Searches try 40 shrinking
/// factors p = 1.00, 0.98, ... 0.22 of the range and, if asymmetric, the zeros one below and one above as well; the
/// first of equal errors wins (widest range first, zeros in the order −1, 0, +1).
template <class S>
void fit_uniform_grid(const Context<Cpu>& context, MatrixView<const S> W, const S* importance,
                      const GridOptions& options, S* scales, S* zeros);

/// A second update in the column loop (GPTQv2): before column j is rounded it moves by strength · s_j U_jj, and once it
/// is, s_c += w_j T_jc for c > j.
template <class S>
struct SecondUpdate {
  MatrixView<const S> T;       ///< [width, width], strictly upper; empty: no second update
  S strength = 1;              ///< α
  MatrixView<const S> second;  ///< [rows, width] in: s, of the columns before the block
  MatrixView<S> before;        ///< [rows, width] out: the columns just before rounding, w
};

/// Column loop of GPTQ inside one block (Algorithm 1 of 2210.17323), rows in parallel, columns in sequence:
///   q = decode(encode(w_j));  e_j = (w_j − q) / U_jj;  w_c −= e_j U_jc for c >= j  (so that w_j becomes q)
/// With a second update w_j is the moved column where it is rounded, the unmoved one in e_j.
/// W [rows, width] in: the block with all earlier corrections; out: the quantised values q.
/// U [width, width]: the block's diagonal part of the inverse factor, upper.
/// E [rows, width] out: the errors e, for the trailing update. codes [rows, width] out.
/// Cells: UniformCells or BinaryCells.
template <class S, template <class> class Cells>
void diffuse_block(const Context<Cpu>& context, const Cells<S>& cells, MatrixView<const S> U, MatrixView<S> W,
                   MatrixView<S> E, MatrixView<std::uint8_t> codes, const SecondUpdate<S>& second = {});

/// Rounds every element of W [rows, width] to its cell, without diffusion. codes out; W out: the quantised values.
template <class S, template <class> class Cells>
void round_block(const Context<Cpu>& context, const Cells<S>& cells, MatrixView<S> W, MatrixView<std::uint8_t> codes);

/// Clamps every element of W [rows, width] to the range of its cell's grid.
template <class S, template <class> class Cells>
void clamp_block(const Context<Cpu>& context, const Cells<S>& cells, MatrixView<S> W) {
  parallel_pieces(context.threads(), W.rows, 64, [&](Index first, Index last) {
    for (Index r = first; r < last; ++r)
      for (Index j = 0; j < W.cols; ++j) {
        const Index group = cells.group_of_position[j];
        W(r, j) = std::clamp(W(r, j), cells.lowest(group, r), cells.highest(group, r));
      }
  });
}

}  // namespace halftone

#if !defined(HALFTONE_COMPILED)
#include "halftone/backend/quantize.impl.hpp"
#endif
