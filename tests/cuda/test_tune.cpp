// Trainable quantisers and optimisers: steps on the device against the same steps on the CPU.
#include "tune/support.hpp"

#include "halftone/tune/optimiser.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);

struct Start {
  const char* name;
  const char* method;
  OptionMap options;
  int minimum_zero = 0;
};

const Start starts[] = {
    {"asymmetric", "gptq", {{"bits", "3"}, {"group_size", "16"}}},
    {"plain", "rtn", {{"bits", "2"}, {"group_size", "128"}, {"minimum_zero", "1"}}, 1},
    {"one group", "rtn", {{"bits", "4"}, {"group_size", "-1"}, {"scale_type", "bf16"}}},
    {"symmetric", "gptq", {{"bits", "3"}, {"group_size", "40"}, {"sym", "true"}}},
    {"searched", "gptq", {{"bits", "2"}, {"group_size", "16"}, {"grid", "hessian"}, {"scale_type", "f32"}}},
    {"reordered", "gptq", {{"bits", "3"}, {"group_size", "16"}, {"act_order", "true"}, {"groups", "fresh"}}},
    {"outliers", "owq", {{"bits", "3"}, {"group_size", "16"}, {"outlier_columns", "3"}}},
    {"binary", "gptqt", {{"bits", "3"}, {"group_size", "16"}}},
    {"binary with outliers", "gptqt", {{"bits", "2"}, {"group_size", "-1"}, {"outlier_columns", "2"}}},
};

/// Shapes that no team divides, rows and weights alone, rows that are constant, groups that are dead.
std::vector<Matrix<float>> weights() {
  std::vector<Matrix<float>> all;
  all.push_back(random_matrix<float>(5, 147, 1, 0.1));
  all.push_back(random_matrix<float>(1, 33, 2, 0.1));
  all.push_back(random_matrix<float>(9, 1, 3));
  all.push_back(Matrix<float>(1, 1, 0.3f));
  Matrix<float> constant = random_matrix<float>(3, 64, 4);
  for (Index j = 0; j < 64; ++j) {
    constant(0, j) = -0.25f;
    constant(1, j) = j < 32 ? 0.0f : constant(1, j);
  }
  all.push_back(std::move(constant));
  return all;
}

MatrixView<float> row_of(std::span<float> values) { return {values.data(), 1, static_cast<Index>(values.size())}; }
Matrix<float> on_host(const Context<Cuda>& context, std::span<float> values) {
  return context.download(MatrixView<const float>(row_of(values)));
}
Matrix<float> copy_of(std::span<float> values) { return Matrix<float>(MatrixView<const float>(row_of(values))); }

/// On a device that the host plays arithmetic is the host's. A GPU's multiplies and adds in one rounding and has an exp
/// of its own: a scale that stands at a tie of its stored type may go to the other neighbour, and a group's weights
/// with it.
void check_weights(const Context<Cuda>& context, const Matrix<float>& got, const Matrix<float>& wanted) {
  if (context.info().major == 0) {
    CHECK(same_bytes(got, wanted));
    return;
  }
  double size = 0;
  Index different = 0;
  for (Index i = 0; i < got.size(); ++i) size = std::max(size, std::abs(static_cast<double>(wanted.data()[i])));
  for (Index i = 0; i < got.size(); ++i)
    if (!(std::abs(static_cast<double>(got.data()[i]) - wanted.data()[i]) <= 1e-6 * size)) ++different;
  if (different > 0)
    std::printf("%td of %td weights differ\n", static_cast<std::ptrdiff_t>(different),
                static_cast<std::ptrdiff_t>(got.size()));
  CHECK(different <= got.size() / 20);
}

/// A matrix in training on both, and what moves it there.
struct Pair {
  Pair(const Context<Cuda>& context, const Matrix<float>& W, const QuantizedMatrix& start,
       const TrainableOptions& options, const OptimiserOptions& optimiser)
      : device(context),
        here(make_trainable(cpu, W, start, options)),
        there(make_trainable(context, on_device(context, W), start, options)),
        here_optimiser(cpu, here->parameters(), optimiser),
        there_optimiser(context, there->parameters(), optimiser),
        here_W(W.rows(), W.cols()),
        there_W(context.allocate<float>(W.rows(), W.cols())) {}

  void check_forward() {
    here->forward(here_W);
    there->forward(there_W);
    check_weights(device, test::on_host(device, there_W), here_W);
  }
  /// check(name, there, here) for values or gradients of every group.
  template <class Check>
  void each_group(std::span<float> ParameterGroup::*part, Check&& check) {
    const auto a = there->parameters(), b = here->parameters();
    REQUIRE(a.size() == b.size());
    for (std::size_t g = 0; g < a.size(); ++g) {
      REQUIRE(a[g].name == b[g].name);
      REQUIRE(a[g].rate == b[g].rate);
      REQUIRE(a[g].values.size() == b[g].values.size());
      INFO(a[g].name);
      check(a[g].*part, b[g].*part);
    }
  }
  /// Sums of a group's columns have another order there, and a group may be alone with a sum that cancels.
  void check_close(std::span<float> ParameterGroup::*part) {
    each_group(part, [&](std::span<float> a, std::span<float> b) {
      CHECK(relative_difference(on_host(device, a), copy_of(b)) <= (b.size() > 8 ? 1e-6 : 5e-6));
    });
  }
  /// Both go on from the CPU's parameters.
  void join() {
    each_group(&ParameterGroup::values, [&](std::span<float> a, std::span<float> b) {
      device.transfer<float>(row_of(b), row_of(a), Transfer::FromHost);
    });
  }

  const Context<Cuda>& device;
  std::unique_ptr<Trainable> here, there;
  Optimiser<Cpu> here_optimiser;
  Optimiser<Cuda> there_optimiser;
  Matrix<float> here_W;
  CudaMatrix<float> there_W;
};

OptimiserOptions optimiser_for(TrainableKind kind) {
  OptimiserOptions options;
  options.kind = kind == TrainableKind::SignRound ? OptimiserKind::SignSgd : OptimiserKind::AdamW;
  options.rate = 0.2;
  options.beta1 = kind == TrainableKind::Lsq ? 0.9 : 0;
  options.steps = 5;
  return options;
}

/// Calls check(start, options) for every start of W and every kind that it has.
template <class Check>
void each_start(const Matrix<float>& W, Check&& check) {
  for (const Start& start : starts) {
    if (std::string_view(start.name).find("outliers") != std::string_view::npos && W.cols() < 33) continue;
    const QuantizedMatrix matrix = solved(cpu, start.method, start.options, W);
    for (const TrainableKind kind : all_kinds) {
      if (!is_legal(kind, matrix)) continue;
      INFO(W.rows() << " x " << W.cols() << ", " << start.name << ", " << word_of(kind));
      TrainableOptions options = options_of(kind, start.minimum_zero);
      options.outliers = W.rows() != 1;
      options.margin = W.rows() == 3 ? 0.25 : 0;
      check(matrix, options);
    }
  }
}

}  // namespace

TEST_CASE("every trainable starts, decodes and learns as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  for (const Matrix<float>& W : weights())
    each_start(W, [&](const QuantizedMatrix& start, const TrainableOptions& options) {
      Pair pair(context, W, start, options, optimiser_for(options.kind));
      CHECK(same_codes(pair.there->result(), start));
      pair.check_close(&ParameterGroup::values);
      pair.join();
      for (std::uint64_t step = 0; step < 5; ++step) {
        CAPTURE(step);
        pair.check_forward();
        const Matrix<float> dW = random_matrix<float>(W.rows(), W.cols(), 20 + step);
        for (int twice = 0; twice < 2; ++twice) {  // gradients are added up
          pair.here->backward(dW);
          pair.there->backward(on_device(context, dW));
        }
        pair.check_close(&ParameterGroup::gradients);
        pair.here_optimiser.step();
        pair.there_optimiser.step();
        pair.check_close(&ParameterGroup::values);
        pair.each_group(&ParameterGroup::gradients, [&](std::span<float> a, std::span<float> b) {
          CHECK(on_host(context, a) == copy_of(b));  // 0
        });
        pair.join();
      }
      pair.check_forward();
      const QuantizedMatrix result = pair.there->result();
      CHECK(same_bytes(dequantize(result), on_host(context, pair.there_W)));
      if (context.info().major == 0) CHECK(same_codes(result, pair.here->result()));
    });
}

TEST_CASE("training gives the same bytes twice") {
  HALFTONE_DEVICE_CASE(context);
  const Matrix<float> W = random_matrix<float>(6, 147, 5, 0.1);
  each_start(W, [&](const QuantizedMatrix& start, const TrainableOptions& options) {
    const auto trained = [&] {
      const auto trainable = make_trainable(context, on_device(context, W), start, options);
      Optimiser optimiser(context, trainable->parameters(), optimiser_for(options.kind));
      auto now = context.allocate<float>(W.rows(), W.cols());
      for (std::uint64_t step = 0; step < 4; ++step) {
        trainable->forward(now);
        trainable->backward(on_device(context, random_matrix<float>(W.rows(), W.cols(), 40 + step)));
        optimiser.step();
      }
      return trainable->result();
    };
    const QuantizedMatrix once = trained();
    CHECK(same_codes(once, trained()));
    CHECK_FALSE(same_codes(once, start));
  });
}

TEST_CASE("what does not fit a trainable is refused") {
  HALFTONE_DEVICE_CASE(context);
  Matrix<float> W = random_matrix<float>(3, 40, 6);
  const QuantizedMatrix start = solved(cpu, "rtn", {{"bits", "4"}, {"group_size", "16"}}, W);
  const auto trainable = make_trainable(context, on_device(context, W), start);
  auto narrow = context.allocate<float>(3, 39);
  CHECK(error_of([&] { trainable->forward(narrow); }) == "shape_mismatch: tune: W is 3 x 39, wanted 3 x 40");
  CHECK(error_of([&] { trainable->backward(narrow); }) == "shape_mismatch: tune: dW is 3 x 39, wanted 3 x 40");
  W(1, 7) = std::nanf("");
  CHECK(error_of([&] { make_trainable(context, on_device(context, W), start); }) ==
        "invalid_data: tune: a weight is not finite at row 1, column 7");
}

TEST_CASE("optimisers step as on the CPU, and pass over what is no gradient") {
  HALFTONE_DEVICE_CASE(context);
  constexpr Index count = 1000;
  for (const OptimiserKind kind : {OptimiserKind::SignSgd, OptimiserKind::AdamW})
    for (const double momentum : {0.0, 0.8}) {
      Matrix<float> values = random_matrix<float>(1, count, 7), gradients(1, count);
      auto there_values = on_device(context, values), there_gradients = context.allocate<float>(1, count);
      OptimiserOptions options;
      options.kind = kind;
      options.beta1 = momentum;
      options.weight_decay = 0.1;
      Optimiser here(cpu, {{"x", {values.data(), count}, {gradients.data(), count}, 0.5}}, options);
      Optimiser there(context, {{"x", {there_values.data(), count}, {there_gradients.data(), count}, 0.5}}, options);
      for (std::uint64_t step = 0; step < 3; ++step) {
        const Matrix<float> fresh = random_matrix<float>(1, count, 8 + step);
        std::copy_n(fresh.data(), count, gradients.data());
        gradients(0, 3) = std::numeric_limits<float>::quiet_NaN();
        gradients(0, 4) = -std::numeric_limits<float>::infinity();
        gradients(0, 5) = 0;
        context.transfer<float>(gradients.view(), there_gradients.view(), Transfer::FromHost);
        here.step();
        there.step();
      }
      CHECK(relative_difference(on_host(context, there_values), values) <= 1e-6);
      CHECK(on_host(context, there_gradients) == Matrix<float>(1, count, 0.0f));
    }
}

TEST_CASE("the best look comes back in the device's memory") {
  HALFTONE_DEVICE_CASE(context);
  auto a = context.allocate<float>(1, 3), b = context.allocate<float>(1, 40);
  const std::vector<ParameterGroup> groups{{"a", {a.data(), 3}, {a.data(), 3}, 1},
                                           {"b", {b.data(), 40}, {b.data(), 40}, 1}};
  BestLook best(context);
  best.restore_to(groups);
  const double losses[] = {3, 1, 1, 2};
  for (int look = 0; look < 4; ++look) {
    fill(context, a.view(), static_cast<float>(look));
    fill(context, b.view(), static_cast<float>(-look));
    CHECK(best.offer(losses[look], groups) == (look < 2));
  }
  best.restore_to(groups);
  CHECK(on_host(context, a) == Matrix<float>(1, 3, 1.0f));
  CHECK(on_host(context, b) == Matrix<float>(1, 40, -1.0f));
}
