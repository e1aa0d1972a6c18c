// Tuning one window of blocks: on the device the losses are the CPU's, and so is what comes out, nearly.
#include "halftone/backend/cuda_nn.hpp"
#include "halftone/model/stream.hpp"
#include "halftone/tune/window_tuner.hpp"
#include "model/fixture.hpp"
#include "model/move_to.hpp"
#include "support.hpp"
#include "tune/support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);
constexpr Index length = 11, windows = 10;

/// Two blocks of a tiny model, the matrices of the first or of both solved; all on the host.
struct Problem {
  Problem(const char* name, std::string_view method, const OptionMap& options, std::size_t trained_blocks)
      : checkpoint(model_folder(name)),
        model(checkpoint),
        input(random_matrix<float>(windows * length, model.config().hidden, 3)),
        matrices(trained_blocks) {
    Stream<float> full(cpu, Matrix<float>(input), length);
    for (std::size_t block = 0; block < 2; ++block) {
      weights.push_back(model.load_block(cpu, static_cast<Index>(block)));
      full.enter(model.program(static_cast<Index>(block)));
      full.advance(weights.back(), model.program(static_cast<Index>(block)).size());
    }
    target = full.hidden();
    channels = squared_gains(cpu, model.program(1), weights[1]);
    for (std::size_t block = 0; block < trained_blocks; ++block)
      for (const Matrix<float>& W : weights[block].linears) matrices[block].push_back(solved(cpu, method, options, W));
  }

  Checkpoint checkpoint;
  Model model;
  Matrix<float> input, target;
  std::vector<BlockWeights<float>> weights;
  std::vector<std::vector<QuantizedMatrix>> matrices;
  std::vector<float> channels;
};

struct Tuned {
  TuneReport report;
  std::vector<double> losses;
  std::vector<std::vector<QuantizedMatrix>> matrices;
  std::vector<std::vector<Matrix<float>>> linears;  ///< of both blocks
};

/// `resident`: tokens of input and target that are with the backend. tuned.matrices: those of the problem.
template <class Backend>
void tune(const Context<Backend>& context, const Problem& problem, const TuneOptions& options, Tuned& tuned,
          Index resident = windows * length, int stop_at = 0) {
  std::vector<BlockWeights<float, Backend>> originals, weights;
  for (const BlockWeights<float>& block : problem.weights)
    for (auto* list : {&originals, &weights}) list->push_back(detail::moved_to(context, copy(cpu, block)));
  std::vector<TunedBlock<Backend>> blocks;
  for (std::size_t block = 0; block < 2; ++block) {
    blocks.push_back({&problem.model.program(static_cast<Index>(block)), &weights[block], {}});
    if (block >= tuned.matrices.size()) continue;
    for (std::size_t i = 0; i < tuned.matrices[block].size(); ++i)
      blocks.back().matrices.push_back(
          {static_cast<int>(i), std::as_const(originals[block].linears[i]).view(), &tuned.matrices[block][i], 0});
  }
  const TokenMatrix<float, Backend> input(context, Matrix<float>(problem.input), resident),
      target(context, Matrix<float>(problem.target), resident / 2);
  const TuneData<Backend> data{input, target, problem.channels.data(), length};
  tuned.report = tune_window(context, options, std::move(blocks), data, 7, [&](int step, int, double loss) {
    tuned.losses.push_back(loss);
    return step != stop_at;
  });
  for (const auto& block : weights) {
    tuned.linears.emplace_back();
    for (const auto& linear : block.linears) tuned.linears.back().push_back(context.download(linear.view()));
  }
}
template <class Backend>
Tuned tuned_on(const Context<Backend>& context, const Problem& problem, const TuneOptions& options,
               Index resident = windows * length) {
  Tuned tuned{{}, {}, problem.matrices, {}};
  tune(context, problem, options, tuned, resident);
  return tuned;
}

bool same_matrices(const Tuned& a, const std::vector<std::vector<QuantizedMatrix>>& b) {
  bool same = true;
  for (std::size_t block = 0; block < b.size(); ++block)
    for (std::size_t i = 0; i < b[block].size(); ++i) same = same && same_codes(a.matrices[block][i], b[block][i]);
  return same;
}
bool same(const Tuned& a, const Tuned& b) {
  return a.losses == b.losses && a.report.loss == b.report.loss && a.linears == b.linears &&
         same_matrices(a, b.matrices);
}

TuneOptions quick(const std::string& more) {
  return parse_tune("steps=24,batch=4,looks=4,held_out=0.2,rate=0.02," + more);
}

struct Case {
  const char *name, *method;
  OptionMap options;
  std::size_t trained_blocks;
  const char* tune;
};
const Case cases[] = {
    {"llama_gqa", "gptq", {{"bits", "2"}, {"group_size", "8"}}, 1, "trainable=latent"},
    {"llama_gqa",
     "owq",
     {{"bits", "3"}, {"group_size", "8"}, {"outlier_columns", "2"}},
     2,
     "trainable=lsq,momentum=0.9"},
    {"opt", "rtn", {{"bits", "2"}, {"group_size", "16"}}, 2, "trainable=signround,optimiser=signsgd"},
    {"gemma2", "gptqt", {{"bits", "2"}, {"group_size", "8"}}, 1, "trainable=latent"},
    {"qwen3_qk_norm", "gptq", {{"bits", "2"}, {"group_size", "8"}}, 1, "trainable=scales"},
};

}  // namespace

TEST_CASE("a window is tuned as on the CPU, and its matrices decode to what was trained") {
  HALFTONE_DEVICE_CASE(context);
  for (const Case& one : cases) {
    INFO(one.name << ", " << one.method << ", " << one.tune);
    const Problem problem(one.name, one.method, one.options, one.trained_blocks);
    const Tuned here = tuned_on(cpu, problem, quick(one.tune)), there = tuned_on(context, problem, quick(one.tune));
    CHECK(there.report.start_loss == Approx(here.report.start_loss).epsilon(1e-5));
    REQUIRE(there.losses.size() == 24);
    double worst = 0;
    for (std::size_t step = 0; step < 24; ++step) {
      const double difference = std::abs(there.losses[step] / here.losses[step] - 1);
      worst = std::max(worst, difference);
      if (step < 4) CHECK(difference <= 1e-3);
    }
    std::printf("%s, %s, %s: losses of 24 steps differ by at most %.1e; tuned %.5f here, %.5f there, of %.5f\n",
                one.name, one.method, one.tune, worst, here.report.loss, there.report.loss, here.report.start_loss);
    CHECK(there.report.loss < there.report.start_loss);
    CHECK(there.report.loss == Approx(here.report.loss).epsilon(0.1));
    for (std::size_t block = 0; block < 2; ++block)
      for (std::size_t i = 0; i < problem.weights[block].linears.size(); ++i)
        CHECK(there.linears[block][i] ==
              (block < one.trained_blocks ? dequantize(there.matrices[block][i]) : problem.weights[block].linears[i]));
  }
}

TEST_CASE("a window is tuned to the same bytes twice, and wherever its hidden states lie") {
  HALFTONE_DEVICE_CASE(context);
  for (const Case& one : cases) {
    INFO(one.name << ", " << one.method << ", " << one.tune);
    const Problem problem(one.name, one.method, one.options, one.trained_blocks);
    const Tuned once = tuned_on(context, problem, quick(one.tune));
    CHECK(same(once, tuned_on(context, problem, quick(one.tune))));
    CHECK(same(once, tuned_on(context, problem, quick(one.tune), 0)));
    CHECK(same(once, tuned_on(context, problem, quick(one.tune), 4 * length + 5)));
  }
}

TEST_CASE("training on the device stops, and is refused, as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  const Problem problem("llama_gqa", "rtn", {{"bits", "2"}, {"group_size", "8"}}, 1);
  Tuned tuned{{}, {}, problem.matrices, {}};
  CHECK(error_of([&] { tune(context, problem, quick("trainable=latent"), tuned, 0, 3); }) ==
        "cancelled: tune: stopped after 3 of 24 steps");
  CHECK(tuned.losses.size() == 3);
  CHECK(same_matrices(tuned, problem.matrices));
  const auto rows = context.allocate<float>(length, problem.input.cols());
  const TuneData<Cuda> data{rows.view(), rows.view(), nullptr, length};
  CHECK(error_of([&] { tune_window(context, quick("lookahead=0"), {}, data, 0); }) ==
        "invalid_argument: tune: no block of the window has a matrix to train");
}

TEST_CASE("where the device has no memory for a window that is an error, and the matrices stay") {
  HALFTONE_DEVICE_CASE(context);
  const Problem problem("llama_gqa", "rtn", {{"bits", "2"}, {"group_size", "8"}}, 1);
  tuned_on(context, problem, quick("trainable=latent"));
  for (const double share : {0.95, 0.8, 0.6, 0.4}) {
    const auto small =
        device_context({.memory_limit = static_cast<Index>(share * static_cast<double>(context.memory_peak()))});
    Tuned tuned{{}, {}, problem.matrices, {}};
    CHECK(error_of([&] { tune(*small, problem, quick("trainable=latent"), tuned); }).find("out_of_memory") == 0);
    CHECK(same_matrices(tuned, problem.matrices));
  }
}
