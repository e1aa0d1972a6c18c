#include "finite_differences.hpp"
#include "halftone/model/block_chain.hpp"
#include "halftone/model/stream.hpp"
#include "model/fixture.hpp"
#include "model/trained_block.hpp"
#include "random_matrix.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Both blocks of a fixture, and the first once more: a chain of three.
template <class S>
struct Three {
  TrainedBlock<S> a, b, c;
  Three(const std::string& name, Index tokens, Index length)
      : a(name, tokens, length, 0), b(name, tokens, length, 1), c(name, tokens, length, 0) {}

  std::vector<typename BlockChain<S>::Link> links(int trained) const {
    const auto link = [&](const TrainedBlock<S>& block, bool train) {
      return typename BlockChain<S>::Link{&block.program(), &block.weights,
                                          std::vector<bool>(train ? block.program().linears.size() : 0, true)};
    };
    return {link(a, (trained & 1) != 0), link(b, (trained & 2) != 0), link(c, (trained & 4) != 0)};
  }
};

template <class S>
struct Step {
  Matrix<S> output, d_input;
  std::vector<LinearGradients<S>> gradients;
};
template <class S>
Step<S> step(const Context<Cpu>& context, const Three<S>& blocks, int trained, ChainMemory keep, bool input_wanted,
             const Matrix<S>& d_output) {
  BlockChain<S> chain(context, blocks.links(trained), blocks.a.length, keep, input_wanted);
  Step<S> result;
  result.output = chain.forward(blocks.a.hidden);
  chain.backward(d_output, result.gradients);
  result.d_input = chain.input_gradient();
  return result;
}

}  // namespace

TEST_CASE("gradients of three blocks, also through frozen ones, are those of differences") {
  const Context<Cpu> context(1);
  for (const char* name : {"llama_gqa", "opt", "gemma2", "timm_eva02_base", "timm_eva02_tiny"})
    for (const int trained : {7, 1}) {  // all; the first, against the two behind it
      INFO(name << ", trained " << trained);
      const Index length = window_of(name, 11);
      Three<double> blocks(name, 2 * length, length);
      const auto d_output = random_matrix<double>(2 * length, blocks.a.hidden.cols(), 3);
      const auto found = step(context, blocks, trained, ChainMemory::Inputs, true, d_output);
      BlockChain<double> chain(context, blocks.links(trained), length);
      const auto loss = [&] { return product_sum(chain.forward(blocks.a.hidden), d_output); };
      CHECK(gradient_error(blocks.a.hidden, found.d_input, loss, 97) < 1e-6);
      for (std::size_t i = 0; i < blocks.a.weights.linears.size(); ++i) {
        auto& W = blocks.a.weights.linears[i];
        CHECK(gradient_error(W, found.gradients[0][i], loss, 1 + W.size() / 12) < 1e-6);
        CHECK(found.gradients[1][i].empty() == (trained == 1));
      }
    }
}

TEST_CASE("keeping values, running again, threads and frozen blocks change no byte") {
  for (const char* name :
       {"llama_gqa", "qwen3_qk_norm", "mistral_window", "phi3_fused", "opt_postnorm", "timm_eva02_base"}) {
    INFO(name);
    const Index length = window_of(name, 11);
    const Three<float> blocks(name, 8 * length, length);
    const auto d_output = random_matrix<float>(8 * length, blocks.a.hidden.cols(), 3);
    const auto one = step(Context<Cpu>(1), blocks, 7, ChainMemory::Values, true, d_output);
    for (const int threads : {1, 3})
      for (const ChainMemory keep : {ChainMemory::Values, ChainMemory::Inputs})
        for (const int trained : {7, 2}) {
          const auto other = step(Context<Cpu>(threads), blocks, trained, keep, trained == 7, d_output);
          CHECK(other.output == one.output);
          CHECK(other.gradients[1] == one.gradients[1]);
          if (trained != 7) continue;
          CHECK(other.d_input == one.d_input);
          CHECK(other.gradients == one.gradients);
        }
  }
}

TEST_CASE("a chain gives the bytes of the stream") {
  const Context<Cpu> context(2);
  for (const std::string& name : all_fixtures()) {
    INFO(name);
    const Index length = window_of(name, 11);
    const Three<float> blocks(name, 6 * length, length);
    Stream<float> stream(context, Matrix<float>(blocks.a.hidden), length, {.windows_at_once = 6});
    for (const auto* block : {&blocks.a, &blocks.b, &blocks.c}) {
      stream.enter(block->program());
      stream.advance(block->weights, block->program().size());
    }
    BlockChain<float> chain(context, blocks.links(1), length);
    CHECK(chain.forward(blocks.a.hidden) == stream.hidden());
    CHECK(chain.forward(blocks.a.hidden) == stream.hidden());
  }
}

TEST_CASE("weights may change from step to step, batches too, and gradients add up") {
  const Context<Cpu> context(2);
  Three<double> blocks("llama_gqa", 22, 11);
  const auto d_output = random_matrix<double>(22, 64, 3);
  BlockChain<double> chain(context, blocks.links(3), 11);
  std::vector<LinearGradients<double>> gradients;
  chain.forward(random_matrix<double>(33, 64, 5));
  chain.backward(random_matrix<double>(33, 64, 6), gradients);
  blocks.b.weights.linears[3].fill(0.01);
  chain.forward(blocks.a.hidden);
  chain.backward(d_output, gradients);
  const auto fresh = step(context, blocks, 3, ChainMemory::Values, false, d_output);
  CHECK(gradients == fresh.gradients);
  chain.forward(blocks.a.hidden);
  chain.backward(d_output, gradients, true);
  for (Index i = 0; i < gradients[0][2].size(); ++i)
    REQUIRE(gradients[0][2].data()[i] == Approx(2 * fresh.gradients[0][2].data()[i]).margin(1e-12));
}

TEST_CASE("a step down the gradient lowers the squared error") {
  const Context<Cpu> context(2);
  Three<float> blocks("llama_gqa", 66, 11);
  BlockChain<float> chain(context, blocks.links(7), 11);
  const Matrix<float> target = chain.forward(blocks.a.hidden);
  for (auto& W : blocks.b.weights.linears)
    for (Index i = 0; i < W.size(); ++i) W.data()[i] *= 0.9f;
  Matrix<float> dy(66, 64);
  const auto error = [&] {
    return squared_error<float>(context, chain.forward(blocks.a.hidden), target, {}, 1.0 / (66 * 64), dy);
  };
  const double before = error();
  std::vector<LinearGradients<float>> gradients;
  chain.backward(dy, gradients);
  double square = 0;
  for (const auto& dW : gradients[1])
    for (Index i = 0; i < dW.size(); ++i)
      square += static_cast<double>(dW.data()[i]) * static_cast<double>(dW.data()[i]);
  const double rate = 0.1 * before / square;  // the linear term says: a tenth less
  for (std::size_t i = 0; i < gradients[1].size(); ++i)
    for (Index j = 0; j < gradients[1][i].size(); ++j)
      blocks.b.weights.linears[i].data()[j] -= static_cast<float>(rate) * gradients[1][i].data()[j];
  const double after = error();
  CHECK(before > 0);
  CHECK(after < 0.95 * before);
  CHECK(after > 0.85 * before);
}

TEST_CASE("memory and work of a chain are the sums of its blocks'") {
  const Context<Cpu> context(2);
  const Three<float> blocks("llama_gqa", 22, 11);
  const BlockChain<float> values(context, blocks.links(1), 11, ChainMemory::Values),
      inputs(context, blocks.links(1), 11);
  const auto first = plan_backward(blocks.a.program(), {std::vector<bool>(7, true), false});
  const auto later = plan_backward(blocks.a.program(), {});
  const auto a = backward_bytes(context, blocks.a.program(), first, 220, 11);
  const auto b = backward_bytes(context, blocks.a.program(), later, 220, 11);
  const Index hidden = 5 * 220 * 64 * 4, shared = std::max(a.gradients + a.attention, b.gradients + b.attention);
  CHECK(values.bytes(220) == a.values + 2 * b.values + shared + a.weights + hidden);
  // The buffers of the block that is trained hold those of the frozen ones, each at least as wide.
  CHECK(inputs.bytes(220) == a.values + shared + a.weights + hidden);
  const auto f = block_flops(blocks.a.program(), first, 220, 11), g = block_flops(blocks.a.program(), later, 220, 11);
  CHECK(values.flops(220).forward == 3 * f.forward);
  CHECK(values.flops(220).backward == f.backward + 2 * g.backward);
  CHECK(inputs.flops(220).backward == f.backward + 2 * g.backward + 2 * f.forward);
}

TEST_CASE("a chain refuses what does not fit") {
  const Context<Cpu> context(1);
  const Three<float> blocks("llama_gqa", 22, 11);
  const TrainedBlock<float> other("opt", 22, 11);
  CHECK_THROWS_WITH(BlockChain<float>(context, {}, 11), Catch::Contains("got no blocks"));
  auto links = blocks.links(0);
  links.push_back({&other.program(), &other.weights, {}});
  CHECK_THROWS_WITH(BlockChain<float>(context, links, 11), Catch::Contains("48 columns, wanted 64"));
  BlockChain<float> chain(context, blocks.links(1), 11);
  std::vector<LinearGradients<float>> gradients;
  CHECK_THROWS_WITH(chain.backward(blocks.a.hidden, gradients), Catch::Contains("without a forward pass"));
  CHECK_THROWS_WITH(chain.forward(Matrix<float>(21, 64, 0.0f)), Catch::Contains("whole windows of 11"));
  CHECK_THROWS_WITH(chain.forward(Matrix<float>(22, 63, 0.0f)), Catch::Contains("22 x 63"));
  chain.forward(blocks.a.hidden);
  CHECK_THROWS_WITH(chain.backward(Matrix<float>(11, 64, 0.0f), gradients), Catch::Contains("d_output is 11 x 64"));
  chain.backward(blocks.a.hidden, gradients);
  CHECK_THROWS_WITH(chain.backward(blocks.a.hidden, gradients), Catch::Contains("without a forward pass"));
}
