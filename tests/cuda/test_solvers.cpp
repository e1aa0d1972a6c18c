// Every method through the same solver code on both backends: objectives, codes, the same bytes from run to run.
#include "halftone/core/random.hpp"
#include "halftone/quant/metrics.hpp"
#include "halftone/solver/cuda_quantizer.hpp"
#include "support.hpp"
#include "two_streams.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);

/// Input 3 is dead.
InputStatistics<float> statistics_of(Index width, Index tokens, std::uint64_t seed) {
  return full_statistics(cpu, width, tokens, seed, width > 3 ? 3 : -1);
}

Index codes_that_differ(const QuantizedMatrix& a, const QuantizedMatrix& b) {
  Index count = 0;
  for (Index i = 0; i < a.codes.size(); ++i) count += a.codes.data()[i] != b.codes.data()[i] ? 1 : 0;
  return count;
}

struct Point {
  const char* method;
  OptionMap options;
};

/// The axes, each at least once with every method that has it.
std::vector<Point> points() {
  std::vector<Point> all;
  for (const Method& method : methods()) {
    const char* const name = method.name.data();
    const auto add = [&](OptionMap options) {
      if (has_option(method, "tune")) options["tune"] = "false";
      all.push_back({name, std::move(options)});
    };
    const bool binary = method.name == "gptqt";
    add({{"bits", "3"}, {"group_size", "-1"}});
    add({{"bits", "4"}, {"group_size", "32"}});
    if (!has_option(method, "damping")) continue;
    add({{"bits", "3"}, {"group_size", "32"}, {"act_order", "true"}});
    if (binary) continue;
    add({{"bits", "3"}, {"group_size", "16"}, {"groups", "fresh"}, {"sym", "true"}});
    add({{"bits", "2"}, {"group_size", "32"}, {"grid", "hessian"}, {"outlier_columns", "2"}});
    add({{"bits", "3"}, {"group_size", "32"}, {"grid", "l2.4"}, {"groups", "reference"}, {"block_size", "40"}});
    add({{"bits", "3"}, {"group_size", "32"}, {"target", "shift"}, {"beta", "auto"}});
    add({{"bits", "3"},
         {"group_size", "-1"},
         {"target", "alpha"},
         {"alpha", "1"},
         {"second", "pre"},
         {"block_size", "150"}});
    add({{"bits", "3"}, {"group_size", "-1"}, {"target", "alpha"}, {"alpha", "auto"}, {"second", "pre_clamped"}});
    add({{"bits", "3"}, {"group_size", "32"}, {"target", "alpha"}, {"second", "reference"}, {"block_size", "32"}});
    add({{"bits", "3"}, {"group_size", "32"}, {"refine", "2"}});
  }
  all.push_back({"gptqt", {{"bits", "3"}, {"group_size", "32"}, {"refine", "2"}}});
  all.push_back({"gptqt", {{"bits", "2"}, {"group_size", "-1"}, {"target", "alpha"}, {"outlier_columns", "2"}}});
  return all;
}

}  // namespace

TEST_CASE("every method ends with the CPU's objective") {
  HALFTONE_DEVICE_CASE(context);
  const Index rows = 24, width = 144;
  const auto statistics = statistics_of(width, 400, 1);
  const auto W = random_matrix<float>(rows, width, 2, 0.05);
  Index differing = 0, codes = 0;
  double worst = 0;
  for (const Point& point : points()) {
    std::string text = point.method;
    for (const auto& [name, value] : point.options) text += " " + name + "=" + value;
    CAPTURE(text);
    const auto here = make_quantizer(cpu, point.method, point.options);
    const auto there = make_quantizer(context, point.method, point.options);
    const QuantizedMatrix a = here->quantize(W, statistics), b = there->quantize(W, statistics),
                          c = there->quantize(W, statistics);
    const double apart = std::abs(b.report.relative_error / a.report.relative_error - 1);
    differing += codes_that_differ(a, b);
    codes += a.codes.size();
    INFO(codes_that_differ(a, b) << " codes differ, objectives by " << apart);
    // Tabu search takes another way after any rounding, as it does between two instruction sets of the CPU.
    const bool searches = here->options().count("refine") != 0 && here->options().at("refine") != "0";
    CHECK(apart <= (searches ? 3e-2 : 1e-4));
    if (!searches) worst = std::max(worst, apart);
    CHECK(same_codes(b, c));
    CHECK(b.report.damping == a.report.damping);
    CHECK(b.report.dead_columns == a.report.dead_columns);
    CHECK(b.report.notes == a.report.notes);
    CHECK(there->options() == here->options());
  }
  std::printf("methods: %lld of %lld codes differ, objectives by at most %.1e without refinement\n",
              static_cast<long long>(differing), static_cast<long long>(codes), worst);
}

TEST_CASE("sums in host memory give the bytes that sums on the device give") {
  HALFTONE_DEVICE_CASE(context);
  const Index width = SpillableMatrix<float, Cuda>::strip_rows + 76;  // two strips
  const auto host = statistics_of(width, 200, 3);
  const auto W = random_matrix<float>(3, width, 4, 0.05);
  const auto on_there = [&] {
    const auto take = [&](const InputStatistics<float>& sums) {
      return InputStatistics<float, Cuda>::from_sums(context, sums.tokens(), on_device(context, sums.second_moments()),
                                                     on_device(context, sums.cross_moments()));
    };
    return InputStatistics<float, Cuda>::from_sums(context, host.tokens(), on_device(context, host.second_moments()),
                                                   on_device(context, host.cross_moments()), take(*host.held_out()));
  };
  const auto resident = on_there();
  auto spilled = on_there();
  const Index before = context.memory_in_use();
  CHECK(spilled.spill());
  CHECK(!spilled.spill());
  CHECK(context.memory_in_use() <= before - 4 * 4 * width * width);
  CHECK(error_of([&] { spilled.second_moments(); }).find("rows are in host memory") != std::string::npos);
  CHECK(error_of([&] { spilled.merge(resident); }).find("spilled to host memory, nothing can be added") !=
        std::string::npos);
  const auto X = on_device(context, random_matrix<float>(2, width, 5));
  CHECK(error_of([&] { spilled.add(std::as_const(X).view()); }).find("spilled to host memory") != std::string::npos);

  const auto weights = on_device(context, W);
  const Point points[] = {{"rtn", {{"bits", "3"}, {"grid", "hessian"}, {"group_size", "-1"}}},
                          {"gptq", {{"bits", "3"}, {"group_size", "-1"}, {"act_order", "true"}}},
                          {"gptqv2", {{"bits", "3"}, {"group_size", "-1"}, {"alpha", "auto"}}},
                          {"gptq", {{"bits", "3"}, {"group_size", "-1"}, {"target", "shift"}, {"beta", "auto"}}}};
  for (const Point& point : points) {
    INFO(point.method);
    const auto quantizer = make_quantizer(context, point.method, point.options);
    const auto solve = [&](const InputStatistics<float, Cuda>& statistics) {
      return quantizer->quantize(weights, *quantizer->prepare(statistics));
    };
    const QuantizedMatrix expected = solve(resident), result = solve(spilled);
    CHECK(same_codes(result, expected));
    CHECK(result.report.relative_error == expected.report.relative_error);
    CHECK(result.report.strength == expected.report.strength);
  }
  const auto W_there = std::as_const(weights).view();
  CHECK(quadratic_form(context, W_there, spilled.second_sums(), ProductType::BFloat16) ==
        quadratic_form(context, W_there, resident.second_sums(), ProductType::BFloat16));
}

TEST_CASE("matrices of several panels end with the CPU's objective") {
  HALFTONE_DEVICE_CASE(context);
  const Index width = 560;
  const auto statistics = statistics_of(width, 900, 3);
  const auto W = random_matrix<float>(12, width, 4, 0.05);
  const OptionMap static_groups{{"bits", "3"}, {"group_size", "32"}, {"act_order", "true"}};
  const OptionMap fresh_groups{{"bits", "3"}, {"group_size", "48"}, {"groups", "fresh"}, {"block_size", "40"}};
  for (const char* method : {"gptq", "owq", "gptqt"})
    for (const OptionMap& options : {static_groups, fresh_groups}) {
      if (std::string_view(method) == "gptqt" && options.count("groups") != 0) continue;
      INFO(method);
      const auto here = make_quantizer(cpu, method, options)->quantize(W, statistics);
      const auto there = make_quantizer(context, method, options)->quantize(W, statistics);
      INFO(codes_that_differ(here, there) << " codes differ");
      CHECK(std::abs(there.report.relative_error / here.report.relative_error - 1) <= 1e-4);
    }
}

TEST_CASE("with sums of rounded inputs, and corrections that are rounded, the objective is the CPU's too") {
  HALFTONE_DEVICE_CASE(context);
  const Index width = 300;
  InputStatistics<float> statistics(cpu, width, Moments::HeldOut, ProductType::BFloat16);
  statistics.add(random_inputs<float>(800, width, 9), random_inputs<float>(800, width, 10));
  statistics.add_held_out(random_inputs<float>(100, width, 11), random_inputs<float>(100, width, 12));
  CHECK(statistics_on(context, statistics).products() == ProductType::BFloat16);
  CHECK(statistics_on(context, statistics).held_out()->products() == ProductType::BFloat16);
  const auto W = random_matrix<float>(24, width, 13, 0.05);
  const OptionMap options{{"bits", "3"}, {"group_size", "32"}};
  const OptionMap shifted{{"bits", "3"}, {"group_size", "32"}, {"target", "shift"}, {"beta", "auto"}};
  for (const Point& point : {Point{"gptq", options}, Point{"gptqv2", options}, Point{"owq", options},
                             Point{"gptqt", options}, Point{"gptq", shifted}}) {
    INFO(point.method);
    const auto here = make_quantizer(cpu, point.method, point.options)->quantize(W, statistics);
    const auto quantizer = make_quantizer(context, point.method, point.options);
    const auto there = quantizer->quantize(W, statistics);
    INFO(codes_that_differ(here, there) << " codes differ");
    CHECK(std::abs(there.report.relative_error / here.report.relative_error - 1) <= 1e-4);
    CHECK(same_codes(quantizer->quantize(W, statistics), there));
  }
}

TEST_CASE("sums and weights that are on the device, and a quantizer with a context of its own, give the same codes") {
  HALFTONE_DEVICE_CASE(context);
  const auto statistics = statistics_of(48, 200, 7);
  const auto W = random_matrix<float>(9, 48, 8, 0.05);
  const OptionMap options{{"bits", "3"}, {"group_size", "16"}};
  const auto quantizer = make_quantizer(context, "gptqv2", options);
  const QuantizedMatrix expected = quantizer->quantize(W, statistics);
  const auto there = statistics_on(context, statistics);
  CHECK(same_codes(quantizer->quantize(on_device(context, W), *quantizer->prepare(there)), expected));
  const auto owning = make_quantizer(CudaOptions{}, "gptqv2", options);
  CHECK(same_codes(owning->quantize(W, statistics), expected));
  CHECK(owning->name() == "gptqv2");
  CHECK(owning->moments() == quantizer->moments());
  CHECK(owning->options() == quantizer->options());
}

TEST_CASE("singular moments climb the same ladder") {
  HALFTONE_DEVICE_CASE(context);
  InputStatistics<float> statistics(cpu, 70, Moments::Second);
  statistics.add(random_inputs<float>(5, 70, 3));
  const auto W = random_matrix<float>(6, 70, 4, 0.05);
  const OptionMap options{{"bits", "3"}, {"group_size", "-1"}, {"damping", "0"}};
  const auto a = make_quantizer(cpu, "gptq", options)->quantize(W, statistics);
  const auto b = make_quantizer(context, "gptq", options)->quantize(W, statistics);
  CHECK(b.report.damping > 0);
  CHECK(b.report.damping_steps > 0);
  CHECK(std::isfinite(b.report.relative_error));
  CHECK(b.report.tokens == a.report.tokens);
}

TEST_CASE("statistics of the device are the CPU's, from float and from 16-bit inputs") {
  HALFTONE_DEVICE_CASE(context);
  const Index tokens = 90, width = 33;
  const auto X = random_inputs<float>(tokens, width, 5);
  const auto X_fp = random_inputs<float>(tokens, width, 6);
  InputStatistics<float> here(cpu, width, Moments::Cross);
  InputStatistics<float, Cuda> there(context, width, Moments::Cross);
  here.add(X, X_fp);
  const auto inputs = on_device(context, X), full = on_device(context, X_fp);
  there.add(inputs.view(), full.view());
  CHECK(relative_difference(on_host(context, there.second_moments()), here.second_moments()) <= 1e-5);
  CHECK(relative_difference(on_host(context, there.cross_moments()), here.cross_moments()) <= 1e-5);
  // The same numbers once more in 16 bits, exactly: they are what both take.
  Matrix<BFloat16> narrow(tokens, width);
  Matrix<float> wide(tokens, width);
  for (Index i = 0; i < X.size(); ++i) {
    narrow.data()[i] = BFloat16(X.data()[i]);
    wide.data()[i] = static_cast<float>(narrow.data()[i]);
  }
  InputStatistics<float> here_wide(cpu, width, Moments::Second);
  InputStatistics<float, Cuda> there_narrow(context, width, Moments::Second);
  here_wide.add(wide);
  const auto narrow_inputs = on_device(context, narrow);
  there_narrow.add(narrow_inputs.view());
  CHECK(there_narrow.tokens() == tokens);
  CHECK(relative_difference(on_host(context, there_narrow.second_moments()), here_wide.second_moments()) <= 1e-5);
  narrow(3, 1) = BFloat16(std::numeric_limits<float>::infinity());
  const auto narrow_bad = on_device(context, narrow);
  CHECK(error_of([&] { there_narrow.add(narrow_bad.view()); }).find("is inf at token 3, column 1") !=
        std::string::npos);

  Matrix<float> bad = X;
  bad(7, 2) = std::numeric_limits<float>::infinity();
  const auto refused = on_device(context, bad);
  CHECK(error_of([&] { there.add(refused.view(), full.view()); }).find("is inf at token 7, column 2") !=
        std::string::npos);
  CHECK(there.tokens() == tokens);
}

TEST_CASE("weights that are not finite or of the wrong width are refused on the device too") {
  HALFTONE_DEVICE_CASE(context);
  const auto statistics = statistics_of(20, 60, 7);
  auto W = random_matrix<float>(3, 20, 8);
  W(1, 4) = std::numeric_limits<float>::quiet_NaN();
  const auto quantizer = make_quantizer(context, "gptq", {{"group_size", "-1"}});
  CHECK(error_of([&] { quantizer->quantize(W, statistics); }) ==
        "invalid_data: gptq: a weight is not finite at row 1, column 4");
  CHECK(error_of([&] { quantizer->quantize(random_matrix<float>(3, 21, 8), statistics); }).find("shape_mismatch") == 0);
  CHECK(error_of([&] { make_quantizer(context, "gtpq", {}); }).find("not_found") == 0);
}
