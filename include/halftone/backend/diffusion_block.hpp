// What diffuse_block (quantize.hpp) checks and hands to its kernels, on every backend.
#pragma once

#include "halftone/backend/cpu_kernels.hpp"
#include "halftone/backend/shapes.hpp"

namespace halftone {

template <class S>
struct SecondUpdate;  // quantize.hpp

namespace detail {

/// Throws Status::ShapeMismatch unless the matrices of diffuse_block fit W.
template <class S>
void require_diffusion(MatrixView<const S> U, MatrixView<S> W, MatrixView<S> E, MatrixView<std::uint8_t> codes,
                       const SecondUpdate<S>& second) {
  const auto fits = [](const char* what, const auto& got, Index rows, Index cols) {
    require_shape("diffuse_block", what, got.rows, got.cols, rows, cols);
  };
  fits("codes", codes, W.rows, W.cols);
  fits("U", U, W.cols, W.cols);
  fits("E", E, W.rows, W.cols);
  if (second.T.empty()) return;
  fits("T", second.T, W.cols, W.cols);
  fits("second", second.second, W.rows, W.cols);
  fits("before", second.before, W.rows, W.cols);
}

/// W and codes alone: rounding without diffusion.
template <class S>
DiffusionBlock<S> rounding_block(MatrixView<S> W, MatrixView<std::uint8_t> codes) {
  DiffusionBlock<S> block{};
  block.width = W.cols;
  block.W = W.data;
  block.ldw = W.stride;
  block.codes = codes.data;
  block.ldcodes = codes.stride;
  return block;
}

template <class S>
DiffusionBlock<S> diffusion_block(MatrixView<const S> U, MatrixView<S> W, MatrixView<S> E,
                                  MatrixView<std::uint8_t> codes, const SecondUpdate<S>& second) {
  DiffusionBlock<S> block = rounding_block(W, codes);
  block.U = U.data;
  block.ldu = U.stride;
  block.E = E.data;
  block.lde = E.stride;
  if (second.T.empty()) return block;
  block.T = second.T.data;
  block.ldt = second.T.stride;
  block.strength = second.strength;
  block.second = second.second.data;
  block.ldsecond = second.second.stride;
  block.before = second.before.data;
  block.ldbefore = second.before.stride;
  return block;
}

}  // namespace detail
}  // namespace halftone
