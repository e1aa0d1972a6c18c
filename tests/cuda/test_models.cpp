// Blocks and streams: the same templates on both backends, over every fixture.
#include "halftone/backend/cuda_nn.hpp"
#include "halftone/model/stream.hpp"
#include "model/bfloat_model.hpp"
#include "model/move_to.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);
constexpr Index windows = 6;

/// The first block of a fixture with a random hidden state.
struct Block {
  explicit Block(const std::string& name) : Block(std::make_shared<Checkpoint>(model_folder(name)), name) {}
  /// The fixture's or, of another checkpoint, one of its shapes.
  Block(std::shared_ptr<const Checkpoint> source, const std::string& name)
      : checkpoint(std::move(source)),
        model(*checkpoint),
        length(window_of(name, 11)),
        hidden(random_matrix<float>(windows * length, model.config().hidden, 1)) {}

  /// Through all stages; what each reads is appended to `inputs`.
  template <class Backend>
  Matrix<float> run(const Context<Backend>& context, const StreamOptions& options = {},
                    std::vector<Matrix<float>>* inputs = nullptr, Index* windows_at_once = nullptr) const {
    const BlockProgram& program = model.program(0);
    const auto weights = detail::moved_to(context, model.load_block(cpu, 0, options.products));
    Stream<float, Backend> stream(context, Matrix<float>(hidden), length, options);
    stream.enter(program);
    for (const Stage& stage : program.stages) {
      stream.advance(weights, stage.first_op);
      if (inputs != nullptr) inputs->push_back(context.download(stream.rows(stage.input, 5, stream.tokens() - 8)));
    }
    stream.advance(weights, program.size());
    if (windows_at_once != nullptr) *windows_at_once = stream.windows_at_once();
    stream.enter(program);
    return context.download(stream.rows({program.input, 0, hidden.cols()}, 0, stream.tokens()));
  }

  std::shared_ptr<const Checkpoint> checkpoint;
  Model model;
  Index length;
  Matrix<float> hidden;
};

}  // namespace

TEST_CASE("a block of every fixture ends as on the CPU, and every stage reads what it reads there") {
  HALFTONE_DEVICE_CASE(context);
  double worst = 0;
  for (const std::string& name : all_fixtures()) {
    INFO(name);
    const Block block(name);
    std::vector<Matrix<float>> here, there;
    const auto expected = block.run(cpu, {}, &here);
    const auto result = block.run(context, {}, &there);
    worst = std::max(worst, relative_difference(result, expected));
    CHECK(relative_difference(result, expected) < 1e-5);
    REQUIRE(there.size() == here.size());
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(relative_difference(there[i], here[i]) < 1e-5);
    CHECK(block.run(context) == result);
  }
  std::printf("blocks: hidden states differ by at most %.1e of the largest\n", worst);
}

TEST_CASE("with 16-bit products a block of every fixture ends as on the CPU, twice in the same bytes") {
  HALFTONE_DEVICE_CASE(context);
  const StreamOptions rounded{.products = ProductType::BFloat16};
  double worst = 0;
  std::vector<std::pair<std::string, std::shared_ptr<const BFloatModel>>> models;  // as they are, and in bfloat16
  for (const std::string& name : all_fixtures()) {
    models.emplace_back(name, nullptr);
    models.emplace_back(name, std::make_shared<const BFloatModel>(name));
  }
  for (const auto& [name, half] : models) {
    INFO(name << (half ? " in bfloat16" : ""));
    const Block block = half ? Block({half, &half->checkpoint()}, name) : Block(name);
    std::vector<Matrix<float>> here, there;
    const auto expected = block.run(cpu, rounded, &here);
    const auto result = block.run(context, rounded, &there);
    worst = std::max(worst, relative_difference(result, expected));
    // A sum that rounds to the other neighbour is off by 2⁻⁸ of itself in what reads it; most blocks have none.
    CHECK(relative_difference(result, expected) < 2e-3);
    REQUIRE(there.size() == here.size());
    CHECK(relative_difference(there[0], here[0]) < 1e-5);  // of a norm alone
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(relative_difference(there[i], here[i]) < 2e-3);
    CHECK(block.run(context, rounded) == result);
    CHECK(relative_difference(result, block.run(context)) > 1e-4);  // what was rounded shows
    StreamOptions spilled = rounded;
    spilled.resident = block.length;
    CHECK(block.run(context, spilled) == result);
  }
  std::printf("blocks with 16-bit products: hidden states differ by at most %.1e of the largest\n", worst);
}

TEST_CASE("where hidden states are kept changes no byte") {
  HALFTONE_DEVICE_CASE(context);
  for (const char* name : {"llama_gqa", "phi3_fused", "opt", "timm_eva02_base"}) {
    INFO(name);
    const Block block(name);
    for (const Index at_once : {0, 1, 4}) {
      std::vector<Matrix<float>> near;
      const auto expected = block.run(context, {.windows_at_once = at_once}, &near);
      for (const Index resident : {Index{0}, Index{1}, 2 * block.length + 3, 5 * block.length}) {
        std::vector<Matrix<float>> spilled;
        CHECK(block.run(context, {at_once, resident}, &spilled) == expected);
        CHECK(spilled == near);
      }
    }
  }
}

TEST_CASE("hidden states are copied wherever they are, to the host where there is no room") {
  const Index limit = Index{64} << 20;
  const auto hidden = random_matrix<float>(24, 40000, 1);
  const Matrix<float> expected(hidden.view().middle_cols(120, 40));
  for (const Index resident : {0, 5, 24}) {
    const auto held = device_context({.device = 0, .memory_limit = limit});
    if (!held) return;
    const Context<Cuda>& context = *held;
    const auto contents = [&](const TokenMatrix<float, Cuda>& tokens) {
      auto chunk = context.allocate<float>(24, 40);
      tokens.load(0, 120, chunk.view());
      return context.download(std::as_const(chunk).view());
    };
    const TokenMatrix<float, Cuda> tokens(context, Matrix<float>(hidden), resident);
    {
      const Ballast ballast(context, limit - context.memory_in_use() - (Index{1} << 18));
      CHECK(tokens.copied().in_place(0, 1).data == nullptr);
      CHECK(contents(tokens.copied()) == expected);
    }
    auto copy = tokens.copied();
    CHECK((copy.in_place(0, 24).data != nullptr) == (resident == 24));
    CHECK((copy.in_place(0, 5).data != nullptr) == (resident >= 5));
    CHECK(contents(copy) == expected);
    CHECK(copy.spill() == (resident > 0));
    CHECK(contents(copy) == expected);
  }
}

TEST_CASE("rows that come in ahead are those that are asked for, or are not used") {
  HALFTONE_DEVICE_CASE(context);
  const Block block("llama_gqa");
  const BlockProgram& program = block.model.program(0);
  const Operand whole{program.input, 0, block.hidden.cols()}, part{program.input, 8, 16};
  for (const Index resident : {0, 3, 8, 50}) {
    Stream<float, Cuda> stream(context, Matrix<float>(block.hidden), block.length, {.resident = resident});
    stream.enter(program);
    const auto check = [&](const Operand& operand, Index first, Index count, Index ahead) {
      CAPTURE(resident, first, count, ahead);
      const auto wanted = block.hidden.view().block(first, operand.column, count, operand.width);
      CHECK(context.download(stream.rows(operand, first, count, ahead)) == Matrix<float>(wanted));
    };
    for (Index first = 0; first + 6 <= stream.tokens(); first += 6) check(whole, first, 6, 6);
    check(part, 0, 5, 7);
    check(part, 5, 7, 3);    // as announced
    check(part, 12, 9, 4);   // more than announced
    check(whole, 30, 4, 4);  // elsewhere
    check(whole, 2, 2, 0);
    stream.release_rows();
    check(part, 4, 4, 0);
  }
}

TEST_CASE("where memory is short chunks have fewer windows, then there is a clear error") {
  const Index limit = Index{512} << 20;
  const auto held = device_context({.device = 0, .memory_limit = limit});
  if (!held) return;
  const Context<Cuda>& context = *held;
  const Block block("llama_gqa");
  const Index before = context.memory_in_use();
  const auto expected = block.run(context, {.resident = 0});
  const Index used = context.memory_peak() - before;
  Index fewest = windows;
  bool refused = false;
  for (Index left = used - used / 16; left > 0 && !refused; left -= used / 16) {
    const Ballast ballast(context, limit - before - left);
    Index at_once = 0;
    try {
      const auto result = block.run(context, {windows, 0}, nullptr, &at_once);
      CHECK(relative_difference(result, expected) < 1e-5);
      fewest = std::min(fewest, at_once);
    } catch (const Error& error) {
      CHECK(error.status() == Status::OutOfMemory);
      CHECK_THAT(error.what(), Catch::Contains("bytes of device memory wanted"));
      refused = true;
    }
  }
  CHECK(fewest < windows);
  CHECK(refused);
  CHECK(block.run(context, {.resident = 0}) == expected);
}

TEST_CASE("heads of more channels than the device's attention takes are refused before anything is lost") {
  HALFTONE_DEVICE_CASE(context);
  const auto x = on_device(context, random_matrix<float>(4, 264, 1));
  auto y = context.allocate<float>(4, 264);
  const AttentionShape shape{.length = 4, .heads = 1, .kv_heads = 1};
  CHECK(error_of([&] {
          attention<float>(context, x.view(), x.view(), x.view(), shape, y.view());
        }).find("unsupported: attention: heads have 264") == 0);
}
