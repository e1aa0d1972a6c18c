// Rounding and clamping to cells (quantize.hpp) on the device: every element on its own, bound by memory.
#include "halftone/backend/cuda_primitives.hpp"
#include "rounders.cuh"

namespace halftone {
namespace {

template <class S>
HALFTONE_HOST_DEVICE S rounded(const UniformCells<S>& cells, Index group, Index row, S w, std::uint8_t& code) {
  UniformRounder<S> grid;
  grid.load(cells, group, row);
  return grid.round(w, code);
}
template <class S>
HALFTONE_HOST_DEVICE S rounded(const BinaryCells<S>& cells, Index group, Index row, S w, std::uint8_t& code) {
  const int count = 1 << cells.bits;
  const Index level = find_level(w, &cells.thresholds(group * (count - 1), row), cells.thresholds.stride, count);
  code = cells.codes(group * count + level, row);
  return cells.levels(group * count + level, row);
}

/// The groups of all columns on the device, as cells whose list is there.
template <class S, template <class> class Cells>
Cells<S> with_groups(const Cells<S>& cells, const CudaMatrix<std::int32_t>& groups) {
  Cells<S> there = cells;
  there.group_of_position = groups.data();
  return there;
}

}  // namespace

template <class S, template <class> class Cells>
void round_block(const Context<Cuda>& context, const Cells<S>& cells, MatrixView<S> W, MatrixView<std::uint8_t> codes) {
  require(codes.rows == W.rows && codes.cols == W.cols, Status::ShapeMismatch, "round_block: codes is ", codes.rows,
          " x ", codes.cols, ", wanted ", W.rows, " x ", W.cols);
  const auto groups = context.upload(MatrixView<const std::int32_t>(cells.group_of_position, 1, W.cols));
  const Cells<S> grid = with_groups(cells, groups);
  each_element(
      context, W.rows, W.cols, HALFTONE_LAMBDA(Index r, Index j) {
        W(r, j) = rounded(grid, grid.group_of_position[j], r, W(r, j), codes(r, j));
      });
}

template <class S, template <class> class Cells>
void clamp_block(const Context<Cuda>& context, const Cells<S>& cells, MatrixView<S> W) {
  const auto groups = context.upload(MatrixView<const std::int32_t>(cells.group_of_position, 1, W.cols));
  const Cells<S> grid = with_groups(cells, groups);
  each_element(
      context, W.rows, W.cols, HALFTONE_LAMBDA(Index r, Index j) {
        const Index group = grid.group_of_position[j];
        const S lowest = grid.lowest(group, r), highest = grid.highest(group, r), w = W(r, j);
        W(r, j) = w < lowest ? lowest : w > highest ? highest : w;
      });
}

#define HALFTONE_INSTANTIATE(Cells)                                                              \
  template void round_block<float>(const Context<Cuda>&, const Cells<float>&, MatrixView<float>, \
                                   MatrixView<std::uint8_t>);                                    \
  template void clamp_block<float>(const Context<Cuda>&, const Cells<float>&, MatrixView<float>);
HALFTONE_INSTANTIATE(UniformCells)
HALFTONE_INSTANTIATE(BinaryCells)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
