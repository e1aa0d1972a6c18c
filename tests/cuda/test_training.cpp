// Chains of blocks, forward and backward: the same templates on both backends, over every fixture.
#include "halftone/backend/cuda_nn_backward.hpp"
#include "halftone/model/block_chain.hpp"
#include "model/move_to.hpp"
#include "model/trained_block.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);

/// Both blocks of a fixture: programs, weights of the host, a random hidden state.
struct Two {
  TrainedBlock<float> first, second;
  explicit Two(const std::string& name, Index windows = 3)
      : first(name, windows * window_of(name, 11), window_of(name, 11), 0),
        second(name, windows * window_of(name, 11), window_of(name, 11), 1) {}
};

struct Step {
  Matrix<float> output, d_input;
  std::vector<Matrix<float>> gradients;  ///< of both blocks' linears
  double loss = 0;
};

/// One step of training: the squared error against a random target, and its gradients.
template <class Backend>
Step step(const Context<Backend>& context, const Two& blocks, int trained, ChainMemory keep, bool input_wanted,
          Index repeats = 1) {
  using Chain = BlockChain<float, Backend>;
  const auto copied = [&](const BlockWeights<float>& weights) {
    BlockWeights<float> host = copy(cpu, weights);
    return detail::moved_to(context, std::move(host));
  };
  const auto first = copied(blocks.first.weights), second = copied(blocks.second.weights);
  const auto all = [&](bool wanted) {
    return std::vector<bool>(wanted ? blocks.first.program().linears.size() : 0, true);
  };
  Chain chain(context,
              {{&blocks.first.program(), &first, all((trained & 1) != 0)},
               {&blocks.second.program(), &second, all((trained & 2) != 0)}},
              blocks.first.length, keep, input_wanted);
  const auto input = context.upload(blocks.first.hidden.view());
  const auto host_target = random_matrix<float>(input.rows(), input.cols(), 5);
  const auto target = context.upload(host_target.view());
  Step result;
  std::vector<LinearGradients<float, Backend>> gradients;
  for (Index i = 0; i < repeats; ++i) {
    const auto& output = chain.forward(input.view());
    auto dy = context.template allocate<float>(input.rows(), input.cols());
    result.loss = squared_error<float>(context, output.view(), target.view(), {}, 1.0, dy.view());
    chain.backward(std::as_const(dy).view(), gradients, i > 0);
    result.output = context.download(output.view());
  }
  if (input_wanted) result.d_input = context.download(chain.input_gradient().view());
  for (const auto& block : gradients)
    for (const auto& dW : block) result.gradients.push_back(context.download(dW.view()));
  return result;
}

}  // namespace

TEST_CASE("a chain of blocks of every fixture has the CPU's output, loss and gradients") {
  HALFTONE_DEVICE_CASE(context);
  double worst = 0;
  for (const std::string& name : all_fixtures())
    for (const int trained : {3, 1}) {  // both; the first, against the second behind it
      INFO(name << ", trained " << trained);
      const Two blocks(name);
      const Step here = step(cpu, blocks, trained, ChainMemory::Inputs, true);
      const Step there = step(context, blocks, trained, ChainMemory::Inputs, true);
      CHECK(relative_difference(there.output, here.output) < 1e-5);
      CHECK(there.loss == Approx(here.loss).epsilon(1e-5));
      CHECK(relative_difference(there.d_input, here.d_input) < 1e-4);
      REQUIRE(there.gradients.size() == here.gradients.size());
      for (std::size_t i = 0; i < here.gradients.size(); ++i) {
        REQUIRE(there.gradients[i].empty() == here.gradients[i].empty());
        if (here.gradients[i].empty() || largest(here.gradients[i]) < 1e-4) continue;  // nothing but rounding is left
        worst = std::max(worst, relative_difference(there.gradients[i], here.gradients[i]));
        CHECK(relative_difference(there.gradients[i], here.gradients[i]) < 1e-4);
      }
    }
  std::printf("chains: gradients of matrices differ by at most %.1e of the largest\n", worst);
}

TEST_CASE("what a chain keeps changes no byte on the device, and gradients add up") {
  HALFTONE_DEVICE_CASE(context);
  for (const char* name : {"llama_gqa", "opt", "timm_eva02_base"}) {
    INFO(name);
    const Two blocks(name);
    const Step inputs = step(context, blocks, 3, ChainMemory::Inputs, true);
    const Step values = step(context, blocks, 3, ChainMemory::Values, true);
    CHECK(values.output == inputs.output);
    CHECK(values.d_input == inputs.d_input);
    CHECK(values.gradients == inputs.gradients);
    CHECK(step(context, blocks, 3, ChainMemory::Inputs, false).gradients == inputs.gradients);
    const Step twice = step(context, blocks, 3, ChainMemory::Inputs, true, 2);
    for (std::size_t i = 0; i < inputs.gradients.size(); ++i)
      for (Index j = 0; j < inputs.gradients[i].size(); ++j)
        REQUIRE(twice.gradients[i].data()[j] ==
                Approx(2 * inputs.gradients[i].data()[j]).margin(1e-5 * largest(inputs.gradients[i])));
  }
}

TEST_CASE("a chain counts what it holds on the device") {
  HALFTONE_DEVICE_CASE(context);
  for (const char* name : {"llama_gqa", "opt", "timm_eva02_base"})
    for (const ChainMemory keep : {ChainMemory::Values, ChainMemory::Inputs}) {
      INFO(name);
      const Two blocks(name, 40);
      const auto first = detail::moved_to(context, copy(cpu, blocks.first.weights));
      const auto second = detail::moved_to(context, copy(cpu, blocks.second.weights));
      const std::vector<bool> all(blocks.first.program().linears.size(), true);
      const auto input = context.upload(blocks.first.hidden.view());
      const Index before = context.memory_in_use();
      BlockChain<float, Cuda> chain(context,
                                    {{&blocks.first.program(), &first, all}, {&blocks.second.program(), &second, all}},
                                    blocks.first.length, keep);
      std::vector<LinearGradients<float, Cuda>> gradients;
      chain.forward(input.view());
      chain.backward(input.view(), gradients);
      // The count has what attention takes in between; blocks of memory are rounded up, those above 1 MB to 2 MB.
      const Index held = context.memory_in_use() - before;
      CHECK(chain.bytes(input.rows()) > held / 4);
      CHECK(held <= chain.bytes(input.rows()) + (Index{64} << 20));
    }
}
