// Forward and backward against naive versions in double, and finite differences of those.
#include "tune/naive.hpp"
#include "tune/support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

struct Start {
  const char* name;
  const char* method;
  OptionMap options;
};

const Start starts[] = {
    {"asymmetric", "gptq", {{"bits", "3"}, {"group_size", "8"}}},
    {"plain", "rtn", {{"bits", "2"}, {"group_size", "8"}}},
    {"whole rows", "rtn", {{"bits", "4"}, {"group_size", "-1"}, {"scale_type", "bf16"}}},
    {"symmetric", "gptq", {{"bits", "3"}, {"group_size", "8"}, {"sym", "true"}}},
    {"searched", "gptq", {{"bits", "2"}, {"group_size", "8"}, {"grid", "hessian"}, {"scale_type", "f32"}}},
    {"reordered", "gptq", {{"bits", "3"}, {"group_size", "8"}, {"act_order", "true"}, {"groups", "fresh"}}},
    {"outliers", "owq", {{"bits", "3"}, {"group_size", "8"}, {"outlier_columns", "2"}}},
    {"binary", "gptqt", {{"bits", "3"}, {"group_size", "8"}}},
    {"binary of 2 bits", "gptqt", {{"bits", "2"}, {"group_size", "-1"}, {"scale_type", "f32"}}},
};

Naive::Values values_of(Trainable& trainable) {
  Naive::Values values;
  for (const ParameterGroup& group : trainable.parameters())
    values[std::string(group.name)].assign(group.values.begin(), group.values.end());
  return values;
}

double loss(const Matrix<double>& W, const Matrix<float>& weights) {
  double sum = 0;
  for (Index i = 0; i < W.size(); ++i) sum += W.data()[i] * static_cast<double>(weights.data()[i]);
  return sum;
}

/// Calls check(start, kind, target, solved start) for every start and every kind that it has.
template <class Check>
void for_all(const Context<Cpu>& context, Check&& check) {
  const Matrix<float> W = random_matrix<float>(3, 21, 11, 0.1);
  for (const Start& start : starts) {
    const QuantizedMatrix matrix = solved(context, start.method, start.options, W);
    for (const TrainableKind kind : all_kinds) {
      if (!is_legal(kind, matrix)) continue;
      INFO(start.name << ", " << word_of(kind));
      check(kind, W, matrix);
    }
  }
}

}  // namespace

TEST_CASE("forward is what the naive version decodes to, wherever the parameters are") {
  const Context<Cpu> context(1);
  for_all(context, [&](TrainableKind kind, const Matrix<float>& W, const QuantizedMatrix& start) {
    for (const double far : {0.0, 0.3, 1.0}) {
      const auto trainable = make_trainable(context, W, start, options_of(kind));
      disturb(*trainable, 3, far, 0.1 * far);
      const Matrix<float> got = forward(*trainable);  // also moves what is out of bounds
      const Matrix<double> wanted = Naive(kind, start, W).decode(values_of(*trainable));
      double worst = 0;
      for (Index i = 0; i < got.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(got.data()[i]) - wanted.data()[i]));
      CAPTURE(far);
      CHECK(worst < 1e-6);
    }
  });
}

TEST_CASE("backward is the finite difference of the map with its rounding frozen") {
  const Context<Cpu> context(1);
  for_all(context, [&](TrainableKind kind, const Matrix<float>& W, const QuantizedMatrix& start) {
    const auto trainable = make_trainable(context, W, start, options_of(kind));
    disturb(*trainable, 4, 0.4, 0.05);
    forward(*trainable);
    const Matrix<float> dW = random_matrix<float>(W.rows(), W.cols(), 7);
    trainable->backward(dW);
    Naive naive(kind, start, W);
    Naive::Values values = values_of(*trainable);
    naive.freeze_at(values);
    for (const ParameterGroup& group : trainable->parameters()) {
      INFO(group.name);
      double largest = 0, worst = 0;
      for (std::size_t i = 0; i < group.values.size(); ++i) {
        double& value = values[std::string(group.name)][i];
        const double at = value, h = 1e-5;
        value = at + h;
        const double above = loss(naive.decode(values), dW);
        value = at - h;
        const double below = loss(naive.decode(values), dW);
        value = at;
        const double wanted = (above - below) / (2 * h);
        largest = std::max(largest, std::abs(wanted));
        worst = std::max(worst, std::abs(static_cast<double>(group.gradients[i]) - wanted));
      }
      CHECK(largest > 0);
      CHECK(worst <= 1e-5 * largest);
    }
  });
}

TEST_CASE("gradients add up over calls of backward") {
  const Context<Cpu> context(1);
  for_all(context, [&](TrainableKind kind, const Matrix<float>& W, const QuantizedMatrix& start) {
    const Matrix<float> dW = random_matrix<float>(W.rows(), W.cols(), 8);
    const auto once = make_trainable(context, W, start, options_of(kind)),
               twice = make_trainable(context, W, start, options_of(kind));
    forward(*once);
    forward(*twice);
    once->backward(dW);
    twice->backward(dW);
    twice->backward(dW);
    const auto single = once->parameters(), pair = twice->parameters();
    for (std::size_t g = 0; g < single.size(); ++g)
      for (std::size_t i = 0; i < single[g].gradients.size(); ++i)
        REQUIRE(pair[g].gradients[i] == Approx(2 * single[g].gradients[i]).margin(1e-7));
  });
}

TEST_CASE("latent codes stay within half a step of those that there are, and go on learning") {
  const Context<Cpu> context(1);
  const Matrix<float> W = random_matrix<float>(2, 16, 1);
  for (const char* method : {"rtn", "gptqt"}) {
    const auto trainable =
        make_trainable(context, W, solved(context, method, {{"bits", "2"}, {"group_size", "16"}}, W), {});
    const ParameterGroup codes = parameters_of(*trainable, "codes");
    for (std::size_t i = 0; i < codes.values.size(); ++i) codes.values[i] = i % 2 == 0 ? -40.0f : 40.0f;
    forward(*trainable);
    trainable->backward(Matrix<float>(2, 16, 1.0f));
    for (std::size_t i = 0; i < codes.values.size(); ++i) {
      CHECK(codes.values[i] == (i % 2 == 0 ? -0.5f : 3.5f));
      CHECK(codes.gradients[i] > 0);
    }
  }
}
