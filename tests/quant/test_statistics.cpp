#include "halftone/quant/statistics.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <thread>

#include "random_matrix.hpp"

using namespace halftone;
using halftone::test::random_inputs;
using halftone::test::random_matrix;

namespace {

/// Σ aᵀb in double, token by token.
template <class S>
Matrix<double> naive_moments(const Matrix<S>& A, const Matrix<S>& B) {
  Matrix<double> sums(A.cols(), B.cols(), 0.0);
  for (Index t = 0; t < A.rows(); ++t)
    for (Index i = 0; i < A.cols(); ++i)
      for (Index j = 0; j < B.cols(); ++j) sums(i, j) += static_cast<double>(A(t, i)) * static_cast<double>(B(t, j));
  return sums;
}

/// Largest difference over the largest element.
template <class S>
double relative_difference(const Matrix<S>& got, const Matrix<double>& wanted) {
  double difference = 0, largest = 0;
  for (Index i = 0; i < wanted.rows(); ++i)
    for (Index j = 0; j < wanted.cols(); ++j) {
      difference = std::max(difference, std::abs(static_cast<double>(got(i, j)) - wanted(i, j)));
      largest = std::max(largest, std::abs(wanted(i, j)));
    }
  return difference / largest;
}

}  // namespace

TEMPLATE_TEST_CASE("batches sum to the plain products", "", float, double) {
  const double tolerance = std::is_same_v<TestType, float> ? 2e-6 : 1e-14;
  const Context<Cpu> context(2);
  const Index width = 37;
  const auto X = random_inputs<TestType>(90, width, 1), X_fp = random_inputs<TestType>(90, width, 2);
  InputStatistics<TestType> statistics(context, width, Moments::Cross);
  for (Index first : {0, 1, 50}) {
    const Index count = first == 0 ? 1 : first == 1 ? 49 : 40;
    statistics.add(X.view().middle_rows(first, count), X_fp.view().middle_rows(first, count));
  }
  CHECK(statistics.tokens() == 90);
  Matrix<TestType> difference(X_fp);
  for (Index i = 0; i < X.rows(); ++i)
    for (Index j = 0; j < width; ++j) difference(i, j) -= X(i, j);
  CHECK(relative_difference(statistics.second_moments(), naive_moments(X, X)) < tolerance);
  CHECK(relative_difference(statistics.cross_moments(), naive_moments(difference, X)) < tolerance);
}

TEST_CASE("adding after reading goes on where it was") {
  const Context<Cpu> context(1);
  const auto X = random_inputs<float>(40, 9, 3);
  InputStatistics<float> interrupted(context, 9, Moments::Second), straight(context, 9, Moments::Second);
  interrupted.add(X.view().middle_rows(0, 20));
  CHECK(interrupted.second_moments()(3, 1) == interrupted.second_moments()(1, 3));
  interrupted.add(X.view().middle_rows(20, 20));
  straight.add(X.view().middle_rows(0, 20));
  straight.add(X.view().middle_rows(20, 20));
  CHECK(interrupted.second_moments() == straight.second_moments());
}

TEST_CASE("statistics are the same bytes on one thread and on several") {
  const auto X = random_inputs<float>(333, 150, 4), X_fp = random_inputs<float>(333, 150, 5);
  const Context<Cpu> one(1), three(3);
  InputStatistics<float> a(one, 150, Moments::Cross), b(three, 150, Moments::Cross);
  a.add(X, X_fp);
  b.add(X, X_fp);
  CHECK(a.second_moments() == b.second_moments());
  CHECK(a.cross_moments() == b.cross_moments());
}

TEST_CASE("merging parts is adding them") {
  const Context<Cpu> context(1);
  const auto X = random_inputs<double>(60, 21, 6), X_fp = random_inputs<double>(60, 21, 7);
  InputStatistics<double> whole(context, 21, Moments::Cross), first(context, 21, Moments::Cross), second = first;
  whole.add(X, X_fp);
  first.add(X.view().middle_rows(0, 25), X_fp.view().middle_rows(0, 25));
  CHECK(first.second_moments()(0, 0) > 0);  // mirrored before the merge
  second.add(X.view().middle_rows(25, 35), X_fp.view().middle_rows(25, 35));
  first.merge(second);
  CHECK(first.tokens() == 60);
  CHECK(relative_difference(first.second_moments(), Matrix<double>(whole.second_moments())) < 1e-14);
  CHECK(relative_difference(first.cross_moments(), Matrix<double>(whole.cross_moments())) < 1e-14);
  CHECK_THROWS_WITH(first.merge(InputStatistics<double>(context, 21, Moments::Second)),
                    Catch::Contains("merging width 21 with moments 1 into width 21 with moments 2"));
  CHECK_THROWS_AS(first.merge(InputStatistics<double>(context, 20, Moments::Cross)), Error);
}

TEST_CASE("inputs that are not finite are refused, named, and leave the sums as they were") {
  const Context<Cpu> context(2);
  const auto X = random_inputs<float>(30, 12, 8);
  InputStatistics<float> statistics(context, 12, Moments::Cross);
  statistics.add(X, X);
  const Matrix<float> before = statistics.second_moments();
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    Matrix<float> broken = X;
    broken(17, 5) = bad;
    CHECK_THROWS_WITH(statistics.add(broken), Catch::Contains("at token 17, column 5 of the batch"));
    CHECK_THROWS_WITH(statistics.add(X, broken), Catch::Contains("the full-precision X"));
  }
  CHECK_THROWS_WITH(statistics.add(X.view().middle_cols(0, 11)), Catch::Contains("X is 30 x 11, wanted 12 columns"));
  CHECK_THROWS_WITH(statistics.add(X.view().middle_rows(0, 29), X), Catch::Contains("29 tokens"));
  CHECK(statistics.tokens() == 30);
  CHECK(statistics.second_moments() == before);
}

TEST_CASE("what was not kept cannot be read") {
  const Context<Cpu> context(1);
  InputStatistics<float> none(context, 3, Moments::None), second(context, 3, Moments::Second);
  none.add(random_inputs<float>(5, 3, 9));
  CHECK(none.tokens() == 5);
  CHECK_THROWS_WITH(none.second_moments(), Catch::Contains("no second moments"));
  CHECK_THROWS_WITH(second.cross_moments(), Catch::Contains("no cross moments"));
  CHECK_THROWS_WITH(InputStatistics<float>(context, 0, Moments::None), Catch::Contains("width is 0"));
}

TEST_CASE("a pair of equal streams has no cross moments; a single stream counts as such a pair") {
  const Context<Cpu> context(1);
  const auto X = random_inputs<float>(20, 6, 10);
  InputStatistics<float> pair(context, 6, Moments::Cross), single(context, 6, Moments::Cross);
  pair.add(X, X);
  single.add(X);
  CHECK(pair.cross_moments() == Matrix<float>(6, 6, 0.0f));
  CHECK(single.cross_moments() == pair.cross_moments());
  CHECK(single.second_moments() == pair.second_moments());
}

TEST_CASE("sums made elsewhere are taken over, the lower triangle unread") {
  const Context<Cpu> context(1);
  Matrix<float> H = random_matrix<float>(4, 4, 11);
  for (Index i = 0; i < 4; ++i) H(i, i) = 5;
  H(3, 0) = std::numeric_limits<float>::quiet_NaN();
  const auto statistics = InputStatistics<float>::from_sums(context, 7, H);
  CHECK(statistics.tokens() == 7);
  CHECK(statistics.moments() == Moments::Second);
  CHECK(statistics.second_moments()(3, 0) == H(0, 3));
  H(0, 3) = H(3, 0);
  CHECK_THROWS_WITH(InputStatistics<float>::from_sums(context, 7, H), Catch::Contains("row 0, column 3 is not finite"));
  CHECK_THROWS_WITH(InputStatistics<float>::from_sums(context, 7, Matrix<float>(2, 2, -1.0f)),
                    Catch::Contains("is -1"));
  CHECK_THROWS_AS(InputStatistics<float>::from_sums(context, 7, Matrix<float>(2, 3, 1.0f)), Error);
  CHECK(InputStatistics<float>::from_sums(context, 7, Matrix<float>(2, 2, 1.0f), Matrix<float>(2, 2, 3.0f))
            .cross_moments()(1, 0) == 3);
}

TEST_CASE("several threads may read at once") {
  const Context<Cpu> context(1);
  InputStatistics<float> statistics(context, 64, Moments::Second);
  statistics.add(random_inputs<float>(70, 64, 12));
  Matrix<float> seen[4];
  std::vector<std::thread> readers;
  for (auto& copy : seen) readers.emplace_back([&] { copy = statistics.second_moments(); });
  for (std::thread& reader : readers) reader.join();
  for (const auto& copy : seen) CHECK(copy == seen[0]);
  CHECK(seen[0](63, 1) == seen[0](1, 63));
}

TEST_CASE("statistics of rounded inputs are the moments of those, and of the rounded differences") {
  const Context<Cpu> context(2);
  const auto X = random_inputs<float>(90, 37, 11), X_fp = random_inputs<float>(90, 37, 12);
  InputStatistics<float> statistics(context, 37, Moments::HeldOut, ProductType::BFloat16);
  statistics.add(X.view().middle_rows(0, 60), X_fp.view().middle_rows(0, 60));
  statistics.add_held_out(X.view().middle_rows(60, 30), X_fp.view().middle_rows(60, 30));
  Matrix<float> rounded(90, 37), difference(90, 37);
  for (Index i = 0; i < X.size(); ++i) {
    rounded.data()[i] = static_cast<float>(BFloat16(X.data()[i]));
    difference.data()[i] = static_cast<float>(BFloat16(X_fp.data()[i] - X.data()[i]));
  }
  CHECK(relative_difference(statistics.second_moments(), naive_moments(rounded, rounded)) < 2e-6);
  CHECK(relative_difference(statistics.cross_moments(), naive_moments(difference, rounded)) < 2e-6);
  const Matrix<float> last(std::as_const(rounded).view().middle_rows(60, 30));
  CHECK(relative_difference(statistics.held_out()->second_moments(), naive_moments(last, last)) < 2e-6);
  CHECK_THROWS_WITH((InputStatistics<double>(context, 3, Moments::Second, ProductType::BFloat16)),
                    Catch::Contains("are for float"));
}

TEMPLATE_TEST_CASE("16-bit inputs are added as they are", "", BFloat16, Float16) {
  const Context<Cpu> context(2);
  const auto values = random_inputs<float>(90, 37, 13);
  Matrix<TestType> X(90, 37);
  Matrix<float> widened(90, 37);
  for (Index i = 0; i < X.size(); ++i) widened.data()[i] = static_cast<float>(X.data()[i] = TestType(values.data()[i]));
  InputStatistics<float> statistics(context, 37, Moments::Second);
  statistics.add<TestType>(X.view());
  CHECK(statistics.tokens() == 90);
  CHECK(relative_difference(statistics.second_moments(), naive_moments(widened, widened)) < 2e-6);
  X(7, 3) = TestType(std::numeric_limits<float>::infinity());
  CHECK_THROWS_WITH(statistics.add<TestType>(X.view()), Catch::Contains("token 7") && Catch::Contains("column 3"));
}
