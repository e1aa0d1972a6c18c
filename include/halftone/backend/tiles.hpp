// How the output of a matrix product is cut into work for threads: by its shape alone, so that sums have one order for
// any number of threads.
#pragma once

#include <algorithm>
#include <vector>

#include "halftone/core/view.hpp"

namespace halftone::detail {

/// Rectangle of an output, and the range [first, last) of the inner dimension that contributes to it.
struct Tile {
  Index row, col, rows, cols;
  Index first, last;

  double flops() const { return 2.0 * static_cast<double>(rows * cols) * static_cast<double>(last - first); }
};

/// Sides of the tiles of an [m, n] output: at most 512, or 1024 where that leaves 64 of them and more (a library's
/// product packs its factors once a tile); halved down to 64 while there are fewer than 8.
struct TileSides {
  Index rows, cols;
};
constexpr TileSides tile_sides(Index m, Index n) {
  constexpr Index smallest = 64, wanted = 8;
  const Index largest = m * n >= Index{64} * 1024 * 1024 ? 1024 : 512;
  const auto pieces = [](Index size, Index side) { return (size + side - 1) / side; };
  const auto even = [&](Index size) {  // as few pieces as there must be, of nearly equal size
    const Index parts = std::max<Index>(1, pieces(size, largest));
    return std::max<Index>(32, (pieces(size, parts) + 31) / 32 * 32);
  };
  TileSides sides{even(m), even(n)};
  while (pieces(m, sides.rows) * pieces(n, sides.cols) < wanted && std::max(sides.rows, sides.cols) > smallest) {
    Index& longer = sides.rows >= sides.cols ? sides.rows : sides.cols;
    longer = std::max(smallest, (longer / 2 + 31) / 32 * 32);
  }
  return sides;
}

/// Cuts `whole` into tiles.
inline void cut(const Tile& whole, TileSides sides, std::vector<Tile>& tiles) {
  for (Index i = 0; i < whole.rows; i += sides.rows)
    for (Index j = 0; j < whole.cols; j += sides.cols)
      tiles.push_back({whole.row + i, whole.col + j, std::min(sides.rows, whole.rows - i),
                       std::min(sides.cols, whole.cols - j), whole.first, whole.last});
}

/// Most work first: the last tile to be finished is then a small one.
inline void sort_by_work(std::vector<Tile>& tiles) {
  std::stable_sort(tiles.begin(), tiles.end(), [](const Tile& a, const Tile& b) { return a.flops() > b.flops(); });
}

/// Tiles of a full product [m, k] x [k, n].
inline std::vector<Tile> cut_all(Index m, Index n, Index k) {
  std::vector<Tile> tiles;
  cut({0, 0, m, n, 0, k}, tile_sides(m, n), tiles);
  return tiles;
}

/// Cuts the upper triangle of the [n, n] square whose corner is (corner, corner): halves, quarters, ... down to
/// diagonal tiles of at most 128, so that little below the diagonal is computed.
inline void cut_triangle(Index corner, Index n, Index k, TileSides sides, std::vector<Tile>& tiles) {
  if (n <= 128) {
    if (n > 0) tiles.push_back({corner, corner, n, n, 0, k});
    return;
  }
  const Index half = std::min(n, ((n + 1) / 2 + 31) / 32 * 32);
  cut({corner, corner + half, half, n - half, 0, k}, sides, tiles);
  cut_triangle(corner, half, k, sides, tiles);
  cut_triangle(corner + half, n - half, k, sides, tiles);
}
inline std::vector<Tile> cut_upper(Index n, Index k) {
  std::vector<Tile> tiles;
  cut_triangle(0, n, k, tile_sides(n, n), tiles);
  sort_by_work(tiles);
  return tiles;
}

}  // namespace halftone::detail
