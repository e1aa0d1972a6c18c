// Gradients against finite differences, in double.
#pragma once

#include <cmath>

#include "halftone/core/matrix.hpp"

namespace halftone::test {

/// Σ a · b: as a loss, its derivative by a is b.
inline double product_sum(const Matrix<double>& a, const Matrix<double>& b) {
  double sum = 0;
  for (Index i = 0; i < a.size(); ++i) sum += a.data()[i] * b.data()[i];
  return sum;
}

/// Largest |dx − (loss(x + h) − loss(x − h)) / 2h| over every `stride`-th element of x, divided by the largest |dx|.
/// Errors: h² times third derivatives, and roundings of the loss over h.
template <class Loss>
double gradient_error(Matrix<double>& x, const Matrix<double>& dx, Loss loss, Index stride = 1, double h = 1e-5) {
  double most = 0, largest = 1e-3;
  for (Index i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(dx.data()[i]));
  for (Index i = 0; i < x.size(); i += stride) {
    const double before = x.data()[i];
    x.data()[i] = before + h;
    const double above = loss();
    x.data()[i] = before - h;
    const double below = loss();
    x.data()[i] = before;
    const double error = std::abs(dx.data()[i] - (above - below) / (2 * h));
    most = error <= most ? most : error;  // a NaN stays
  }
  return most / largest;
}

}  // namespace halftone::test
