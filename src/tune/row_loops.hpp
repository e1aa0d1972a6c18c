// Rows of a matrix in training on the CPU: a thread takes a few of them, one after the other.
#pragma once

#include "tune/team.hpp"
#include "tune/trained_matrix.hpp"

namespace halftone::tune {

/// body(r) for every row, in parallel.
template <class Body>
void each_trained_row(const Context<Cpu>& context, Index rows, Body&& body) {
  constexpr Index rows_per_piece = 4;
  parallel_pieces(context.threads(), rows, rows_per_piece, [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) body(r);
  });
}

/// Latent numbers of all rows at the start; target [out, in].
template <class Rows>
void start_rows(const Context<Cpu>& context, GridShape grids, const Rows& rows, MatrixView<const float> target,
                float margin) {
  each_trained_row(context, grids.rows, [&](Index r) {
    for (Index g = 0; g < grids.groups; ++g) {
      if constexpr (BeginsGroups<Rows>) rows.begin_group(r, g);
      rows.start(OneLane(), r, g, target.row(r), margin);
    }
  });
}

/// Codes and grids of all rows, and W [out, in] unless it has no data.
template <class Rows>
void encode_rows(const Context<Cpu>& context, GridShape grids, const Rows& rows, const OutlierRows& outliers,
                 MatrixView<float> W) {
  each_trained_row(context, grids.rows, [&](Index r) {
    float* const out = W.data == nullptr ? nullptr : W.row(r);
    for (Index g = 0; g < grids.groups; ++g) rows.encode_group(r, g);
    for (Index g = 0; g < grids.groups; ++g) rows.encode(OneLane(), r, g, out);
    for (Index k = 0; k < outliers.count; ++k) outliers.encode(r, k, out);
  });
}

/// Adds what dW [out, in] means to the gradients of all rows.
template <class Rows>
void add_row_gradients(const Context<Cpu>& context, GridShape grids, const Rows& rows, const OutlierRows& outliers,
                       MatrixView<const float> dW) {
  each_trained_row(context, grids.rows, [&](Index r) {
    for (Index g = 0; g < grids.groups; ++g) rows.add(OneLane(), r, g, dW.row(r));
    for (Index k = 0; outliers.moved != nullptr && k < outliers.count; ++k) outliers.add(r, k, dW.row(r));
  });
}

}  // namespace halftone::tune
