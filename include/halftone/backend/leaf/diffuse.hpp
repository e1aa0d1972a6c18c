// Leaf kernel: the column loop of error diffusion (Algorithm 1 of 2210.17323) on a tile of rows.
#pragma once

#include "halftone/backend/leaf/lane_cells.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// Buffers of a tile, [width][lanes] each.
template <class S>
struct DiffusionTile {
  S *w, *error, *before, *second;
  std::uint8_t* codes;
};

/// Rounds column j of the tile, moved by the second update: w becomes its quantised value, `error` what is left of the
/// unmoved one over U_jj, `before` the moved one.
template <class S, bool Diffusing, bool Second, class Lanes>
HALFTONE_HOST_DEVICE void round_column(const DiffusionBlock<S>& block, const Lanes& grids, Index j,
                                       const DiffusionTile<S>& tile) {
  constexpr Index lanes = row_lanes<S>;
  S* HALFTONE_RESTRICT w = tile.w + j * lanes;
  std::uint8_t* HALFTONE_RESTRICT codes = tile.codes + j * lanes;
  S* HALFTONE_RESTRICT error = tile.error + j * lanes;
  S* HALFTONE_RESTRICT before = tile.before + j * lanes;
  const S* HALFTONE_RESTRICT second = tile.second + j * lanes;
  const S diagonal = Diffusing ? block.U[j * block.ldu + j] : S(1);
  const S factor = Second ? block.strength * diagonal : S(0);
  for (Index l = 0; l < lanes; ++l) {
    S code, moved = w[l];
    if constexpr (Second) before[l] = moved += factor * second[l];
    const S value = grids.round(l, moved, code);
    if constexpr (Diffusing) error[l] = (w[l] - value) / diagonal;
    w[l] = value;
    codes[l] = static_cast<std::uint8_t>(static_cast<std::int32_t>(code));
  }
}

/// w_c −= e_j U_jc (and second_c += before_j T_jc) for the columns c of [first, last) and j of [j0, j0 + Depth), in the
/// order of j.
template <class S, Index Depth, bool Second>
HALFTONE_HOST_DEVICE void push_errors(const DiffusionBlock<S>& block, const DiffusionTile<S>& tile, Index j0,
                                      Index first, Index last) {
  constexpr Index lanes = row_lanes<S>, step = vector_lanes<S>;
  for (Index l = 0; l < lanes; l += 2 * step) {
    for (Index c = first; c < last; ++c) {
      S* const w = tile.w + c * lanes + l;
      Vector<S> sums[2] = {vector_at(w).v, vector_at(w + step).v};
      for (Index d = 0; d < Depth; ++d) {
        const S u = block.U[(j0 + d) * block.ldu + c];
        const S* const error = tile.error + (j0 + d) * lanes + l;
        sums[0] -= u * vector_at(error).v;
        sums[1] -= u * vector_at(error + step).v;
      }
      vector_at(w).v = sums[0];
      vector_at(w + step).v = sums[1];
      if constexpr (Second) {
        S* const second = tile.second + c * lanes + l;
        Vector<S> moves[2] = {vector_at(second).v, vector_at(second + step).v};
        for (Index d = 0; d < Depth; ++d) {
          const S t = block.T[(j0 + d) * block.ldt + c];
          const S* const before = tile.before + (j0 + d) * lanes + l;
          moves[0] += t * vector_at(before).v;
          moves[1] += t * vector_at(before + step).v;
        }
        vector_at(second).v = moves[0];
        vector_at(second + step).v = moves[1];
      }
    }
  }
}

template <class S, bool Diffusing, bool Second, class Lanes>
HALFTONE_HOST_DEVICE void diffuse_tile(const DiffusionBlock<S>& block, const typename Lanes::Cells& cells, Index row,
                                       Index count, const DiffusionTile<S>& tile) {
  constexpr Index depth = 8;
  Lanes grids;
  for (Index j0 = 0, group = -1; j0 < block.width; j0 += depth) {
    const Index j1 = j0 + depth < block.width ? j0 + depth : block.width;
    for (Index j = j0; j < j1; ++j) {
      if (cells.group_of_position[j] != group) {
        group = cells.group_of_position[j];
        grids.load(cells, group, row, count);
      }
      round_column<S, Diffusing, Second>(block, grids, j, tile);
      if constexpr (Diffusing) push_errors<S, 1, Second>(block, tile, j, j + 1, j1);
    }
    if (Diffusing && j1 < block.width) push_errors<S, depth, Second>(block, tile, j0, j1, block.width);
  }
}

/// diffuse_block and round_block with the grids that `Lanes` holds.
template <class S, class Lanes>
HALFTONE_HOST_DEVICE void diffuse_rows(const DiffusionBlock<S>& block, const typename Lanes::Cells& cells, Index rows,
                                       S* workspace) {
  constexpr Index lanes = row_lanes<S>;
  const Index size = block.width * lanes;
  const DiffusionTile<S> tile{workspace, workspace + size, workspace + 2 * size, workspace + 3 * size,
                              reinterpret_cast<std::uint8_t*>(workspace + 4 * size)};
  for (Index row = 0; row < rows; row += lanes) {
    const Index count = rows - row < lanes ? rows - row : lanes;
    load_rows(block.W + row * block.ldw, block.ldw, count, block.width, tile.w);
    if (!block.U) {
      diffuse_tile<S, false, false, Lanes>(block, cells, row, count, tile);
    } else if (!block.T) {
      diffuse_tile<S, true, false, Lanes>(block, cells, row, count, tile);
    } else {
      load_rows(block.second + row * block.ldsecond, block.ldsecond, count, block.width, tile.second);
      diffuse_tile<S, true, true, Lanes>(block, cells, row, count, tile);
      store_rows(tile.before, count, block.width, block.before + row * block.ldbefore, block.ldbefore);
    }
    store_rows(tile.w, count, block.width, block.W + row * block.ldw, block.ldw);
    for (Index r = 0; r < count; ++r)
      for (Index c = 0; c < block.width; ++c) block.codes[(row + r) * block.ldcodes + c] = tile.codes[c * lanes + r];
    if (block.E) store_rows(tile.error, count, block.width, block.E + row * block.lde, block.lde);
  }
}

/// See QuantizeKernels::diffuse.
template <class S>
void diffuse(const DiffusionBlock<S>& block, const UniformCells<S>& cells, Index rows, S* workspace) {
  diffuse_rows<S, UniformLanes<S>>(block, cells, rows, workspace);
}

/// See QuantizeKernels::diffuse_binary.
template <class S>
void diffuse_binary(const DiffusionBlock<S>& block, const BinaryCells<S>& cells, Index rows, S* workspace) {
  if (cells.bits == 2)
    diffuse_rows<S, BinaryLanes<S, 2>>(block, cells, rows, workspace);
  else if (cells.bits == 3)
    diffuse_rows<S, BinaryLanes<S, 3>>(block, cells, rows, workspace);
  else
    diffuse_rows<S, BinaryLanes<S, 4>>(block, cells, rows, workspace);
}

}  // namespace halftone::detail::HALFTONE_LEAF
