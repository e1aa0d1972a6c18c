#include "halftone/quant/packing.hpp"

#include <algorithm>  // min
#include <utility>    // swap

#include "halftone/core/parallel.hpp"
#include "quant/packing_run.hpp"
#include "quant/transpose_words.hpp"

namespace halftone {
namespace {

void check_shapes(Index rows, Index cols, int bits, WordLayout layout, Index word_rows, Index word_cols) {
  require(bits >= 2 && bits <= 8, Status::InvalidArgument, "packing: codes of ", bits, " bits, wanted 2 .. 8");
  Index wanted_rows = rows, wanted_cols = packed_words(cols, bits);
  if (layout == WordLayout::Columns) std::swap(wanted_rows, wanted_cols);
  require(word_rows == wanted_rows && word_cols == wanted_cols, Status::ShapeMismatch, "packing: words of [", word_rows,
          ", ", word_cols, "] for codes [", rows, ", ", cols, "] of ", bits, " bits, wanted [", wanted_rows, ", ",
          wanted_cols, "]");
}

constexpr Index piece_codes = 1 << 18;  // that one parallel unit works on
constexpr Index tile_rows = 32;         // of WordLayout::Columns: two cache lines of words
constexpr Index tile_cols = 512;        // codes of a row of a tile; whole words for every width
constexpr Index tile_words = tile_cols / 4;

Index rows_per_piece(Index cols) {
  const Index rows = std::max<Index>(1, piece_codes / std::max<Index>(1, cols));
  return (rows + tile_rows - 1) / tile_rows * tile_rows;
}

/// The words of a tile, a row a row of codes.
struct alignas(64) Tile {
  std::uint32_t words[tile_rows][tile_words];
  std::byte* row(Index i) { return reinterpret_cast<std::byte*>(words[i]); }
  static constexpr Index room = tile_words * 4;  // bytes of a row
};

/// Calls body(row, rows, col, cols) for every tile of rows [first, last).
template <class Body>
void for_each_tile(Index first, Index last, Index cols, Body&& body) {
  for (Index row = first; row < last; row += tile_rows)
    for (Index col = 0; col < cols; col += tile_cols)
      body(row, std::min(tile_rows, last - row), col, std::min(tile_cols, cols - col));
}

}  // namespace

void pack_codes(MatrixView<const std::uint8_t> codes, int bits, WordLayout layout, MatrixView<std::uint32_t> words,
                int threads) {
  check_shapes(codes.rows, codes.cols, bits, layout, words.rows, words.cols);
  const auto isa = detail::best_packing_isa();
  parallel_pieces(threads, codes.rows, rows_per_piece(codes.cols), [&](Index first, Index last) {
    std::uint64_t seen = 0;
    if (layout == WordLayout::Rows) {
      for (Index i = first; i < last; ++i)
        seen |= detail::pack_run(isa, bits, codes.row(i), codes.cols, reinterpret_cast<std::byte*>(words.row(i)),
                                 words.cols * 4);
    } else {
      for_each_tile(first, last, codes.cols, [&](Index row, Index rows, Index col, Index cols) {
        Tile tile;
        for (Index i = 0; i < rows; ++i)
          seen |= detail::pack_run(isa, bits, codes.row(row + i) + col, cols, tile.row(i), Tile::room);
        const Index count = packed_words(cols, bits);
        detail::transpose_words<true>({tile.words[0], rows, count, tile_words},
                                      words.block(packed_words(col, bits), row, count, rows));
      });
      detail::finish_streaming();
    }
    const std::uint64_t beyond = static_cast<std::uint8_t>(0xff << bits) * 0x0101010101010101u;
    require((seen & beyond) == 0, Status::InvalidArgument, "packing: a code of rows ", first, " .. ", last - 1,
            " does not fit in ", bits, " bits");
  });
}

Matrix<std::uint32_t> pack_codes(MatrixView<const std::uint8_t> codes, int bits, WordLayout layout, int threads) {
  const Index length = packed_words(codes.cols, bits);
  auto words = layout == WordLayout::Rows ? Matrix<std::uint32_t>(codes.rows, length)
                                          : Matrix<std::uint32_t>(length, codes.rows);
  pack_codes(codes, bits, layout, words, threads);
  return words;
}

void unpack_codes(MatrixView<const std::uint32_t> words, int bits, WordLayout layout, MatrixView<std::uint8_t> codes,
                  int threads) {
  check_shapes(codes.rows, codes.cols, bits, layout, words.rows, words.cols);
  const auto isa = detail::best_packing_isa();
  parallel_pieces(threads, codes.rows, rows_per_piece(codes.cols), [&](Index first, Index last) {
    if (layout == WordLayout::Rows) {
      for (Index i = first; i < last; ++i)
        detail::unpack_run(isa, bits, reinterpret_cast<const std::byte*>(words.row(i)), words.cols * 4, codes.cols,
                           codes.row(i));
      return;
    }
    for_each_tile(first, last, codes.cols, [&](Index row, Index rows, Index col, Index cols) {
      Tile tile;
      const Index count = packed_words(cols, bits);
      detail::transpose_words<false>(words.block(packed_words(col, bits), row, count, rows),
                                     {tile.words[0], rows, count, tile_words});
      for (Index i = 0; i < rows; ++i)
        detail::unpack_run(isa, bits, tile.row(i), Tile::room, cols, codes.row(row + i) + col);
    });
  });
}

Matrix<std::uint8_t> transposed(MatrixView<const std::uint8_t> matrix) {
  Matrix<std::uint8_t> result(matrix.cols, matrix.rows);
  for (Index i = 0; i < matrix.rows; ++i)
    for (Index j = 0; j < matrix.cols; ++j) result(j, i) = matrix(i, j);
  return result;
}

}  // namespace halftone
