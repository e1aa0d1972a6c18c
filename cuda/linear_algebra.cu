// Linear algebra (linear_algebra.hpp) on the device: products by cuBLAS, the factorisation by cuSOLVER.
//
// A row-major matrix is its transpose to a column-major library, so C = A B is asked for as Cᵀ = Bᵀ Aᵀ.
// Floors: a product of m, n, k has 2·m·n·k flops, gemm_upper half of that; inverse_factor 2/3·n³, n³/3 in panels.
#include <algorithm>
#include <limits>

#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/backend/shapes.hpp"
#include "launch.cuh"
#include "libraries.hpp"

namespace halftone {
namespace {

/// Side of the tiles that a triangle is computed in: of an 8192-wide one a ninth more is computed than is needed.
constexpr Index tile = 1024;

template <class S>
Product product_of(Transpose a, Transpose b, double alpha, double beta, Index m, Index n, Index k,
                   MatrixView<const S> A, MatrixView<const S> B, Index ldc) {
  const Element results = element_of<S>() == Element::F64 ? Element::F64 : Element::F32;
  return {b == Transpose::Yes,
          a == Transpose::Yes,
          n,
          m,
          k,
          alpha,
          beta,
          element_of<S>(),
          results,
          std::max<Index>(B.stride, 1),
          std::max<Index>(A.stride, 1),
          std::max<Index>(ldc, 1)};
}

/// Where the operands and results of a batch of tiles start.
template <class S, class R>
struct TilePointers {
  std::vector<const S*> left, right;
  std::vector<R*> out;
};

/// C (upper triangle) = alpha · op(A) · op(B) + beta · C. Whole tiles in one batch; what is left of the last columns as
/// one product.
template <class S, class R>
void multiply_upper(const Context<Cuda>& context, Transpose a, Transpose b, double alpha, MatrixView<const S> A,
                    MatrixView<const S> B, double beta, MatrixView<R> C) {
  CudaLibraries& libraries = context.engine().libraries();
  const Index n = C.rows, k = a == Transpose::Yes ? A.rows : A.cols, side = std::min(tile, n);
  const auto rows_of_A = [&](Index i) { return a == Transpose::Yes ? A.data + i : A.data + i * A.stride; };
  const auto cols_of_B = [&](Index j) { return b == Transpose::Yes ? B.data + j * B.stride : B.data + j; };
  TilePointers<S, R> tiles;
  const Index whole = side == 0 ? 0 : n / side * side;
  for (Index i = 0; i < whole; i += side)
    for (Index j = i; j < whole; j += side) {
      tiles.left.push_back(cols_of_B(j));
      tiles.right.push_back(rows_of_A(i));
      tiles.out.push_back(&C(i, j));
    }
  const auto count = static_cast<Index>(tiles.out.size());
  if (count > 0) {
    const auto left = context.upload(MatrixView<const S* const>(tiles.left.data(), 1, count));
    const auto right = context.upload(MatrixView<const S* const>(tiles.right.data(), 1, count));
    const auto out = context.upload(MatrixView<R* const>(tiles.out.data(), 1, count));
    libraries.multiply_all(
        product_of(a, b, alpha, beta, side, side, k, A, B, C.stride), reinterpret_cast<const void* const*>(left.data()),
        reinterpret_cast<const void* const*>(right.data()), reinterpret_cast<void* const*>(out.data()), count);
  }
  if (whole < n)
    libraries.multiply(product_of(a, b, alpha, beta, n, n - whole, k, A, B, C.stride), cols_of_B(whole), rows_of_A(0),
                       &C(0, whole));
}

/// C *= beta where there is nothing to multiply.
template <class S>
void scale(const Context<Cuda>& context, S beta, MatrixView<S> C) {
  if (beta == S(0)) return set_zero(context, C);
  each_element(
      context, C.rows, C.cols, HALFTONE_LAMBDA(Index i, Index j) { C(i, j) *= beta; });
}

/// A(i, j) <-> A(n − 1 − i, n − 1 − j).
template <class S>
void turn_around(const Context<Cuda>& context, MatrixView<S> A) {
  const Index n = A.rows;
  each_element(
      context, (n + 1) / 2, n, HALFTONE_LAMBDA(Index i, Index j) {
        if (2 * i + 1 == n && j >= n / 2) return;  // the middle row turns in itself
        S& there = A(n - 1 - i, n - 1 - j);
        const S held = A(i, j);
        A(i, j) = there;
        there = held;
      });
}

/// C = alpha · op(A) · op(B) + beta · C with results in R.
template <class S, class R>
void multiply(const char* who, const Context<Cuda>& context, Transpose a, Transpose b, R alpha, MatrixView<const S> A,
              MatrixView<const S> B, R beta, MatrixView<R> C) {
  detail::require_product(who, a, b, A, B, C);
  const Index k = a == Transpose::Yes ? A.rows : A.cols;
  if (C.empty()) return;
  if (k == 0) return scale(context, beta, C);
  context.engine().libraries().multiply(product_of(a, b, alpha, beta, C.rows, C.cols, k, A, B, C.stride), B.data,
                                        A.data, C.data);
}

}  // namespace

template <class S>
void gemm(const Context<Cuda>& context, Transpose a, Transpose b, S alpha, std::type_identity_t<MatrixView<const S>> A,
          std::type_identity_t<MatrixView<const S>> B, S beta, std::type_identity_t<MatrixView<S>> C) {
  multiply<S, S>("gemm", context, a, b, alpha, A, B, beta, C);
}

template <class S>
void gemm_upper(const Context<Cuda>& context, Transpose a, Transpose b, S alpha,
                std::type_identity_t<MatrixView<const S>> A, std::type_identity_t<MatrixView<const S>> B, S beta,
                std::type_identity_t<MatrixView<S>> C) {
  detail::require_product("gemm_upper", a, b, A, B, C);
  require(C.rows == C.cols, Status::ShapeMismatch, "gemm_upper: C is ", C.rows, " x ", C.cols, ", wanted square");
  if (C.empty()) return;
  if ((a == Transpose::Yes ? A.rows : A.cols) == 0) return scale(context, beta, C);
  multiply_upper<S, S>(context, a, b, alpha, A, B, beta, C);
}

template <class T>
void narrow(const Context<Cuda>& context, MatrixView<const float> x, MatrixView<T> y) {
  require(x.rows == y.rows && x.cols == y.cols, Status::ShapeMismatch, "narrow: got ", x.rows, " x ", x.cols, " and ",
          y.rows, " x ", y.cols, ", wanted equal shapes");
  convert(context, x, y);
}

template <class T>
void negate(const Context<Cuda>& context, MatrixView<T> x) {
  each_element(
      context, x.rows, x.cols, HALFTONE_LAMBDA(Index i, Index j) { x(i, j) = -x(i, j); });
}

template <class T>
requires(sizeof(T) == 2) void gemm(const Context<Cuda>& context, Transpose a, Transpose b, MatrixView<const T> A,
                                   MatrixView<const T> B, bool add, MatrixView<float> C) {
  multiply<T, float>("gemm", context, a, b, 1.0f, A, B, add ? 1.0f : 0.0f, C);
}

template <class T>
void add_squares(const Context<Cuda>& context, MatrixView<const T> X, MatrixView<float> C) {
  require(C.rows == X.cols && C.cols == X.cols, Status::ShapeMismatch, "add_squares: C is ", C.rows, " x ", C.cols,
          ", wanted ", X.cols, " x ", X.cols);
  if (!X.empty()) multiply_upper<T, float>(context, Transpose::Yes, Transpose::No, 1, X, X, 1, C);
}

template <class S>
void mirror_upper(const Context<Cuda>& context, MatrixView<S> A) {
  require(A.rows == A.cols, Status::ShapeMismatch, "mirror_upper: A is ", A.rows, " x ", A.cols, ", wanted square");
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index i, Index j) {
        if (j < i) A(i, j) = A(j, i);
      });
}

template <class S>
Index inverse_factor(const Context<Cuda>& context, MatrixView<S> A, Index panel) {
  detail::require_panels(A.rows, A.cols, panel);
  const Index n = A.rows;
  if (n == 0) return -1;
  CudaLibraries& libraries = context.engine().libraries();
  turn_around(context, A);
  const Index failed = libraries.cholesky(element_of<S>(), n, A.data, A.stride);
  if (failed >= 0) return n - 1 - failed;
  const Index width = std::min(panel, n);
  for (Index first = 0; first < n; first += width) {
    const Index size = std::min(width, n - first), turned = n - first - size;
    const Index zero = libraries.invert_triangle(element_of<S>(), size, &A(turned, turned), A.stride);
    if (zero >= 0) return first + size - 1 - zero;
  }
  turn_around(context, A);
  each_element(
      context, n, n, HALFTONE_LAMBDA(Index i, Index j) {
        if (j < i) A(i, j) = S(0);
      });
  auto values = context.template allocate<S>(1, n);  // a pivot that is NaN or infinite fails no comparison
  S* const on_diagonal = values.data();
  each_element(
      context, 1, n, HALFTONE_LAMBDA(Index, Index i) {
        on_diagonal[i] = A(i, i) > S(0) ? A(i, i) : std::numeric_limits<S>::quiet_NaN();
      });
  const auto bad = find_nonfinite(context, MatrixView<const S>(values.view()));
  return bad ? bad->column : -1;
}

#define HALFTONE_INSTANTIATE(S)                                                                                        \
  template void gemm<S>(const Context<Cuda>&, Transpose, Transpose, S, MatrixView<const S>, MatrixView<const S>, S,    \
                        MatrixView<S>);                                                                                \
  template void gemm_upper<S>(const Context<Cuda>&, Transpose, Transpose, S, MatrixView<const S>, MatrixView<const S>, \
                              S, MatrixView<S>);                                                                       \
  template void mirror_upper<S>(const Context<Cuda>&, MatrixView<S>);                                                  \
  template Index inverse_factor<S>(const Context<Cuda>&, MatrixView<S>, Index);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE
template void narrow<BFloat16>(const Context<Cuda>&, MatrixView<const float>, MatrixView<BFloat16>);
template void negate<BFloat16>(const Context<Cuda>&, MatrixView<BFloat16>);
#define HALFTONE_INSTANTIATE(T)                                                                                     \
  template void gemm<T>(const Context<Cuda>&, Transpose, Transpose, MatrixView<const T>, MatrixView<const T>, bool, \
                        MatrixView<float>);                                                                         \
  template void add_squares<T>(const Context<Cuda>&, MatrixView<const T>, MatrixView<float>);
HALFTONE_INSTANTIATE(Float16)
HALFTONE_INSTANTIATE(BFloat16)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
