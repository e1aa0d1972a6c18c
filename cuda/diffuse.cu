// The column loop of error diffusion (quantize.hpp) on the device.
//
// Sixteen lanes share a row, and a row's block of up to 128 columns is in their registers, eight a lane. Columns go in
// sequence: the lane that holds column j shows w_j to the others, all of them round it and know its error, and each
// takes U_jc · e_j off the columns it holds. Nothing is written until the block is done.
//
// Floor for a block of width B on m rows: m·B² flops (half of the square, multiply and add), 13·m·B bytes (W twice, E,
// codes). What bounds it is the chain through the columns: a shuffle, two divisions and a rounding each.
#include <algorithm>

#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/backend/diffusion_block.hpp"
#include "rounders.cuh"

namespace halftone {
namespace {

/// One row of diffuse_block.
template <class S, class Rounder, bool Second>
struct DiffuseRow {
  static constexpr int lanes = 16, slots = static_cast<int>(block_columns) / lanes;
  detail::DiffusionBlock<S> block;
  typename Rounder::Cells cells;
  BlockGroups groups;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    const int width = static_cast<int>(block.width);
    typename T::template Lanes<S, slots> w, error, second, before;
    typename T::template Lanes<std::uint8_t, slots> codes;
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int s = 0; s < slots; ++s) {
        const int c = s * lanes + lane;
        w(s, lane) = c < width ? block.W[row * block.ldw + c] : S(0);
        if (Second) second(s, lane) = c < width ? block.second[row * block.ldsecond + c] : S(0);
      }
    });
    Rounder grid;
    int group = groups.of[0];
    grid.load(cells, group, row);
    HALFTONE_UNROLL
    for (int s = 0; s < slots; ++s) {
      for (int l = 0; l < lanes; ++l) {
        const int j = s * lanes + l;
        if (j >= width) break;
        if (groups.of[j] != group) grid.load(cells, group = groups.of[j], row);
        const S diagonal = block.U[j * block.ldu + j], unmoved = team.get(w, s, l);
        S moved = unmoved;
        if (Second) moved += block.strength * diagonal * team.get(second, s, l);
        std::uint8_t code;
        const S value = grid.round(moved, code), e = (unmoved - value) / diagonal;
        team.each_lane([&](int lane) {
          if (lane == l) {
            w(s, lane) = value;
            error(s, lane) = e;
            codes(s, lane) = code;
            if (Second) before(s, lane) = moved;
          }
          HALFTONE_UNROLL
          for (int t = s; t < slots; ++t) {
            const int c = t * lanes + lane;
            if (c <= j || c >= width) continue;
            w(t, lane) -= e * block.U[j * block.ldu + c];
            if (Second) second(t, lane) += moved * block.T[j * block.ldt + c];
          }
        });
      }
    }
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int s = 0; s < slots; ++s) {
        const int c = s * lanes + lane;
        if (c >= width) continue;
        block.W[row * block.ldw + c] = w(s, lane);
        block.E[row * block.lde + c] = error(s, lane);
        block.codes[row * block.ldcodes + c] = codes(s, lane);
        if (Second) block.before[row * block.ldbefore + c] = before(s, lane);
      }
    });
  }
};

/// Up to block_columns columns.
template <class S, template <class> class Cells>
void diffuse_columns(const Context<Cuda>& context, const Cells<S>& cells, MatrixView<const S> U, MatrixView<S> W,
                     MatrixView<S> E, MatrixView<std::uint8_t> codes, const SecondUpdate<S>& second) {
  const detail::DiffusionBlock<S> block = detail::diffusion_block(U, W, E, codes, second);
  const BlockGroups groups = block_groups(cells.group_of_position, W.cols);
  with_rounder(cells, [&](auto rounder) {
    using Rounder = decltype(rounder);
    if (second.T.empty())
      each_row(context, W.rows, DiffuseRow<S, Rounder, false>{block, cells, groups});
    else
      each_row(context, W.rows, DiffuseRow<S, Rounder, true>{block, cells, groups});
  });
}

}  // namespace

template <class S, template <class> class Cells>
void diffuse_block(const Context<Cuda>& context, const Cells<S>& cells, MatrixView<const S> U, MatrixView<S> W,
                   MatrixView<S> E, MatrixView<std::uint8_t> codes, const SecondUpdate<S>& second) {
  const Index rows = W.rows, width = W.cols;
  const bool twice = !second.T.empty();
  detail::require_diffusion(U, W, E, codes, second);
  if (rows == 0 || width == 0) return;
  // Wider blocks are cut, and what a piece's columns do to those behind it in the block is a product.
  CudaMatrix<S> sums;
  SecondUpdate<S> piece = second;
  if (twice && width > block_columns) {
    sums = context.copy(second.second);
    piece.second = sums.view();
  }
  for (Index a = 0; a < width; a += block_columns) {
    const Index count = std::min(block_columns, width - a), b = a + count, rest = width - b;
    Cells<S> own = cells;
    own.group_of_position += a;
    SecondUpdate<S> inside = second;
    if (twice) {
      inside.T = second.T.block(a, a, count, count);
      inside.second = piece.second.middle_cols(a, count);
      inside.before = second.before.middle_cols(a, count);
    }
    diffuse_columns<S, Cells>(context, own, U.block(a, a, count, count), W.middle_cols(a, count),
                              E.middle_cols(a, count), codes.middle_cols(a, count), inside);
    if (rest == 0) break;
    gemm<S>(context, Transpose::No, Transpose::No, S(-1), E.middle_cols(a, count), U.block(a, b, count, rest), S(1),
            W.middle_cols(b, rest));
    if (twice)
      gemm<S>(context, Transpose::No, Transpose::No, S(1), inside.before, second.T.block(a, b, count, rest), S(1),
              sums.view().middle_cols(b, rest));
  }
}

#define HALFTONE_INSTANTIATE(Cells)                                                                      \
  template void diffuse_block<float>(const Context<Cuda>&, const Cells<float>&, MatrixView<const float>, \
                                     MatrixView<float>, MatrixView<float>, MatrixView<std::uint8_t>,     \
                                     const SecondUpdate<float>&);
HALFTONE_INSTANTIATE(UniformCells)
HALFTONE_INSTANTIATE(BinaryCells)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
