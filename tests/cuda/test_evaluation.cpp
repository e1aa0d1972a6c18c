// Evaluation: the same templates on both backends, over every fixture.
#include "halftone/backend/cuda_copier.hpp"
#include "halftone/backend/cuda_nn.hpp"
#include "halftone/pipeline/quantize_model.hpp"
#include "model/bfloat_model.hpp"
#include "model/evaluation.impl.hpp"
#include "walk_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// A fixture, rounded to 3 bits by RTN and as it is; and token ids that no kernel's width divides.
struct Pair {
  explicit Pair(const std::string& name) : original(model_folder(name)), reference(original) {
    Recipe recipe = small_recipe("rtn", {});
    quantize_model(cpu, model_folder(name), folder / "rounded", recipe);
    rounded = std::make_unique<Checkpoint>(folder / "rounded");
    model = std::make_unique<Model>(*rounded);
    ids = read_ids(write_ids(folder / "ids.safetensors", 7, 20, reference.vocabulary(), 3));
  }

  TemporaryFolder folder;
  Checkpoint original;
  Model reference;
  std::unique_ptr<Checkpoint> rounded;
  std::unique_ptr<Model> model;
  Matrix<std::int32_t> ids;
};

bool same(const Evaluation& a, const Evaluation& b) {
  return a.tokens == b.tokens && a.nll == b.nll && a.divergence->kl == b.divergence->kl &&
         a.divergence->kl_p99 == b.divergence->kl_p99 && a.divergence->top1 == b.divergence->top1;
}

}  // namespace

TEST_CASE("every fixture is evaluated as on the CPU, and twice in the same bytes") {
  const auto device = walk_device();
  if (!device) return;
  double worst_nll = 0, worst_kl = 0;
  for (const char* name : fixtures) {
    INFO(name);
    const Pair pair(name);
    const Evaluation here = evaluate(cpu, *pair.model, pair.ids, &pair.reference);
    const Evaluation there = device->evaluate(cpu, *pair.model, pair.ids, &pair.reference, {});
    worst_nll = std::max(worst_nll, std::abs(there.nll - here.nll));
    worst_kl = std::max(worst_kl, std::abs(there.divergence->kl - here.divergence->kl));
    CHECK(there.tokens == here.tokens);
    CHECK(std::abs(there.nll - here.nll) < 1e-5);
    CHECK(there.perplexity == std::exp(there.nll));
    CHECK(here.divergence->kl > 1e-3);
    CHECK(std::abs(there.divergence->kl - here.divergence->kl) < 1e-5);
    CHECK(std::abs(there.divergence->kl_p99 - here.divergence->kl_p99) < 1e-4);
    CHECK(std::abs(there.divergence->top1 - here.divergence->top1) < 0.01);  // at most one token of 133
    CHECK(same(there, device->evaluate(cpu, *pair.model, pair.ids, &pair.reference, {})));
    const Evaluation alone = device->evaluate(cpu, *pair.model, pair.ids, nullptr, {});
    CHECK(alone.nll == there.nll);
    CHECK(!alone.divergence);
  }
  std::printf("evaluation: NLL differs by at most %.1e, KL by %.1e\n", worst_nll, worst_kl);
}

TEST_CASE("hidden states that have no room, and weights that do not come ahead, change no byte of an evaluation") {
  const auto roomy = walk_device();
  if (!roomy) return;
  const auto tight = walk_device({.device = 0, .memory_limit = Index{200} << 20});
  for (const char* name : {"llama_gqa", "opt", "opt_postnorm"}) {
    INFO(name);
    const Pair pair(name);
    CHECK(evaluation_room(*pair.model, pair.ids, &pair.reference, tight->memory_limit()).resident == 0);
    CHECK(!evaluation_room(*pair.model, pair.ids, &pair.reference, tight->memory_limit()).ahead);
    CHECK(evaluation_room(*pair.model, pair.ids, &pair.reference, roomy->memory_limit()).resident == 7 * 19);
    CHECK(same(tight->evaluate(cpu, *pair.model, pair.ids, &pair.reference, {}),
               roomy->evaluate(cpu, *pair.model, pair.ids, &pair.reference, {})));
  }
}

TEST_CASE("a part of the hidden states may stay: room is counted for the streams of both models") {
  const Pair pair("llama_gqa");
  const auto least_for = [&](const Model* reference, Index tokens) {
    Index low = 0, high = Index{1} << 30;
    while (low < high) {
      const Index middle = (low + high) / 2;
      const bool enough = evaluation_room(*pair.model, pair.ids, reference, middle).resident >= tokens;
      (enough ? high : low) = enough ? middle : middle + 1;
    }
    return low;
  };
  const Index of_token = least_for(nullptr, 2) - least_for(nullptr, 1);
  CHECK(of_token >= 2 * 4 * 64);  // what a block begins with, and what its widest stage reads
  CHECK(least_for(nullptr, 7 * 19) == least_for(nullptr, 1) + (7 * 19 - 1) * of_token);
  CHECK(evaluation_room(*pair.model, pair.ids, nullptr, Index{1} << 40).resident == 7 * 19);
  CHECK(least_for(&pair.reference, 2) - least_for(&pair.reference, 1) == of_token + 4 * 64);
}

TEST_CASE("a model in the memory of a program is read by the thread that asks, on the device too") {
  const auto device = walk_device();
  if (!device) return;
  const BFloatModel half("llama_gqa");
  const Checkpoint wide(model_folder("llama_gqa"));
  const Model model(half.checkpoint()), reference(wide);
  const auto ids = read_ids(model_folder("llama_gqa") / "ids.safetensors");
  const Evaluation here = evaluate(cpu, model, ids, &reference),
                   there = device->evaluate(cpu, model, ids, &reference, {});
  CHECK(std::abs(there.nll - here.nll) < 1e-5);
  CHECK(there.divergence->kl == Approx(here.divergence->kl).epsilon(1e-2));
}

TEST_CASE("an evaluation that is short of memory takes fewer tokens at once and spills, then there is a clear error") {
  const Index limit = Index{512} << 20;
  const auto held = device_context({.device = 0, .memory_limit = limit});
  if (!held) return;
  const Context<Cuda>& context = *held;
  const Pair pair("llama_gqa");
  const auto ids = read_ids(write_ids(pair.folder / "more.safetensors", 60, 40, pair.reference.vocabulary(), 5));
  const auto run = [&] { return evaluate_on(cpu, context, *pair.model, ids, &pair.reference, {}, {.ahead = false}); };
  const Index before = context.memory_in_use();
  const Evaluation expected = run();
  const Index used = context.memory_peak() - before;
  Index fewer = 0;
  bool refused = false;
  for (Index left = used - used / 16; left > 0 && !refused; left -= used / 16) {
    const Ballast ballast(context, limit - before - left);
    try {
      const Evaluation result = run();
      CHECK(std::abs(result.nll - expected.nll) < 1e-5);
      CHECK(std::abs(result.divergence->kl - expected.divergence->kl) < 1e-5);
      ++fewer;
    } catch (const Error& error) {
      CHECK(error.status() == Status::OutOfMemory);
      refused = true;
    }
  }
  CHECK(fewer > 0);
  CHECK(refused);
  CHECK(same(run(), expected));
}

TEST_CASE("an evaluation on the device reports its progress, can be stopped, and refuses logits that are not finite") {
  const auto device = walk_device();
  if (!device) return;
  const Pair pair("opt");
  std::vector<double> shares;
  device->evaluate(cpu, *pair.model, pair.ids, &pair.reference,
                   [&](double done) { return shares.push_back(done), true; });
  CHECK(shares.size() == 5);  // two blocks of each model, one chunk of logits
  CHECK(std::is_sorted(shares.begin(), shares.end()));
  CHECK(shares.back() == 1);
  int calls = 0;
  CHECK(error_of([&] { device->evaluate(cpu, *pair.model, pair.ids, nullptr, [&](double) { return ++calls < 2; }); }) ==
        "cancelled: evaluation: stopped on request after 2 of 3 steps");

  const ModelCopy copy("llama_gqa");
  edit_tensor(copy.path() / "model.safetensors", "model.norm.weight", [](std::span<char> bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += 4) {
      const float large = 3e38f;
      std::memcpy(bytes.data() + i, &large, 4);
    }
  });
  const Checkpoint checkpoint(copy.path());
  const Model model(checkpoint);
  const std::string here = error_of([&] { evaluate(cpu, model, pair.ids); });
  CHECK_THAT(here, Catch::StartsWith("invalid_data: evaluation: the logits of token 0 are not finite"));
  CHECK(error_of([&] { device->evaluate(cpu, model, pair.ids, nullptr, {}); }) == here);
}
