// The fast solver against the naive one.
#include <catch2/catch.hpp>

#include "naive_gptq.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Groups, blocks and a width of 41 that do not divide each other among them.
std::vector<GptqOptions> cases() {
  std::vector<GptqOptions> list;
  for (bool order : {false, true})
    for (GroupMode mode : {GroupMode::Static, GroupMode::Fresh, GroupMode::Reference}) {
      list.push_back(gptq_options(3, -1, order, mode));
      list.push_back(gptq_options(4, 8, order, mode, 16));
      list.back().grid.symmetric = true;
      list.push_back(gptq_options(2, 12, order, mode, 10));
      list.back().damping = 0.05;
      list.push_back(gptq_options(3, 5, order, mode, 32));
      list.back().damping = 0.001;
      list.back().grid.scale_type = ScaleType::BF16;
    }
  list.push_back(gptq_options(8, 1, false, GroupMode::Fresh, 1));
  return list;
}

std::string described(const GptqOptions& options) {
  return concat(options.grid.bits, " bit, group ", options.grid.group_size, ", block ", options.block_size, ", order ",
                options.act_order, ", ", word_of(options.groups));
}

}  // namespace

TEST_CASE("in double the solver gives the codes of explicit inverses") {
  const Layer<double> layer(7, 41, 90, 1);
  for (const GptqOptions& options : cases()) {
    CAPTURE(described(options));
    const NaiveResult truth = naive_gptq(layer.W, layer.H(), options);
    const QuantizedMatrix result = layer.gptq(options);
    CHECK(result.codes == truth.codes);
    for (Index j = 0; j < 41; ++j) CHECK(result.group_of(j) == truth.group[static_cast<std::size_t>(j)]);
    CHECK(result.report.relative_error ==
          Approx(naive_relative_error(truth.values, layer.W, layer.H())).epsilon(1e-10));
  }
}

TEST_CASE("in float the objective is that of the naive solver in double") {
  const Layer<float> layer(24, 41, 90, 2);
  for (const GptqOptions& options : cases()) {
    CAPTURE(described(options));
    const NaiveResult truth = naive_gptq(converted<double>(layer.W), converted<double>(layer.H()), options);
    const QuantizedMatrix result = layer.gptq(options);
    // A tie that falls the other way takes the rest of its row along: one row of 24 at most.
    CHECK(share_of_differences(result.codes, truth.codes) <= 1.0 / 24);
    const double wanted = naive_relative_error(truth.values, layer.W, layer.H());
    CHECK(naive_relative_error(dequantize(result), layer.W, layer.H()) == Approx(wanted).epsilon(2e-3));
  }
}

TEST_CASE("dead columns become exactly zero, and the rest is solved as if they were not there") {
  for (bool order : {false, true}) {
    const Layer<double> base(6, 30, 70, 3);
    Matrix<double> X = base.X;
    for (Index t = 0; t < X.rows(); ++t) X(t, 0) = X(t, 13) = X(t, 29) = 0;
    const Layer<double> layer(base.W, X);
    const GptqOptions options = gptq_options(3, 10, order);
    const NaiveResult truth = naive_gptq(layer.W, layer.H(), options);
    const QuantizedMatrix result = layer.gptq(options);
    CHECK(result.codes == truth.codes);
    CHECK(result.report.dead_columns == 3);
    const Matrix<float> values = dequantize(result);
    for (Index r = 0; r < 6; ++r)
      for (Index column : {0, 13, 29}) CHECK(values(r, column) == 0);
    CHECK(result.report.relative_error == Approx(naive_relative_error(values, layer.W, layer.H())).epsilon(1e-5));
  }
}
