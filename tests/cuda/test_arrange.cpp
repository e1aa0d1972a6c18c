// Primitives that move and reduce, against those of the CPU.
#include <limits>

#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);

struct Shape {
  Index rows, cols;
};
const Shape shapes[] = {{1, 1}, {1, 300}, {65, 7}, {33, 129}, {130, 257}};

std::vector<std::int32_t> shuffled(Index count) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>((i * 7 + 3) % order.size());
  return order;
}

/// Runs `primitive(context, A of the backend)` on both backends and compares A bit for bit.
template <class S, class Primitive>
void check_same(const Context<Cuda>& context, const Matrix<S>& A, Primitive&& primitive) {
  Matrix<S> here = A;
  auto there = on_device(context, A);
  primitive(cpu, here);
  primitive(context, there);
  CHECK(on_host(context, there) == here);
}

}  // namespace

TEST_CASE("columns, squares and systems are gathered as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  for (const Shape& shape : shapes) {
    const auto order = shuffled(shape.cols);
    const auto A = random_matrix<float>(shape.rows, shape.cols, 1);
    check_same(context, A, [&](const auto& on, auto& matrix) { matrix = reordered(on, matrix, order); });

    const Index n = shape.cols;
    const auto H = random_matrix<float>(n, n, 2);
    std::vector<std::uint8_t> mask(order.size(), 0);
    mask[mask.size() / 2] = 1;
    std::vector<double> values(order.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0 + static_cast<double>(i) / 3;
    check_same(context, random_matrix<float>(n, n, 3), [&](const auto& on, auto& out) {
      const auto from = on.upload(H.view());
      gather_square(on, from.view(), 0, order.data(), mask.data(), 0.5f, out.view());
    });
    check_same(context, random_matrix<float>(n, n, 3), [&](const auto& on, auto& out) {
      const auto from = on.upload(H.view());
      gather_system(on, from.view(), 0, order.data(), mask.data(), values.data(), 0.25, out.view());
    });
    check_same(context, random_matrix<double>(n, n, 3), [&](const auto& on, auto& out) {
      const auto from = on.upload(H.view());
      gather_system(on, from.view(), 0, order.data(), mask.data(), values.data(), 0.3, out.view());
    });
    check_same(context, A, [&](const auto& on, auto& matrix) { clear_columns(on, matrix.view(), mask.data()); });
  }
}

TEST_CASE("squares and systems are gathered from any rows at a time, on both backends") {
  HALFTONE_DEVICE_CASE(context);
  for (const Index n : {1, 7, 45}) {
    const auto order = shuffled(n);
    const auto H = random_matrix<float>(n, n, 2), before = random_matrix<float>(n, n, 3);
    std::vector<std::uint8_t> mask(order.size(), 0);
    mask[mask.size() / 2] = 1;
    const std::vector<double> values(order.size(), 1.5);
    const auto gathered = [&](const auto& on, Index strip, bool square) {
      auto out = on.upload(before.view());
      const auto from = on.upload(H.view());
      for (Index first = 0; first < n; first += strip) {
        const auto rows = from.view().middle_rows(first, std::min(strip, n - first));
        if (square)
          gather_square(on, rows, first, order.data(), mask.data(), 0.5f, out.view());
        else
          gather_system(on, rows, first, order.data(), mask.data(), values.data(), 0.25, out.view());
      }
      return on.download(std::as_const(out).view());
    };
    for (const bool square : {false, true}) {
      const Matrix<float> whole = gathered(cpu, n, square);
      CHECK(!(whole == before));
      for (const Index strip : {1, 3, 44}) {
        CHECK(gathered(cpu, strip, square) == whole);
        CHECK(gathered(context, strip, square) == whole);
      }
    }
  }
}

TEST_CASE("matrices are set, converted and added as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  for (const Shape& shape : shapes) {
    const auto A = random_matrix<float>(shape.rows, shape.cols, 4), B = random_matrix<float>(shape.rows, shape.cols, 5);
    const auto square = random_matrix<float>(shape.cols, shape.cols, 6);
    const auto wide = random_matrix<double>(shape.rows, shape.cols, 7);
    check_same(context, square, [](const auto& on, auto& matrix) { set_identity(on, matrix.view()); });
    check_same(context, square, [](const auto& on, auto& matrix) { clear_lower(on, matrix.view()); });
    check_same(context, square, [](const auto& on, auto& matrix) { mirror_upper(on, matrix.view()); });
    check_same(context, A, [](const auto& on, auto& matrix) { set_zero(on, matrix.view()); });
    check_same(context, A, [](const auto& on, auto& matrix) {
      fill(on, matrix.view().middle_cols(0, (matrix.cols() + 1) / 2), 2.5f);
    });
    check_same(context, A, [&](const auto& on, auto& matrix) {
      const auto other = on.upload(B.view());
      add_scaled(on, matrix.view(), -0.5f, other.view());
    });
    check_same(context, A, [&](const auto& on, auto& matrix) {
      const auto from = on.upload(wide.view());
      convert(on, std::as_const(from).view(), matrix.view());
    });
  }
}

TEST_CASE("sums are those of the CPU to rounding, and the same twice") {
  HALFTONE_DEVICE_CASE(context);
  for (const Shape& shape : shapes) {
    const auto A = random_matrix<float>(shape.rows, shape.cols, 8), B = random_matrix<float>(shape.rows, shape.cols, 9);
    const auto a = on_device(context, A), b = on_device(context, B);
    const double size = inner_product(cpu, A.view(), A.view());
    const double sum = inner_product(context, a.view(), b.view());
    CHECK(std::abs(sum - inner_product(cpu, A.view(), B.view())) <= 1e-13 * size);
    CHECK(inner_product(context, a.view(), b.view()) == sum);
    CHECK(column_squares(context, a.view()) == column_squares(cpu, A.view()));
    RunningSum<Cuda> running(context, shape.rows);
    running.add(a.view(), a.view());
    running.add(b.view(), b.view());
    CHECK(running.value() == Approx(size + inner_product(cpu, B.view(), B.view())).epsilon(1e-13));
    const Index n = std::min(shape.rows, shape.cols);
    CHECK(diagonal(context, a.view().block(0, 0, n, n)) == diagonal(cpu, A.view().block(0, 0, n, n)));
  }
}

TEST_CASE("the first number that is not finite is found") {
  HALFTONE_DEVICE_CASE(context);
  for (const Shape& shape : shapes) {
    auto A = random_matrix<float>(shape.rows, shape.cols, 10);
    const auto whole = on_device(context, A);
    CHECK_FALSE(find_nonfinite(context, whole.view()).has_value());
    const Index row = shape.rows / 2, column = shape.cols - 1;
    A(shape.rows - 1, 0) = std::numeric_limits<float>::infinity();
    A(row, column) = std::numeric_limits<float>::quiet_NaN();
    const auto there = on_device(context, A);
    const auto found = find_nonfinite(context, there.view()), wanted = find_nonfinite(cpu, std::as_const(A).view());
    REQUIRE(found.has_value());
    CHECK(found->row == wanted->row);
    CHECK(found->column == wanted->column);
  }
}
