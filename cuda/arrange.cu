// Primitives that move and reduce matrices (arrange.hpp) on the device. All are bound by memory: the bytes of what is
// read and written once, over the device's bandwidth.
#include "halftone/backend/cuda_primitives.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

/// A list of the host's on the device.
template <class T>
CudaMatrix<T> list_on_device(const Context<Cuda>& context, const T* list, Index count) {
  return context.upload(MatrixView<const T>(list, 1, count));
}

/// sums[row] += Σ_j A(row, j) · B(row, j), lane by lane.
template <class S>
struct AddRowProducts {
  static constexpr int lanes = 32;
  MatrixView<const S> A, B;
  double* sums;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    const double total = team_sum(
        team, A.cols, [&](Index j) { return static_cast<double>(A(row, j)) * static_cast<double>(B(row, j)); });
    team.each_lane([&](int lane) {
      if (lane == 0) sums[row] += total;
    });
  }
};

/// Lowers *first to the place, row by row, of the first element that is not finite.
template <class S>
struct FindNonfinite {
  static constexpr int lanes = 32;
  MatrixView<const S> A;
  unsigned long long* first;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    team.each_lane([&](int lane) {
      for (Index j = lane; j < A.cols; j += lanes)
        if (!all_finite(1, &A(row, j))) {
          team.lower(first, static_cast<unsigned long long>(row * A.cols + j));
          break;
        }
    });
  }
};

/// sums[j] = Σ_r A(r, j)², rows in their order.
template <class S>
struct SumColumnSquares {
  MatrixView<const S> A;
  double* sums;
  HALFTONE_HOST_DEVICE void operator()(Index, Index j) const {
    double sum = 0;
    for (Index r = 0; r < A.rows; ++r) sum += static_cast<double>(A(r, j)) * static_cast<double>(A(r, j));
    sums[j] = sum;
  }
};

}  // namespace

template <class T>
void gather_columns(const Context<Cuda>& context, std::type_identity_t<MatrixView<const T>> A,
                    const std::int32_t* order, MatrixView<T> out) {
  const auto list = list_on_device(context, order, out.cols);
  const std::int32_t* const column = list.data();
  each_element(
      context, out.rows, out.cols, HALFTONE_LAMBDA(Index r, Index j) { out(r, j) = A(r, column[j]); });
}

template <class S>
void set_identity(const Context<Cuda>& context, MatrixView<S> A) {
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index i, Index j) { A(i, j) = i == j ? S(1) : S(0); });
}

template <class T>
void clear_columns(const Context<Cuda>& context, MatrixView<T> A, const std::uint8_t* mask) {
  const auto list = list_on_device(context, mask, A.cols);
  const std::uint8_t* const cleared = list.data();
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index r, Index j) {
        if (cleared[j] != 0) A(r, j) = T(0);
      });
}

template <class T, class S>
void convert(const Context<Cuda>& context, MatrixView<const T> A, MatrixView<S> out) {
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index r, Index j) { out(r, j) = static_cast<S>(A(r, j)); });
}

template <class S>
void add_scaled(const Context<Cuda>& context, MatrixView<S> A, S alpha, std::type_identity_t<MatrixView<const S>> B) {
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index r, Index j) { A(r, j) += alpha * B(r, j); });
}

template <class S>
void fill(const Context<Cuda>& context, MatrixView<S> A, S value) {
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index r, Index j) { A(r, j) = value; });
}

template <class S>
void set_zero(const Context<Cuda>& context, MatrixView<S> A) {
  constexpr auto size = static_cast<Index>(sizeof(S));
  context.engine().device().zero(A.data, A.stride * size, A.cols * size, A.rows);
}

template <class S>
std::optional<Position> find_nonfinite(const Context<Cuda>& context, MatrixView<const S> A) {
  if (A.empty()) return std::nullopt;
  const unsigned long long none = ~0ull;
  auto first = context.upload(MatrixView<const unsigned long long>(&none, 1, 1));
  each_row(context, A.rows, FindNonfinite<S>{A, first.data()});
  const unsigned long long found = context.download(std::as_const(first).view())(0, 0);
  if (found == none) return std::nullopt;
  return Position{static_cast<Index>(found) / A.cols, static_cast<Index>(found) % A.cols};
}

template <class S>
std::vector<double> diagonal(const Context<Cuda>& context, MatrixView<const S> A) {
  auto values = context.template allocate<double>(1, A.rows);
  double* const out = values.data();
  each_element(
      context, 1, A.rows, HALFTONE_LAMBDA(Index, Index i) { out[i] = static_cast<double>(A(i, i)); });
  const Matrix<double> host = context.download(std::as_const(values).view());
  return {host.data(), host.data() + host.size()};
}

template <class S>
void gather_square(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> A, Index first_row,
                   const std::int32_t* order, const std::uint8_t* mask, S scale, MatrixView<S> out) {
  const auto orders = list_on_device(context, order, out.cols);
  const auto masks = list_on_device(context, mask, out.cols);
  const std::int32_t* const at = orders.data();
  const std::uint8_t* const cleared = masks.data();
  each_element(
      context, out.rows, out.cols, HALFTONE_LAMBDA(Index i, Index j) {
        const Index row = at[i] - first_row;
        if (row < 0 || row >= A.rows) return;
        out(i, j) = cleared[at[j]] != 0 ? S(0) : scale * A(row, at[j]);
      });
}

template <class S>
void clear_lower(const Context<Cuda>& context, MatrixView<S> A) {
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index i, Index j) {
        if (j <= i) A(i, j) = S(0);
      });
}

template <class S>
std::vector<double> column_squares(const Context<Cuda>& context, MatrixView<const S> A) {
  auto sums = context.template allocate<double>(1, A.cols);
  each_element(context, 1, A.cols, SumColumnSquares<S>{A, sums.data()});
  const Matrix<double> host = context.download(std::as_const(sums).view());
  return {host.data(), host.data() + host.size()};
}

template <class S, class T>
void gather_system(const Context<Cuda>& context, MatrixView<const S> H, Index first_row, const std::int32_t* order,
                   const std::uint8_t* mask, const double* values, double scale, MatrixView<T> out) {
  const auto orders = list_on_device(context, order, out.cols);
  const auto masks = list_on_device(context, mask, out.cols);
  const auto diagonals = list_on_device(context, values, out.cols);
  const std::int32_t* const at = orders.data();
  const std::uint8_t* const cleared = masks.data();
  const double* const on_diagonal = diagonals.data();
  each_element(
      context, out.rows, out.cols, HALFTONE_LAMBDA(Index i, Index j) {
        const Index row = at[i] - first_row;
        if (j < i || row < 0 || row >= H.rows) return;
        if (j == i)
          out(i, i) = static_cast<T>(on_diagonal[at[i]]);
        else
          out(i, j) = cleared[at[i]] != 0 || cleared[at[j]] != 0
                          ? T(0)
                          : static_cast<T>(scale * static_cast<double>(H(row, at[j])));
      });
}

RunningSum<Cuda>::RunningSum(const Context<Cuda>& context, Index rows)
    : context_(&context), sums_(context.allocate<double>(1, rows)) {
  set_zero(context, sums_.view());
}
void RunningSum<Cuda>::add(MatrixView<const float> A, MatrixView<const float> B) {
  each_row(*context_, A.rows, AddRowProducts<float>{A, B, sums_.data()});
}
double RunningSum<Cuda>::value() const {
  const Matrix<double> rows = context_->download(sums_.view());
  double total = 0;
  for (Index r = 0; r < rows.size(); ++r) total += rows.data()[r];
  return total;
}

#define HALFTONE_INSTANTIATE_ANY(T)                                                                               \
  template void gather_columns<T>(const Context<Cuda>&, MatrixView<const T>, const std::int32_t*, MatrixView<T>); \
  template void set_zero<T>(const Context<Cuda>&, MatrixView<T>);
#define HALFTONE_INSTANTIATE(S)                                                                                    \
  HALFTONE_INSTANTIATE_ANY(S)                                                                                      \
  template void set_identity<S>(const Context<Cuda>&, MatrixView<S>);                                              \
  template std::optional<Position> find_nonfinite<S>(const Context<Cuda>&, MatrixView<const S>);                   \
  template void gather_system<float, S>(const Context<Cuda>&, MatrixView<const float>, Index, const std::int32_t*, \
                                        const std::uint8_t*, const double*, double, MatrixView<S>);
HALFTONE_INSTANTIATE_ANY(std::uint8_t)
HALFTONE_INSTANTIATE_ANY(unsigned long long)
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
template std::optional<Position> find_nonfinite<Float16>(const Context<Cuda>&, MatrixView<const Float16>);
template std::optional<Position> find_nonfinite<BFloat16>(const Context<Cuda>&, MatrixView<const BFloat16>);
template void clear_columns<float>(const Context<Cuda>&, MatrixView<float>, const std::uint8_t*);
template void convert<float, float>(const Context<Cuda>&, MatrixView<const float>, MatrixView<float>);
template void convert<double, float>(const Context<Cuda>&, MatrixView<const double>, MatrixView<float>);
template void convert<Float16, float>(const Context<Cuda>&, MatrixView<const Float16>, MatrixView<float>);
template void convert<BFloat16, float>(const Context<Cuda>&, MatrixView<const BFloat16>, MatrixView<float>);
template void convert<float, BFloat16>(const Context<Cuda>&, MatrixView<const float>, MatrixView<BFloat16>);
template void add_scaled<float>(const Context<Cuda>&, MatrixView<float>, float, MatrixView<const float>);
template void fill<float>(const Context<Cuda>&, MatrixView<float>, float);
template std::vector<double> diagonal<float>(const Context<Cuda>&, MatrixView<const float>);
template void gather_square<float>(const Context<Cuda>&, MatrixView<const float>, Index, const std::int32_t*,
                                   const std::uint8_t*, float, MatrixView<float>);
template void clear_lower<float>(const Context<Cuda>&, MatrixView<float>);
template std::vector<double> column_squares<float>(const Context<Cuda>&, MatrixView<const float>);
#undef HALFTONE_INSTANTIATE
#undef HALFTONE_INSTANTIATE_ANY

}  // namespace halftone
