// Leaf kernel: one pass of coordinate descent over a block of columns, on a tile of rows.
#pragma once

#include "halftone/backend/leaf/diffuse.hpp"
#include "halftone/backend/refine_kernels.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// Buffers of a tile, [width][lanes] each. `error` is what a column loses: old minus new value.
template <class S>
struct DescentTile {
  S *gradient, *error, *value, *code;
};

/// tile[t][r] = source(r, columns[t]) for `rows` <= row_lanes rows; lanes beyond are 0.
template <class S>
HALFTONE_HOST_DEVICE void load_columns(const S* source, Index stride, const std::int32_t* columns, Index rows,
                                       Index width, S* HALFTONE_RESTRICT tile) {
  constexpr Index lanes = row_lanes<S>;
  for (Index r = 0; r < rows; ++r)
    for (Index t = 0; t < width; ++t) tile[t * lanes + r] = source[r * stride + columns[t]];
  for (Index r = rows; r < lanes; ++r)
    for (Index t = 0; t < width; ++t) tile[t * lanes + r] = S(0);
}

/// A kept value as it is stored: the nearest number of `type`, beyond its largest finite one that.
template <class S>
HALFTONE_HOST_DEVICE S round_kept(S value, ScaleType type) {
  const S magnitude = value < S(0) ? -value : value;
  const S largest = type == ScaleType::F16 ? S(65504) : type == ScaleType::BF16 ? S(0x1.fep127) : S(0x1.fffffep127);
  float held = static_cast<float>(magnitude > largest ? largest : magnitude);
  if (type == ScaleType::F16) held = static_cast<float>(Float16(held));
  if (type == ScaleType::BF16) held = static_cast<float>(BFloat16(held));
  return value < S(0) ? -static_cast<S>(held) : static_cast<S>(held);
}

/// Moves every lane of column t to `rounded(lane, w, code)`, w = q − g / h the minimiser of the row's objective in this
/// column alone, where that lowers the objective: (q' − q)(2 g + h (q' − q)) < 0. Returns the lanes moved.
template <class S, class Rounded>
HALFTONE_HOST_DEVICE Index move_column(S h, Index t, const DescentTile<S>& tile, Rounded&& rounded) {
  constexpr Index lanes = row_lanes<S>;
  const S* HALFTONE_RESTRICT gradient = tile.gradient + t * lanes;
  S* HALFTONE_RESTRICT value = tile.value + t * lanes;
  S* HALFTONE_RESTRICT error = tile.error + t * lanes;
  S* HALFTONE_RESTRICT code = tile.code + t * lanes;
  S moved[lanes];
  for (Index l = 0; l < lanes; ++l) {
    const S target = rounded(l, value[l] - gradient[l] / h, code[l]);
    const S step = target - value[l];
    const bool better = step * (S(2) * gradient[l] + h * step) < S(0);
    error[l] = better ? -step : S(0);
    value[l] = better ? target : value[l];
    moved[l] = better ? S(1) : S(0);
  }
  S sum = 0;
  for (Index l = 0; l < lanes; ++l) sum += moved[l];
  return static_cast<Index>(sum);
}

/// One pass over the tile; returns the moves made.
template <class S, class Lanes>
HALFTONE_HOST_DEVICE Index descend_tile(const RefineBlock<S>& block, const typename Lanes::Cells& cells, Index row,
                                        Index count, const DescentTile<S>& tile) {
  constexpr Index depth = 8;
  DiffusionBlock<S> push{};  // g_c −= error_t H_tc: the update of error diffusion, with H in the place of its factor
  push.U = block.H;
  push.ldu = block.ldh;
  const DiffusionTile<S> buffers{tile.gradient, tile.error, nullptr, nullptr, nullptr};
  Lanes grids{};
  Index moves = 0;
  for (Index t0 = 0, group = -1; t0 < block.width; t0 += depth) {
    const Index t1 = t0 + depth < block.width ? t0 + depth : block.width, before = moves;
    for (Index t = t0; t < t1; ++t) {
      const Index column = block.columns[t];
      const S h = block.H[t * block.ldh + t];
      Index moved = 0;
      if (block.kept && block.kept[column] != 0) {
        moved = move_column(h, t, tile, [&](Index, S w, S&) { return round_kept(w, block.kept_type); });
      } else {
        if (cells.group_of_position[column] != group) {
          group = cells.group_of_position[column];
          grids.load(cells, group, row, count);
        }
        moved = move_column(h, t, tile, [&](Index lane, S w, S& code) { return grids.round(lane, w, code); });
      }
      if (moved > 0) push_errors<S, 1, false>(push, buffers, t, t + 1, t1);
      moves += moved;
    }
    if (moves > before && t1 < block.width) push_errors<S, depth, false>(push, buffers, t0, t1, block.width);
  }
  return moves;
}

/// Writes back what moved.
template <class S>
HALFTONE_HOST_DEVICE void store_moves(const RefineBlock<S>& block, Index row, Index count, const DescentTile<S>& tile) {
  constexpr Index lanes = row_lanes<S>;
  for (Index r = 0; r < count; ++r)
    for (Index t = 0; t < block.width; ++t) {
      if (tile.error[t * lanes + r] == S(0)) continue;
      const Index column = block.columns[t];
      block.Q[(row + r) * block.ldq + column] = tile.value[t * lanes + r];
      if (!block.kept || block.kept[column] == 0)
        block.codes[(row + r) * block.ldcodes + column] = static_cast<std::uint8_t>(tile.code[t * lanes + r]);
    }
}

template <class S, class Lanes>
HALFTONE_HOST_DEVICE Index descend_rows(const RefineBlock<S>& block, const typename Lanes::Cells& cells, Index rows,
                                        S* workspace) {
  constexpr Index lanes = row_lanes<S>;
  const Index size = block.width * lanes;
  const DescentTile<S> tile{workspace, workspace + size, workspace + 2 * size, workspace + 3 * size};
  Index moves = 0;
  for (Index row = 0; row < rows; row += lanes) {
    const Index count = rows - row < lanes ? rows - row : lanes;
    load_columns(block.G + row * block.ldg, block.ldg, block.columns, count, block.width, tile.gradient);
    load_columns<S>(block.Q + row * block.ldq, block.ldq, block.columns, count, block.width, tile.value);
    const Index moved = descend_tile<S, Lanes>(block, cells, row, count, tile);
    store_rows(tile.error, count, block.width, block.E + row * block.lde, block.lde);
    if (moved > 0) store_moves(block, row, count, tile);
    moves += moved;
  }
  return moves;
}

/// See RefineKernels::descend.
template <class S>
Index descend(const RefineBlock<S>& block, const UniformCells<S>& cells, Index rows, S* workspace) {
  return descend_rows<S, UniformLanes<S>>(block, cells, rows, workspace);
}

/// See RefineKernels::descend_binary.
template <class S>
Index descend_binary(const RefineBlock<S>& block, const BinaryCells<S>& cells, Index rows, S* workspace) {
  if (cells.bits == 2) return descend_rows<S, BinaryLanes<S, 2>>(block, cells, rows, workspace);
  if (cells.bits == 3) return descend_rows<S, BinaryLanes<S, 3>>(block, cells, rows, workspace);
  return descend_rows<S, BinaryLanes<S, 4>>(block, cells, rows, workspace);
}

}  // namespace halftone::detail::HALFTONE_LEAF
