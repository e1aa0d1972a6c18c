// How far to go towards an asymmetric target: α and β chosen by held-out tokens, and the way back.
#include <catch2/catch.hpp>

#include "halftone/solver/gptqv2.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Two streams; the last `held` tokens are held out. `follows`: how much of the deviation the inputs explain.
struct HeldOutStreams {
  Context<Cpu> context{2};
  Matrix<double> W, X, X_fp;
  Index held;
  InputStatistics<double> statistics;

  HeldOutStreams(Index tokens, Index held_out, double follows, double noise, std::uint64_t seed, Index width = 32,
                 Index rows = 24)
      : W(random_matrix<double>(rows, width, seed, 0.1)),
        X(random_inputs<double>(tokens, width, seed + 1)),
        X_fp(X),
        held(held_out),
        statistics(context, width, Moments::HeldOut) {
    Random random(seed + 2);
    for (Index t = 0; t < tokens; ++t)
      for (Index j = 0; j < width; ++j) X_fp(t, j) += follows * X(t, (j + 1) % width) + noise * random.normal();
    const Index learnt = tokens - held;
    statistics.add(X.view().middle_rows(0, learnt), X_fp.view().middle_rows(0, learnt));
    if (held > 0) statistics.add_held_out(X.view().middle_rows(learnt, held), X_fp.view().middle_rows(learnt, held));
  }
  /// ‖X_fp Wᵀ − X Qᵀ‖² over tokens [first, end).
  double objective(const Matrix<double>& Q, Index first, Index end) const {
    double sum = 0;
    for (Index t = first; t < end; ++t)
      for (Index r = 0; r < W.rows(); ++r) {
        double difference = 0;
        for (Index j = 0; j < W.cols(); ++j) difference += X_fp(t, j) * W(r, j) - X(t, j) * Q(r, j);
        sum += difference * difference;
      }
    return sum;
  }
};

DiffusionOptions asymmetric(Target target, RealOrAuto strength, int bits = 4) {
  DiffusionOptions options;
  options.grid.bits = bits;
  options.grid.group_size = -1;
  options.target.target = target;
  options.target.alpha = options.target.beta = strength;
  return options;
}

QuantizedMatrix solved(const HeldOutStreams& streams, const DiffusionOptions& options) {
  const DiffusionSolver<double, Cpu> solver(streams.context, "x", options);
  return solver.quantize(streams.W, solver.prepare(streams.statistics));
}

}  // namespace

TEST_CASE("held-out tokens count in all sums, and once more by themselves") {
  const HeldOutStreams apart(90, 20, 0.1, 0.05, 3);
  InputStatistics<double> all(apart.context, 32, Moments::Cross), last(apart.context, 32, Moments::Cross);
  all.add(apart.X.view(), apart.X_fp.view());
  last.add(apart.X.view().middle_rows(70, 20), apart.X_fp.view().middle_rows(70, 20));
  REQUIRE(apart.statistics.held_out() != nullptr);
  CHECK(apart.statistics.tokens() == 90);
  CHECK(apart.statistics.held_out()->tokens() == 20);
  for (Index i = 0; i < 32 * 32; ++i) {
    CHECK(apart.statistics.cross_moments().data()[i] == Approx(all.cross_moments().data()[i]).margin(1e-9));
    CHECK(apart.statistics.held_out()->second_moments().data()[i] == last.second_moments().data()[i]);
    CHECK(apart.statistics.held_out()->cross_moments().data()[i] == last.cross_moments().data()[i]);
  }
  CHECK(HeldOutStreams(90, 0, 0.1, 0.05, 3).statistics.held_out() == nullptr);
  InputStatistics<double> none(apart.context, 32, Moments::Cross);
  CHECK_THROWS_WITH(none.add_held_out(apart.X.view(), apart.X_fp.view()), Catch::Contains("held out"));
}

TEST_CASE("the strength is the minimum of the held-out objective along the way to the target") {
  const HeldOutStreams streams(120, 30, 0.05, 0.3, 11);
  const auto M = random_matrix<double>(24, 32, 77, 0.01);
  Matrix<double> along = M;  // a direction with something in it: towards W D, scaled
  gemm(streams.context, Transpose::No, Transpose::No, 1e-3, streams.W.view(), streams.statistics.cross_moments().view(),
       1.0, along.view());
  const double strength =
      held_out_strength<double>(streams.context, streams.W.view(), along.view(), *streams.statistics.held_out());
  const auto at = [&](double s) {
    Matrix<double> Q = streams.W;
    for (Index i = 0; i < Q.size(); ++i) Q.data()[i] += s * along.data()[i];
    return streams.objective(Q, 90, 120);
  };
  double best = 0;
  for (int step = 0; step <= 1000; ++step)
    if (at(step / 1000.0) < at(best)) best = step / 1000.0;
  CHECK(strength == Approx(best).margin(1e-3));
  for (Index i = 0; i < along.size(); ++i) along.data()[i] = -along.data()[i];
  const double back =
      held_out_strength<double>(streams.context, streams.W.view(), along.view(), *streams.statistics.held_out());
  CHECK((strength == 0 || back == 0));  // not both ways
}

TEST_CASE("auto goes far where the deviation follows the inputs, and stays where it is noise of few tokens") {
  for (Target target : {Target::Alpha, Target::Shift}) {
    CAPTURE(word_of(target));
    const HeldOutStreams clear(1600, 200, 0.2, 0.01, 5), noisy(48, 12, 0.0, 0.5, 6);
    const double far = solved(clear, asymmetric(target, RealOrAuto::chosen())).report.strength;
    const double near = solved(noisy, asymmetric(target, RealOrAuto::chosen())).report.strength;
    CHECK(far > 0.8);
    CHECK(near < 0.3);
    // With new tokens of the same kind, what auto chose is no worse than either end.
    const HeldOutStreams fresh(400, 0, 0.2, 0.01, 5);
    CHECK(solved(clear, asymmetric(target, 0.6)).report.strength == 0.6);
  }
  const HeldOutStreams whole(100, 0, 0.2, 0.01, 5);  // nothing held out: no way to know
  CHECK(solved(whole, asymmetric(Target::Shift, RealOrAuto::chosen())).report.strength == 0);
}

TEST_CASE("auto with the strength that it chose is the same result as that number") {
  const HeldOutStreams streams(600, 80, 0.1, 0.1, 8);
  for (Target target : {Target::Alpha, Target::Shift}) {
    const QuantizedMatrix automatic = solved(streams, asymmetric(target, RealOrAuto::chosen(), 3));
    REQUIRE(automatic.report.strength > 0);
    const QuantizedMatrix fixed = solved(streams, asymmetric(target, automatic.report.strength, 3));
    CHECK(share_of_differences(automatic.codes, fixed.codes) < 0.01);
    CHECK(same_codes(automatic, solved(streams, asymmetric(target, RealOrAuto::chosen(), 3))));
  }
}

TEST_CASE("an asymmetric target that lost gives way to the symmetric one, and says so") {
  int fell_back = 0;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    const HeldOutStreams streams(40, 0, 0.0, seed % 2 == 0 ? 2.0 : 20.0, seed);  // more than the inputs can explain
    DiffusionOptions options = asymmetric(Target::Alpha, 1.0, 2);
    options.target.second = seed % 3 == 0 ? SecondMode::Reference : SecondMode::Pre;
    const QuantizedMatrix result = solved(streams, options);
    options.target.fallback = false;
    const QuantizedMatrix stubborn = solved(streams, options);
    CHECK_FALSE(noted(stubborn.report, "fell back"));
    options.target.target = Target::Symmetric;
    const QuantizedMatrix plain = solved(streams, options);
    if (noted(result.report, "fell back to the symmetric target")) {
      ++fell_back;
      CHECK(same_codes(result, plain));
      CHECK(result.report.strength == 0);
      CHECK(streams.objective(converted<double>(dequantize(result)), 0, 40) <=
            streams.objective(converted<double>(dequantize(stubborn)), 0, 40));
    } else {
      CHECK(same_codes(result, stubborn));
    }
  }
  CHECK(fell_back > 0);
}

TEST_CASE("alpha and beta are numbers or auto") {
  GptqV2Options options;
  CHECK(set_option("gptqv2", options, "alpha", "auto"));
  CHECK(options.target.alpha.automatic);
  CHECK(option_text(options, "alpha") == "auto");
  CHECK(set_option("gptqv2", options, "alpha", "0.5"));
  CHECK((!options.target.alpha.automatic && options.target.alpha.value == 0.5));
  CHECK(option_text(options, "alpha") == "0.5");
  for (const char* bad : {"automatic", "", "1.5", "-1", "nan"})
    CHECK_THAT(error_of([&] { set_option("gptqv2", options, "beta", bad); }), Catch::Contains("wanted 0 .. 1 or auto"));
  CHECK(options.target.beta.value == 1);
}
