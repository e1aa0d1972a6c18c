// What every registered method must do. A new solver gets these tests with its line in the registry.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "halftone/solver/quantizer.hpp"
#include "support.hpp"
#include "two_streams.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Finite grids, codes within their bits, groups that exist, a report that is filled in.
void check_result(const Quantizer& quantizer, const QuantizedMatrix& result, Index rows, Index cols) {
  REQUIRE(result.rows() == rows);
  REQUIRE(result.cols() == cols);
  CHECK(result.binary_coded() == quantizer.binary_coded());
  CHECK(result.bits() == quantizer.grid().bits);
  CHECK(result.group_size() == quantizer.grid().group_columns(cols));
  CHECK(result.groups() == quantizer.grid().groups(cols));
  CHECK(result.group_index.size() == (quantizer.group_index() ? static_cast<std::size_t>(cols) : 0));
  for (Index j = 0; j < cols; ++j) CHECK((result.group_of(j) >= 0 && result.group_of(j) < result.groups()));
  bool fits = true, stored = true;
  for (Index i = 0; i < result.codes.size(); ++i) fits = fits && result.codes.data()[i] <= quantizer.grid().top();
  const auto check_numbers = [&](const Matrix<float>& numbers, bool positive) {
    for (Index i = 0; i < numbers.size(); ++i) {
      const float x = numbers.data()[i];
      stored = stored && (x > 0 || !positive) && std::isfinite(x) && x == rounded_to(result.scale_type(), x);
    }
  };
  if (result.binary_coded()) {
    check_numbers(result.binary().alphas, false);
    check_numbers(result.binary().biases, false);
  } else {
    check_numbers(result.uniform().scales, true);
  }
  CHECK(fits);
  CHECK(stored);
  CHECK(std::isfinite(result.report.relative_error));
  CHECK(result.report.seconds >= 0);
}

/// Null where the method says, when it is made, that it has no such grid: binary coding has 2 .. 4 bits and no
/// symmetry.
std::unique_ptr<Quantizer> make_if_legal(const Context<Cpu>& context, std::string_view method,
                                         const OptionMap& options) {
  try {
    return make_quantizer(context, method, options);
  } catch (const Error& error) {
    const std::string text = error.what();
    const bool explained = text.find("binary") != std::string::npos && error.status() == Status::InvalidArgument;
    if (!explained) throw;
    return nullptr;
  }
}

}  // namespace

TEST_CASE("methods have names of their own, one line of help, a paper, and documented options") {
  std::set<std::string_view> names;
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    CHECK(names.insert(method.name).second);
    CHECK_FALSE(method.help.empty());
    CHECK(method.help.find('\n') == std::string_view::npos);
    CHECK(method.paper.find("arXiv") != std::string_view::npos);
    std::set<std::string> options;
    for (const OptionInfo& option : method.options) {
      CHECK(options.insert(option.name).second);
      CHECK_FALSE(option.help.empty());
    }
    for (const char* shared : {"bits", "group_size", "sym", "grid", "scale_type", "minimum_zero"})
      CHECK(options.count(shared) == 1);
    CHECK(&find_method(method.name) == &method);
  }
  CHECK(names.count("rtn") + names.count("gptq") == 2);
}

TEST_CASE("defaults make a quantizer, and its options make the same one again") {
  const Context<Cpu> context(1);
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    const auto quantizer = make_quantizer(context, method.name, {{"bits", "3"}, {"group_size", "16"}});
    CHECK(quantizer->name() == method.name);
    CHECK(quantizer->grid().bits == 3);
    const OptionMap options = quantizer->options();
    CHECK(options.size() == method.options.size());
    CHECK(make_quantizer(context, method.name, options)->options() == options);
    const OptionMap defaults = make_quantizer(context, method.name, {})->options();
    for (const OptionInfo& option : method.options) CHECK(defaults.at(option.name) == option.default_value);
  }
}

TEST_CASE("wrong names and values are refused with what was got and what is wanted") {
  const Context<Cpu> context(1);
  CHECK(error_of([&] {
          make_quantizer(context, "gtpq", {});
        }).find("not_found: there is no method 'gtpq', wanted one of rtn, gptq") == 0);
  for (const Method& method : methods()) {
    const std::string who(method.name);
    const auto message = [&](OptionMap map) { return error_of([&] { make_quantizer(context, who, map); }); };
    CHECK(message({{"bitz", "3"}})
              .find("invalid_argument: " + who + ": there is no option 'bitz', wanted one of bits, ") == 0);
    CHECK(message({{"bits", "1"}}) == "invalid_argument: " + who + ": option 'bits' is '1', wanted 2 .. 8");
    CHECK(message({{"bits", "four"}}) == "invalid_argument: " + who + ": option 'bits' is 'four', wanted 2 .. 8");
    CHECK(message({{"grid", "best"}}) ==
          "invalid_argument: " + who + ": option 'grid' is 'best', wanted one of minmax, l2.4, hessian, owq");
    CHECK(message({{"group_size", "0"}}).find("'group_size' is 0") != std::string::npos);
  }
}

TEST_CASE("every method solves every shape, with any bits, grid and groups") {
  const Context<Cpu> context(2);
  struct Shape {
    Index rows, cols;
  };
  for (const Method& method : methods())
    for (const Shape shape : {Shape{1, 1}, Shape{1, 45}, Shape{33, 1}, Shape{19, 45}, Shape{5, 140}}) {
      const auto statistics = full_statistics(context, shape.cols, 2 * shape.cols + 3, 1);
      const Matrix<float> W = random_matrix<float>(shape.rows, shape.cols, 2, 0.1);
      for (const char* bits : {"2", "3", "8"})
        for (const char* group_size : {"-1", "16"})
          for (const char* grid : {"minmax", "l2.4", "hessian"})
            for (const char* sym : {"false", "true"}) {
              CAPTURE(method.name, shape.rows, shape.cols, bits, group_size, grid, sym);
              const auto quantizer = make_if_legal(
                  context, method.name, {{"bits", bits}, {"group_size", group_size}, {"grid", grid}, {"sym", sym}});
              if (quantizer == nullptr) continue;
              check_result(*quantizer, quantizer->quantize(W, statistics), shape.rows, shape.cols);
            }
    }
}

TEST_CASE("every flag and every word of every method leads to a result") {
  const Context<Cpu> context(1);
  const auto statistics = full_statistics(context, 45, 100, 3);
  const Matrix<float> W = random_matrix<float>(7, 45, 4, 0.1);
  for (const Method& method : methods())
    for (const OptionInfo& option : method.options) {
      std::vector<std::string> values = option.choices;
      if (option.type == OptionType::Flag) values = {"true", "false"};
      for (const std::string& value : values) {
        CAPTURE(method.name, option.name, value);
        const auto quantizer = make_if_legal(context, method.name, {{"group_size", "16"}, {option.name, value}});
        if (quantizer == nullptr) continue;
        check_result(*quantizer, quantizer->quantize(W, statistics), 7, 45);
      }
    }
}

TEST_CASE("every method: same bytes on any number of threads, and again") {
  const Matrix<float> W = random_matrix<float>(70, 140, 5, 0.1);
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    const auto solve = [&](int threads) {
      const Context<Cpu> context(threads);
      return make_quantizer(context, method.name, {{"group_size", "32"}, {"grid", "hessian"}})
          ->quantize(W, full_statistics(context, 140, 300, 6));
    };
    const QuantizedMatrix once = solve(1);
    CHECK(same_codes(solve(2), once));
    CHECK(same_codes(solve(3), once));
    CHECK(solve(2).report.relative_error == once.report.relative_error);
  }
}

TEST_CASE("every method: more bits, less error; never far behind rounding") {
  const Context<Cpu> context(1);
  const auto statistics = full_statistics(context, 64, 200, 7);
  const Matrix<float> W = random_matrix<float>(24, 64, 8, 0.1);
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    double before = std::numeric_limits<double>::infinity();
    for (const char* bits : {"2", "3", "4", "6", "8"}) {
      const auto quantizer = make_if_legal(context, method.name, {{"bits", bits}});
      if (quantizer == nullptr) continue;
      const double error = quantizer->quantize(W, statistics).report.relative_error;
      CHECK(error < before);
      before = error;
      if (make_quantizer(context, method.name, {})->moments() == Moments::Cross) continue;  // aims at another output
      CHECK(error <=
            1.1 * make_quantizer(context, "rtn", {{"bits", bits}})->quantize(W, statistics).report.relative_error);
    }
  }
}

TEST_CASE("every method refuses weights that are not finite or of another width, and foreign preparations") {
  const Context<Cpu> context(1);
  const auto statistics = full_statistics(context, 12, 40, 9);
  for (const Method& method : methods()) {
    const std::string who(method.name);
    const auto quantizer = make_quantizer(context, who, {}), twin = make_quantizer(context, who, {});
    Matrix<float> W = random_matrix<float>(4, 12, 10);
    CHECK(error_of([&] {
            quantizer->quantize(W.view().middle_cols(0, 11), statistics);
          }).find("shape_mismatch: " + who + ": W is 4 x 11") == 0);
    CHECK(error_of([&] {
            quantizer->quantize(W, *twin->prepare(statistics));
          }).find("invalid_argument: " + who + ": what prepare() of another") == 0);
    W(3, 7) = std::numeric_limits<float>::quiet_NaN();
    CHECK(error_of([&] { quantizer->quantize(W, statistics); }) ==
          "invalid_data: " + who + ": a weight is not finite at row 3, column 7");
    if (quantizer->moments() == Moments::None) continue;
    CHECK(error_of([&] {
            quantizer->prepare(InputStatistics<float>(context, 12, Moments::None));
          }).find("invalid_argument: " + who + ": the statistics hold moments 0") == 0);
  }
}

TEST_CASE("every method takes a view with a stride, and leaves the weights as they were") {
  const Context<Cpu> context(1);
  const auto statistics = full_statistics(context, 20, 60, 11);
  const Matrix<float> wide = random_matrix<float>(6, 33, 12);
  const Matrix<float> before = wide, compact(wide.view().middle_cols(5, 20));
  for (const Method& method : methods()) {
    const auto quantizer = make_quantizer(context, method.name, {{"group_size", "8"}});
    CHECK(same_codes(quantizer->quantize(wide.view().middle_cols(5, 20), statistics),
                     quantizer->quantize(compact, statistics)));
    CHECK(wide == before);
  }
}
