#include <limits>
#include <set>

#include "finite_differences.hpp"
#include "halftone/model/backward.hpp"
#include "model/fixture.hpp"
#include "model/trained_block.hpp"
#include "random_matrix.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// What wants everything.
WantedGradients everything(const BlockProgram& program) {
  return {std::vector<bool>(program.linears.size(), true), true};
}

/// Gradients of one pass.
template <class S>
struct Pass {
  Matrix<S> output, d_input;
  LinearGradients<S> linears;
};

/// Forward with every slot kept, then backward.
template <class S>
Pass<S> differentiate(const Context<Cpu>& context, const TrainedBlock<S>& block, const WantedGradients& wanted,
                      const Matrix<S>& d_output) {
  const BlockProgram& program = block.program();
  std::vector<Matrix<S>> values;
  for (const Index width : program.slot_widths) values.emplace_back(block.hidden.rows(), width);
  values[static_cast<std::size_t>(program.input)] = block.hidden;
  std::vector<MatrixView<S>> views(values.begin(), values.end());
  BlockRunner<S>(context, program, block.length).run(0, program.size(), block.weights, views);
  Pass<S> pass{values[static_cast<std::size_t>(program.output)], Matrix<S>(d_output.rows(), d_output.cols(), S(0)), {}};
  const BackwardRunner<S> runner(context, program, block.length, wanted);
  const auto& saved = runner.plan().saved;  // the rest must not matter
  for (int slot = 0; slot < static_cast<int>(program.slots()); ++slot)
    if (std::find(saved.begin(), saved.end(), slot) == saved.end()) views[static_cast<std::size_t>(slot)] = {};
  Buffers<S> buffers;
  runner.run(block.weights, views, d_output, buffers, pass.linears, false, pass.d_input);
  return pass;
}

}  // namespace

TEST_CASE("gradients of whole blocks are those of differences") {
  const Context<Cpu> context(1);
  for (const char* name : {"llama_gqa", "llama3_rope_tied", "mistral_window", "qwen2_bias_tied", "qwen3_qk_norm",
                           "phi3_fused", "gemma2", "opt", "opt_postnorm", "timm_eva02_base", "timm_eva02_tiny"})
    for (const Index length : std::set<Index>{window_of(name, 1), window_of(name, 11)}) {
      INFO(name << ", windows of " << length);
      TrainedBlock<double> block(name, 2 * length, length);
      const auto d_output = random_matrix<double>(2 * length, block.hidden.cols(), 3);
      const auto pass = differentiate(context, block, everything(block.program()), d_output);
      const auto loss = [&] { return product_sum(block.run(context), d_output); };
      CHECK(gradient_error(block.hidden, pass.d_input, loss, 1 + block.hidden.size() / 40) < 1e-6);
      for (std::size_t i = 0; i < pass.linears.size(); ++i) {
        INFO(block.program().linears[i].module);
        CHECK(gradient_error(block.weights.linears[i], pass.linears[i], loss, 1 + pass.linears[i].size() / 16) < 1e-6);
      }
    }
}

TEST_CASE("float gradients are close to double ones") {
  const Context<Cpu> context(2);
  for (const std::string& name : all_fixtures()) {
    INFO(name);
    const Index length = window_of(name, 11), tokens = 4 * length;
    const TrainedBlock<double> exact(name, tokens, length);
    const TrainedBlock<float> block(name, tokens, length);
    const auto wanted = everything(exact.program());
    const auto reference = differentiate(context, exact, wanted, random_matrix<double>(tokens, exact.hidden.cols(), 3));
    const auto pass = differentiate(context, block, wanted, random_matrix<float>(tokens, exact.hidden.cols(), 3));
    CHECK(distance(pass.d_input, reference.d_input) < 1e-4 * largest(reference.d_input));
    for (std::size_t i = 0; i < pass.linears.size(); ++i)
      CHECK(distance(pass.linears[i], reference.linears[i]) < 1e-4 * largest(reference.linears[i]));
  }
}

TEST_CASE("a subset of gradients has the bytes of all of them") {
  const Context<Cpu> context(2);
  for (const char* name : {"llama_gqa", "gemma2", "phi3_fused", "opt_postnorm", "timm_eva02_base"}) {
    INFO(name);
    const Index length = window_of(name, 11), tokens = 4 * length;
    const TrainedBlock<float> block(name, tokens, length);
    const BlockProgram& program = block.program();
    const auto d_output = random_matrix<float>(tokens, block.hidden.cols(), 3);
    const auto all = differentiate(context, block, everything(program), d_output);
    const std::size_t count = program.linears.size();
    for (std::size_t only = 0; only <= count; ++only)  // the last: a frozen block
      for (const bool input : {false, true}) {
        WantedGradients wanted{std::vector<bool>(count, false), input};
        if (only < count) wanted.linears[only] = true;
        const auto some = differentiate(context, block, wanted, d_output);
        CHECK((some.d_input == all.d_input) == input);
        for (std::size_t i = 0; i < count; ++i)
          CHECK((i == only ? some.linears[i] == all.linears[i] : some.linears[i].empty()));
      }
  }
}

TEST_CASE("gradients of a block are the same bytes for any number of threads") {
  for (const char* name : {"llama_gqa", "qwen3_qk_norm", "opt", "gemma2", "timm_eva02_base"}) {
    INFO(name);
    const Index length = window_of(name, 11), tokens = 8 * length;
    const TrainedBlock<float> block(name, tokens, length);
    const auto d_output = random_matrix<float>(tokens, block.hidden.cols(), 3);
    const auto wanted = everything(block.program());
    const auto one = differentiate(Context<Cpu>(1), block, wanted, d_output);
    for (const int threads : {2, 3, 5}) {
      const auto other = differentiate(Context<Cpu>(threads), block, wanted, d_output);
      CHECK(other.d_input == one.d_input);
      CHECK(other.linears == one.linears);
    }
  }
}

TEST_CASE("single windows added up are the batch") {
  const Context<Cpu> context(2);
  TrainedBlock<double> batch("llama_gqa", 33, 11);
  const auto d_output = random_matrix<double>(33, batch.hidden.cols(), 3);
  const auto wanted = everything(batch.program());
  const auto whole = differentiate(context, batch, wanted, d_output);
  LinearGradients<double> sum;
  const BackwardRunner<double> runner(context, batch.program(), 11, wanted);
  Buffers<double> buffers;
  for (Index window = 0; window < 3; ++window) {
    TrainedBlock<double> one("llama_gqa", 11, 11);
    one.hidden = Matrix<double>(batch.hidden.view().middle_rows(11 * window, 11));
    std::vector<Matrix<double>> values;
    for (const Index width : one.program().slot_widths) values.emplace_back(11, width);
    values[static_cast<std::size_t>(one.program().input)] = one.hidden;
    std::vector<MatrixView<double>> views(values.begin(), values.end());
    BlockRunner<double>(context, one.program(), 11).run(0, one.program().size(), one.weights, views);
    Matrix<double> d_input(d_output.view().middle_rows(11 * window, 11));  // d_input may be d_output
    runner.run(one.weights, views, d_input, buffers, sum, true, d_input);
    CHECK(distance(d_input, Matrix<double>(whole.d_input.view().middle_rows(11 * window, 11))) < 1e-13);
  }
  for (std::size_t i = 0; i < sum.size(); ++i) CHECK(distance(sum[i], whole.linears[i]) < 1e-11);
}

TEST_CASE("a key bias without rotation has no gradient") {
  // softmax does not see what is added to all scores of a query. Where an input channel is 1 for every token, dW of
  // that channel is the bias' gradient.
  TrainedBlock<double> block("opt", 22, 11);
  block.weights.parameters[0].data()[0] = 0;
  block.weights.parameters[1].data()[0] = 1;
  const auto pass = differentiate(Context<Cpu>(1), block, everything(block.program()),
                                  random_matrix<double>(22, block.hidden.cols(), 3));
  const auto &query = pass.linears[0], &key = pass.linears[1];
  for (Index i = 0; i < key.rows(); ++i) CHECK(std::abs(key(i, 0)) < 1e-13 * largest(key));
  CHECK(largest(key) > 1e-6);
  CHECK(std::abs(query(0, 0)) > 1e-6 * largest(query));
}

TEST_CASE("a backward pass refuses what does not fit") {
  const Context<Cpu> context(1);
  const TrainedBlock<float> block("llama_gqa", 22, 11);
  const BlockProgram& program = block.program();
  const BackwardRunner<float> runner(context, program, 11, everything(program));
  Buffers<float> buffers;
  LinearGradients<float> gradients;
  Matrix<float> d(22, 64, 0.0f), narrow(22, 63, 0.0f), ragged(21, 64, 0.0f);
  std::vector<MatrixView<float>> values(program.slot_widths.size());
  const auto run = [&](MatrixView<const float> d_output, MatrixView<float> d_input) {
    runner.run(block.weights, values, d_output, buffers, gradients, false, d_input);
  };
  CHECK_THROWS_WITH(run(narrow, d), Catch::Contains("d_output is 22 x 63"));
  CHECK_THROWS_WITH(run(ragged, d), Catch::Contains("whole windows of 11"));
  CHECK_THROWS_WITH(run(d, narrow), Catch::Contains("d_input is 22 x 63"));
  CHECK_THROWS_WITH(run(d, d), Catch::Contains("slot 0 has no data"));
  gradients.emplace_back(2, 3);
  std::vector<Matrix<float>> storage;
  for (std::size_t i = 0; i < values.size(); ++i) {
    storage.emplace_back(22, program.slot_widths[i], 0.0f);
    values[i] = storage.back().view();
  }
  CHECK_THROWS_WITH(run(d, d), Catch::Contains("q_proj is 2 x 3"));
  CHECK_THROWS_WITH(BackwardRunner<float>(context, program, 0, {}), Catch::Contains("wanted 1 or more"));
  CHECK_THROWS_WITH(plan_backward(program, {std::vector<bool>(8, true), true}), Catch::Contains("8 linears"));
}
