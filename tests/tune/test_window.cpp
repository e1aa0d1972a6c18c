// Tuning one window of blocks: what comes out decodes to what was trained, is nearer the full-precision stream, and is
// never worse on the held-out windows than what came in.
#include "halftone/model/stream.hpp"
#include "halftone/tune/window_tuner.hpp"
#include "model/fixture.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

constexpr Index length = 12, window_count = 12;

/// Two blocks of a tiny model: the first quantised by a solver, the second frozen.
struct Problem {
  explicit Problem(const char* name, std::string_view method, const OptionMap& options, int threads = 2)
      : context(threads), checkpoint(model_folder(name)), model(checkpoint) {
    Random random(3);
    if (const ImageConfig& image = model.config().image; model.config().reads_images()) {
      tokens = image.tokens();
      const Index numbers = image.channels * image.height * image.width;
      input = model.embed_images(context, random_matrix<float>(window_count, numbers, 3));
    } else {
      Matrix<std::int32_t> ids(window_count, length);
      for (Index i = 0; i < ids.size(); ++i)
        ids.data()[i] = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(model.vocabulary())));
      input = model.embed(context, ids);
    }
    for (Index block = 0; block < 2; ++block) {
      originals.push_back(model.load_block(context, block));
      weights.push_back(originals.back());
    }
    Stream<float> full(context, input, tokens);
    for (Index block = 0; block < 2; ++block) {
      full.enter(model.program(block));
      full.advance(originals[static_cast<std::size_t>(block)], model.program(block).size());
      outputs.push_back(full.hidden());
    }
    const BlockProgram& program = model.program(0);
    for (std::size_t i = 0; i < program.linears.size(); ++i)
      matrices.push_back(solved(context, method, options, originals[0].linears[i], 10 + i));
  }

  /// Tunes the first block against the output of block `until` − 1.
  TuneReport tune(const TuneOptions& options, Index until, const TuneProgress& progress = {}) {
    std::vector<TunedBlock<>> blocks{{&model.program(0), &weights[0], {}}};
    for (std::size_t i = 0; i < matrices.size(); ++i)
      blocks[0].matrices.push_back({static_cast<int>(i), originals[0].linears[i].view(), &matrices[i], 0});
    if (until == 2) blocks.push_back({&model.program(1), &weights[1], {}});
    const TuneData<> data{input.view(), outputs[static_cast<std::size_t>(until - 1)].view(), nullptr, tokens};
    return tune_window(context, options, std::move(blocks), data, 7, progress);
  }

  Context<Cpu> context;
  Checkpoint checkpoint;
  Model model;
  Index tokens = length;  ///< of a window
  Matrix<float> input;
  std::vector<BlockWeights<float>> originals, weights;
  std::vector<Matrix<float>> outputs;
  std::vector<QuantizedMatrix> matrices;
};

TuneOptions quick(const char* more = "") {
  return parse_tune(std::string("steps=40,batch=4,looks=4,held_out=0.25,rate=0.02") + more);
}

}  // namespace

TEST_CASE("tuning lowers the held-out loss, and hands out what it trained") {
  for (const char* name : {"llama_gqa", "opt", "gemma2"})
    for (const Index until : {Index{1}, Index{2}}) {
      INFO(name << " until " << until);
      Problem problem(name, "gptq", {{"bits", "2"}, {"group_size", "8"}});
      const auto frozen = problem.weights[1].linears;
      const TuneReport report = problem.tune(quick(), until);
      CHECK(report.start_loss > 0);
      CHECK(report.loss < 0.97 * report.start_loss);
      CHECK(report.steps > 0);
      for (std::size_t i = 0; i < problem.matrices.size(); ++i) {
        CHECK(problem.weights[0].linears[i] == dequantize(problem.matrices[i]));
        CHECK(problem.matrices[i].bits() == 2);
      }
      CHECK(problem.weights[1].linears == frozen);
    }
}

TEST_CASE("groups that do not divide the widths: a shorter last one is solved, tuned and handed out like the others") {
  for (const char* name : {"timm_eva02_base", "timm_eva02_tiny"})
    for (const char* method : {"rtn", "gptq", "gptqt"})
      for (const Index until : {Index{1}, Index{2}}) {
        INFO(name << ", " << method << " until " << until);
        Problem problem(name, method, {{"bits", "2"}, {"group_size", "32"}});  // 48 = 32 + 16, 88 = 2 · 32 + 24
        CHECK(problem.matrices.back().cols() == 88);
        CHECK(problem.matrices.back().groups() == 3);
        const TuneReport report = problem.tune(quick(), until);
        CHECK(report.loss < 0.97 * report.start_loss);
        for (std::size_t i = 0; i < problem.matrices.size(); ++i)
          CHECK(problem.weights[0].linears[i] == dequantize(problem.matrices[i]));
      }
}

TEST_CASE("2730 columns in groups of 128: the last 42 are a group of their own") {  // EVA-02 large
  const Context<Cpu> context(2);
  const Matrix<float> W = random_matrix<float>(3, 2730, 2, 0.05);
  const auto rounded = [&](const Matrix<float>& matrix, const char* group) {
    const InputStatistics<float> none(context, matrix.cols(), Moments::None);
    return make_quantizer(context, "rtn", {{"bits", "4"}, {"group_size", group}})->quantize(matrix, none);
  };
  const QuantizedMatrix whole = rounded(W, "128"), last = rounded(Matrix<float>(W.view().middle_cols(2688, 42)), "-1");
  REQUIRE(whole.groups() == 22);
  const Matrix<float> decoded = dequantize(whole);
  CHECK(dequantize(last) == Matrix<float>(decoded.view().middle_cols(2688, 42)));
  const auto trainable = make_trainable(context, W, whole);
  CHECK(forward(*trainable) == decoded);
  disturb(*trainable, 9);
  const Matrix<float> moved = forward(*trainable);
  CHECK(moved != decoded);
  CHECK(moved == dequantize(trainable->result()));
}

TEST_CASE("the loss before the first step is that of the solver's result") {
  Problem problem("llama_gqa", "gptq", {{"bits", "3"}, {"group_size", "8"}});
  for (std::size_t i = 0; i < problem.matrices.size(); ++i)
    problem.weights[0].linears[i] = dequantize(problem.matrices[i]);
  Stream<float> stream(problem.context, problem.input, length);
  stream.enter(problem.model.program(0));
  stream.advance(problem.weights[0], problem.model.program(0).size());
  double error = 0;
  const Index held_out = 3;  // a quarter of twelve windows, the last; batches of one, of which each has its own size
  for (Index window = window_count - held_out; window < window_count; ++window) {
    double difference = 0, size = 0;
    for (Index t = window * length; t < (window + 1) * length; ++t)
      for (Index j = 0; j < problem.input.cols(); ++j) {
        const double target = problem.outputs[0](t, j), got = stream.hidden()(t, j);
        difference += (got - target) * (got - target);
        size += target * target;
      }
    error += difference / size / static_cast<double>(held_out);
  }
  TuneOptions options = quick(",margin=0");
  options.batch = 1;
  options.steps = 1;
  const TuneReport report = problem.tune(options, 1);
  CHECK(report.start_loss == Approx(error).epsilon(1e-5));
}

TEST_CASE("where no look is better the start stays, byte for byte") {
  Problem problem("llama_gqa", "gptq", {{"bits", "4"}, {"group_size", "8"}});
  const std::vector<QuantizedMatrix> before = problem.matrices;
  TuneOptions options = quick();
  options.rate = 1000;  // nothing good comes of this
  const TuneReport report = problem.tune(options, 1);
  CHECK(report.steps == 0);
  CHECK(report.loss == report.start_loss);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(same_codes(problem.matrices[i], before[i]));
}

TEST_CASE("the same bytes for any number of threads, another seed gives others") {
  const auto tuned = [](int threads, const char* method) {
    Problem problem("llama_gqa", method, {{"bits", "2"}, {"group_size", "8"}}, threads);
    problem.tune(quick(), 2);
    return problem.matrices;
  };
  for (const char* method : {"gptq", "owq", "gptqt"}) {
    INFO(method);
    const auto one = tuned(1, method), three = tuned(3, method);
    for (std::size_t i = 0; i < one.size(); ++i) CHECK(same_codes(one[i], three[i]));
  }
}

TEST_CASE("stopping leaves the matrices as they came in; what does not fit is refused") {
  Problem problem("llama_gqa", "gptq", {{"bits", "2"}, {"group_size", "8"}});
  const std::vector<QuantizedMatrix> before = problem.matrices;
  int told = 0;
  CHECK_THROWS_AS(problem.tune(quick(), 1,
                               [&](int step, int steps, double loss) {
                                 CHECK(steps == 40);
                                 CHECK(loss > 0);
                                 told = step;
                                 return step < 5;
                               }),
                  Error);
  CHECK(told == 5);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(same_codes(problem.matrices[i], before[i]));

  const TuneData<> data{problem.input.view(), problem.outputs[0].view().middle_rows(0, length), nullptr, length};
  std::vector<TunedBlock<>> blocks{{&problem.model.program(0), &problem.weights[0], {}}};
  CHECK_THROWS_AS(tune_window(problem.context, quick(), blocks, data, 0), Error);  // nothing to train
  blocks[0].matrices.push_back({0, problem.originals[0].linears[0].view(), &problem.matrices[0], 0});
  CHECK_THROWS_AS(tune_window(problem.context, quick(), blocks, data, 0), Error);  // tokens
}
