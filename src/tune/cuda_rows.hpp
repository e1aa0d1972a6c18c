// Rows of a matrix in training, and an optimiser's steps, on the CUDA backend: as in row_loops.hpp, for every kind that
// there is (cuda/train.cu).
#pragma once

#include "halftone/backend/cuda_primitives.hpp"
#include "tune/optimiser_steps.hpp"
#include "tune/trained_matrix.hpp"

namespace halftone::tune {

template <class Rows>
void start_rows(const Context<Cuda>& context, GridShape grids, const Rows& rows, MatrixView<const float> target,
                float margin);
template <class Rows>
void encode_rows(const Context<Cuda>& context, GridShape grids, const Rows& rows, const OutlierRows& outliers,
                 MatrixView<float> W);
template <class Rows>
void add_row_gradients(const Context<Cuda>& context, GridShape grids, const Rows& rows, const OutlierRows& outliers,
                       MatrixView<const float> dW);

template <class Step>
void each_parameter(const Context<Cuda>& context, Index count, const Step& step);

}  // namespace halftone::tune
