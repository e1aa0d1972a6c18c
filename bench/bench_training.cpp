// How fast is a step of tuning: a chain of Llama blocks forward and backward on 8 windows? Its flops are those of the
// products and of attention (model/backward_plan.hpp); all else is what keeps it from the machine's product rate.
#include <cmath>
#include <nlohmann/json.hpp>

#include "halftone/model/block_chain.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

BlockProgram llama(Index width, Index inner, Index heads, Index kv_heads) {
  return build_block_program(read_model_config({{"model_type", "llama"},
                                                {"hidden_size", width},
                                                {"hidden_act", "silu"},
                                                {"intermediate_size", inner},
                                                {"num_attention_heads", heads},
                                                {"num_key_value_heads", kv_heads},
                                                {"num_hidden_layers", 1},
                                                {"vocab_size", 32},
                                                {"max_position_embeddings", 4096},
                                                {"rms_norm_eps", 1e-5}}),
                             0);
}

BlockWeights<float> random_weights(const BlockProgram& program) {
  BlockWeights<float> weights;
  for (const LinearInfo& linear : program.linears) {
    weights.linears.push_back(bench::random_matrix(linear.rows, linear.cols, 1));
    const float spread = 1 / std::sqrt(static_cast<float>(linear.cols));
    for (Index i = 0; i < weights.linears.back().size(); ++i) weights.linears.back().data()[i] *= spread;
    weights.biases.emplace_back();
  }
  for (const ParameterInfo& parameter : program.parameters) weights.parameters.emplace_back(1, parameter.width, 1.0f);
  return weights;
}

/// One block trained, `frozen` ones behind it.
void step(benchmark::State& state, Index width, Index inner, Index heads, Index kv_heads, Index length, Index frozen) {
  const Context<Cpu> context;
  const BlockProgram program = llama(width, inner, heads, kv_heads);
  const auto weights = random_weights(program);
  const Index tokens = 8 * length;
  std::vector<BlockChain<float>::Link> links(static_cast<std::size_t>(1 + frozen), {&program, &weights, {}});
  links[0].trained.assign(program.linears.size(), true);
  BlockChain<float> chain(context, links, length, ChainMemory::Values);
  const Matrix<float> input = bench::random_matrix(tokens, width, 2), target = bench::random_matrix(tokens, width, 3);
  Matrix<float> dy(tokens, width);
  std::vector<LinearGradients<float>> gradients;
  for (auto _ : state) {
    const auto& y = chain.forward(input);
    squared_error<float>(context, y, target, {}, 1.0 / static_cast<double>(y.size()), dy);
    chain.backward(dy, gradients);
  }
  if (!std::isfinite(gradients[0][0](0, 0))) return state.SkipWithError("the gradient is not finite");
  const BlockFlops flops = chain.flops(tokens);
  bench::count_flops(state, flops.forward + flops.backward);
}

/// One of the parts of a step that are no products by themselves: attention forward and backward.
void attention_step(benchmark::State& state, Index length, Index head_dim, bool backward) {
  const Context<Cpu> context;
  const AttentionShape shape{.length = length, .heads = 8, .kv_heads = 2, .scale = 0.1};
  const Index tokens = 8192 / length * length;
  const auto q = bench::random_matrix(tokens, 8 * head_dim, 1), k = bench::random_matrix(tokens, 2 * head_dim, 2),
             v = bench::random_matrix(tokens, 2 * head_dim, 3), dy = bench::random_matrix(tokens, 8 * head_dim, 4);
  Matrix<float> y(tokens, 8 * head_dim), dq = y, dk = k, dv = v;
  for (auto _ : state)
    if (backward)
      attention_backward<float>(context, q, k, v, shape, dy, {dq}, {dk}, {dv});
    else
      attention<float>(context, q, k, v, shape, y);
  const double pairs = static_cast<double>(tokens) * static_cast<double>(length + 1) / 2;
  bench::count_flops(state, (backward ? 10.0 : 4.0) * pairs * static_cast<double>(8 * head_dim));
}

}  // namespace

// Width, inner width, heads, key heads, tokens of a window, frozen blocks.
BENCHMARK_CAPTURE(step, small, 512, 1376, 8, 4, 256, 0)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, small_look_ahead, 512, 1376, 8, 4, 256, 1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, medium, 1024, 2816, 16, 16, 256, 0)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, large, 2048, 5632, 32, 4, 256, 0)->UseRealTime()->Unit(benchmark::kMillisecond);
// Tokens of a window, channels of a head.
BENCHMARK_CAPTURE(attention_step, forward_256, 256, 64, false)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(attention_step, backward_256, 256, 64, true)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(attention_step, forward_2048, 2048, 128, false)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(attention_step, backward_2048, 2048, 128, true)->UseRealTime()->Unit(benchmark::kMillisecond);

int main(int argc, char** argv) { return halftone::bench::run_benchmarks(argc, argv); }
