// Options as text, and the windows that they mean.
#include "halftone/tune/options.hpp"

#include "tune/support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

std::vector<TuneWindow> windows(Index blocks, int nblocks, int step, int lookahead) {
  TuneOptions options;
  options.nblocks = nblocks;
  options.step = step;
  options.lookahead = lookahead;
  return tune_windows(blocks, options);
}

using Windows = std::vector<TuneWindow>;

}  // namespace

TEST_CASE("options of tuning are read from text and written as such") {
  const TuneOptions options = parse_tune("steps=300,nblocks=2,step=1,lookahead=0,trainable=signround,rate=0.02");
  CHECK(options.steps == 300);
  CHECK(options.nblocks == 2);
  CHECK(options.step == 1);
  CHECK(options.lookahead == 0);
  CHECK(options.trainable == TrainableKind::SignRound);
  CHECK(options.rate == RealOrAuto(0.02));
  CHECK(tune_text(parse_tune(tune_text(options))) == tune_text(options));
  CHECK(TuneOptions{}.steps == 0);
  CHECK(parse_tune("").steps == default_tuning_steps);
  CHECK(parse_tune("steps=0").steps == 0);
  for (const OptionInfo& option : describe_options<TuneOptions>()) CHECK_FALSE(option.help.empty());
}

TEST_CASE("options of tuning that make no sense are refused") {
  const auto message = [](const char* text) { return error_of([&] { parse_tune(text); }); };
  CHECK(message("steps") == "invalid_argument: tune: 'steps', wanted name=value");
  CHECK(message("steps=300,,") == "invalid_argument: tune: '', wanted name=value");
  CHECK(message("steps=-1").find("invalid_argument: tune: option 'steps' is '-1', wanted 0 .. ") == 0);
  CHECK(message("stepz=1").find("invalid_argument: tune: there is no option 'stepz', wanted one of steps, ") == 0);
  CHECK(message("seed=1,seed=1") == "invalid_argument: tune: option 'seed' is given twice");
  CHECK(message("trainable=all").find("wanted one of signround, latent, lsq, scales") != std::string::npos);
  CHECK(message("nblocks=2,step=3") == "invalid_argument: tune: option 'step' is 3, wanted 0 .. nblocks, 2");
}

TEST_CASE("rates that are left open follow the optimiser") {
  TuneOptions options = parse_tune("steps=1000,optimiser=signsgd,decay=linear,momentum=0.5");
  CHECK(optimiser_options(options, 4).rate == 0.001);
  CHECK(optimiser_options(options, 3).rate == 0.002);
  CHECK(optimiser_options(options, 3).beta1 == 0.5);
  options.steps = 200;
  CHECK(optimiser_options(options, 3).rate == 0.005);
  CHECK(optimiser_options(options, 3).kind == OptimiserKind::SignSgd);
  CHECK(optimiser_options(options, 3).decay == Decay::Linear);
  options.optimiser = OptimiserKind::AdamW;
  options.steps = 50;
  CHECK(optimiser_options(options, 2).rate == 0.005);
  CHECK(optimiser_options(options, 3).rate == 0.008);
  options.steps = 1000;  // no farther than this in all
  CHECK(optimiser_options(options, 2).rate == Approx(0.0015));
  CHECK(optimiser_options(options, 3).rate == Approx(0.0008));
  options.rate = 0.25;
  CHECK(optimiser_options(options, 2).rate == 0.25);
  options.trainable = TrainableKind::Lsq;
  options.outliers = false;
  const TrainableOptions trainable = trainable_options(options, 1);
  CHECK((trainable.kind == TrainableKind::Lsq && !trainable.outliers && trainable.minimum_zero == 1));
}

TEST_CASE("windows: single, joint, overlapping, looking ahead") {
  CHECK(windows(3, 1, 0, 0) == Windows{{0, 1, 1, 1}, {1, 2, 2, 2}, {2, 3, 3, 3}});
  CHECK(windows(6, 4, 0, 0) == Windows{{0, 4, 4, 4}, {4, 6, 6, 6}});
  CHECK(windows(6, 4, 4, 0) == windows(6, 4, 0, 0));
  CHECK(windows(4, 1, 0, 2) == Windows{{0, 1, 3, 1}, {1, 2, 4, 2}, {2, 3, 4, 3}, {3, 4, 4, 4}});
  CHECK(windows(6, 3, 1, 0) == Windows{{0, 1, 1, 0},
                                       {0, 2, 2, 0},
                                       {0, 3, 3, 1},
                                       {1, 4, 4, 2},
                                       {2, 5, 5, 3},
                                       {3, 6, 6, 4},
                                       {4, 6, 6, 5},
                                       {5, 6, 6, 6}});
  CHECK(windows(6, 6, 0, 0) == Windows{{0, 6, 6, 6}});
  CHECK(windows(2, 5, 0, 7) == Windows{{0, 2, 2, 2}});
  CHECK(windows(1, 3, 1, 1) == Windows{{0, 1, 1, 1}});
  CHECK(windows(0, 1, 0, 0).empty());
}

TEST_CASE("windows: every block is trained in as many as overlap, is final once, and never out of order") {
  for (Index blocks = 1; blocks <= 9; ++blocks)
    for (int together = 1; together <= 5; ++together)
      for (int step = 1; step <= together; ++step)
        for (int ahead = 0; ahead <= 3; ++ahead) {
          CAPTURE(blocks, together, step, ahead);
          std::vector<int> trained(static_cast<std::size_t>(blocks), 0);
          Index settled = 0;
          for (const TuneWindow& window : windows(blocks, together, step, ahead)) {
            CHECK(window.first >= settled);
            CHECK((window.first < window.last && window.last <= window.until && window.until <= blocks));
            CHECK((window.until == blocks || window.until == window.last + ahead));
            CHECK((window.settled >= settled && window.settled <= window.last));
            settled = window.settled;
            for (Index block = window.first; block < window.last; ++block) ++trained[static_cast<std::size_t>(block)];
          }
          CHECK(settled == blocks);
          for (const int times : trained) {
            CHECK(times >= 1);
            if (step == 1 && blocks >= together) CHECK(times == together);
            if (step == together) CHECK(times == 1);
          }
        }
}
