#include "halftone/model/stream.hpp"

#include "model/bfloat_model.hpp"
#include "random_matrix.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// The first block of a fixture and a random hidden state of 6 windows of 11 tokens.
struct Block {
  Checkpoint checkpoint;
  Model model;
  Context<Cpu> context{2};
  BlockWeights<float> weights;
  static constexpr Index length = 11, windows = 6;
  Matrix<float> hidden;

  explicit Block(const std::string& name)
      : checkpoint(model_folder(name)),
        model(checkpoint),
        weights(model.load_block(context, 0)),
        hidden(random_matrix<float>(windows * length, model.config().hidden, 1)) {}
  const BlockProgram& program() const { return model.program(0); }

  /// The block's output, run through the given stops.
  Matrix<float> run(const std::vector<Index>& stops, Index windows_at_once = 0, int threads = 2,
                    ProductType products = ProductType::Float) const {
    const Context<Cpu> own(threads);
    Stream<float> stream(own, Matrix<float>(hidden), length,
                         {.windows_at_once = windows_at_once, .products = products});
    stream.enter(program());
    for (const Index stop : stops) {
      CHECK(stream.at() <= stop);
      stream.advance(weights, stop);
    }
    return stream.hidden();
  }
  std::vector<Index> whole() const { return {program().size()}; }
  std::vector<Index> stages() const {
    std::vector<Index> stops;
    for (const Stage& stage : program().stages) stops.push_back(stage.first_op);
    stops.push_back(program().size());
    return stops;
  }
  std::vector<Index> every_op() const {
    std::vector<Index> stops;
    for (Index op = 0; op <= program().size(); ++op) stops.push_back(op);
    return stops;
  }
};

}  // namespace

TEST_CASE("a block in parts gives the bytes of a block at once") {
  for (const char* name : fixtures) {
    INFO(name);
    const Block block(name);
    const auto whole = block.run(block.whole());
    CHECK(whole == block.run(block.stages()));
    CHECK(whole == block.run(block.every_op()));
    CHECK(whole == block.run({0, block.program().stages[2].first_op + 1, block.program().size()}));
  }
}

TEST_CASE("linears of rounded numbers: the same bytes in parts and on any threads, near those of float") {
  for (const char* name : fixtures) {
    INFO(name);
    const Block block(name);
    const auto rounded = ProductType::BFloat16;
    const auto whole = block.run(block.whole(), 0, 1, rounded);
    CHECK(whole == block.run(block.every_op(), 0, 1, rounded));
    CHECK(whole == block.run(block.stages(), 0, 5, rounded));
    const double off = distance(whole, block.run(block.whole()));
    CHECK(off > 1e-6);  // it does round
    CHECK(off < 0.1);   // 8 bits a factor
  }
}

TEST_CASE("weights that are stored and held in bfloat16 give the bytes of the same weights in float") {
  const Context<Cpu> context(2);
  for (const std::string& name : all_fixtures()) {
    INFO(name);
    const BFloatModel half(name);
    const Model model(half.checkpoint());
    const BlockProgram& program = model.program(0);
    const auto wide = model.load_block(context, 0), held = model.load_block(context, 0, ProductType::BFloat16);
    REQUIRE(wide.halves.empty());
    for (std::size_t i = 0; i < program.linears.size(); ++i) {
      REQUIRE(held.is_half(i));
      CHECK(held.linears[i].empty());
      CHECK(held.halves[i] == rounded_to_bfloat(context, wide.linears[i]));
      CHECK(held.biases[i] == wide.biases[i]);
    }
    const Index length = window_of(name, 11);
    const auto hidden = random_matrix<float>(3 * length, model.config().hidden, 1);
    const auto run = [&](const BlockWeights<float>& weights, ProductType products) {
      Stream<float> stream(context, Matrix<float>(hidden), length, {.products = products});
      stream.enter(program);
      stream.advance(weights, program.stages[1].first_op);
      stream.advance(weights, program.size());
      return stream.hidden();
    };
    const auto copied = copy(context, held);
    CHECK(run(copied, ProductType::BFloat16) == run(wide, ProductType::BFloat16));
    CHECK_THROWS_WITH(run(held, ProductType::Float), Catch::Contains("got weights in bfloat16"));
  }
}

TEST_CASE("only linears that are stored in bfloat16 are held so") {
  const Context<Cpu> context(1);
  const Checkpoint checkpoint(model_folder("llama_gqa"));
  const Model model(checkpoint);
  const auto weights = model.load_block(context, 0, ProductType::BFloat16);
  for (std::size_t i = 0; i < weights.linears.size(); ++i) {
    CHECK(!weights.is_half(i));
    CHECK(!weights.linears[i].empty());
    CHECK(!model.is_half(model.program(0).linears[i]));
  }
}

TEST_CASE("linears of rounded numbers multiply rounded inputs and rounded weights") {
  Block block("llama_gqa");
  const BlockProgram& program = block.program();
  Stream<float> stream(block.context, Matrix<float>(block.hidden), Block::length, {.products = ProductType::BFloat16});
  stream.enter(program);
  const Index linear = program.stages[0].first_op;  // q_proj
  const auto& op = std::get<LinearOp>(program.ops[static_cast<std::size_t>(linear)]);
  stream.advance(block.weights, linear);
  const Matrix<float> x(stream.view(op.in)), &W = block.weights.linears[static_cast<std::size_t>(op.linear)];
  stream.advance(block.weights, linear + 1);
  const auto y = stream.view(op.out);
  const auto rounded = [](float value) { return static_cast<double>(static_cast<float>(BFloat16(value))); };
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < W.rows(); ++j) {
      double sum = 0;
      for (Index k = 0; k < W.cols(); ++k) sum += rounded(x(i, k)) * rounded(W(j, k));
      REQUIRE(static_cast<double>(y(i, j)) == Approx(sum).margin(1e-5));
    }
}

TEST_CASE("a stream gives the same bytes for any number of threads") {
  for (const char* name : {"llama_gqa", "qwen3_qk_norm", "opt"}) {
    INFO(name);
    const Block block(name);
    for (const Index at_once : {0, 1, 4}) {
      const auto one = block.run(block.stages(), at_once, 1);
      CHECK(one == block.run(block.stages(), at_once, 2));
      CHECK(one == block.run(block.stages(), at_once, 5));
    }
  }
}

TEST_CASE("how many windows are run at once changes roundings at most") {
  for (const char* name : fixtures) {
    INFO(name);
    const Block block(name);
    const auto reference = block.run(block.whole());
    for (const Index at_once : {1, 2, 4, 6, 100}) CHECK(distance(block.run(block.whole(), at_once), reference) < 1e-5);
  }
}

TEST_CASE("windows do not see each other") {
  const Block block("llama_gqa");
  const auto all = block.run(block.whole(), 1);
  Block other("llama_gqa");
  for (Index i = Block::length * other.hidden.cols(); i < other.hidden.size(); ++i) other.hidden.data()[i] = 0.5f;
  const auto first = other.run(other.whole(), 1);
  for (Index i = 0; i < Block::length * all.cols(); ++i) REQUIRE(first.data()[i] == all.data()[i]);
}

TEST_CASE("at a stage the stream shows the input that its matrices read") {
  Block block("llama_gqa");
  Stream<float> stream(block.context, Matrix<float>(block.hidden), Block::length);
  const BlockProgram& program = block.program();
  stream.enter(program);
  stream.advance(block.weights, program.stages[0].first_op);
  const auto normed = stream.view(program.stages[0].input);
  Matrix<float> expected(block.hidden.rows(), block.hidden.cols());
  rms_norm<float>(block.context, block.hidden, block.weights.parameters[0].data(), 1, block.model.config().norm_epsilon,
                  expected);
  CHECK(Matrix<float>(normed) == expected);
  CHECK_THROWS_WITH(stream.view(program.stages[3].input), Catch::Contains("is not live"));
}

TEST_CASE("weights exchanged between stages are used from then on") {
  Block block("llama_gqa");
  const auto before = block.run(block.whole());
  Stream<float> stream(block.context, Matrix<float>(block.hidden), Block::length);
  stream.enter(block.program());
  stream.advance(block.weights, block.program().stages[3].first_op);
  block.weights.linears.back().fill(0);  // down_proj: the MLP adds nothing
  stream.advance(block.weights, block.program().size());
  CHECK(stream.hidden() == block.run(block.stages()));
  CHECK_FALSE(stream.hidden() == before);
}

TEST_CASE("a stream goes on from a copy of another's hidden states, which stay") {
  Block block("llama_gqa");
  Stream<float> first(block.context, Matrix<float>(block.hidden), Block::length);
  Stream<float> second(block.context, first.hidden_tokens().copied(), Block::length);
  second.enter(block.program());
  second.advance(block.weights, block.program().size());
  CHECK(first.hidden() == block.hidden);
  CHECK(second.hidden() == block.run(block.whole()));
}

TEST_CASE("streams refuse what does not fit") {
  Block block("llama_gqa");
  CHECK_THROWS_WITH(Stream<float>(block.context, Matrix<float>(10, 64), 3), Catch::Contains("whole windows of 3"));
  CHECK_THROWS_AS(Stream<float>(block.context, Matrix<float>(0, 64), 3), Error);
  Stream<float> stream(block.context, Matrix<float>(block.hidden), Block::length);
  CHECK_THROWS_AS(stream.advance(block.weights, 1), Error);
  stream.enter(block.program());
  CHECK_THROWS_WITH(stream.enter(block.program()), Catch::Contains("inside another"));
  stream.advance(block.weights, 3);
  CHECK_THROWS_WITH(stream.advance(block.weights, 2), Catch::Contains("wanted one from 3 on"));
  CHECK_THROWS_AS(stream.advance(block.weights, block.program().size() + 1), Error);
  Stream<float> narrow(block.context, Matrix<float>(11, 63), Block::length);
  CHECK_THROWS_WITH(narrow.enter(block.program()), Catch::Contains("63 columns, wanted 64"));
}

TEST_CASE("a runner refuses weights and slots that do not fit") {
  Block block("qwen2_bias_tied");
  const BlockProgram& program = block.program();
  BlockRunner<float> runner(block.context, program, Block::length);
  std::vector<MatrixView<float>> slots(program.slot_widths.size());
  CHECK_THROWS_WITH(runner.run(0, 1, block.weights, slots), Catch::Contains("which has no data"));
  slots[0] = block.hidden.view().middle_rows(0, 12);
  CHECK_THROWS_WITH(runner.run(0, 1, block.weights, slots), Catch::Contains("whole windows of 11"));
  slots[0] = block.hidden;
  CHECK_THROWS_AS(runner.run(2, 1, block.weights, slots), Error);
  auto weights = block.weights;
  weights.linears[1] = Matrix<float>(3, 3);
  CHECK_THROWS_WITH(runner.run(0, 1, weights, slots), Catch::Contains("self_attn.k_proj is 3 x 3"));
  weights = block.weights;
  weights.biases[0] = Matrix<float>();
  CHECK_THROWS_WITH(runner.run(0, 1, weights, slots), Catch::Contains("bias of model.layers.0.self_attn.q_proj has 0"));
  weights = block.weights;
  weights.parameters.pop_back();
  CHECK_THROWS_AS(runner.run(0, 1, weights, slots), Error);
}

TEST_CASE("the bytes of a stream are those of its widest moment") {
  const Block block("llama_gqa");
  constexpr Index tokens = 6000, length = 300;
  // Between the gate's input and the product's: residual stream and its norm, 64 columns each, and the product, 88, for
  // all tokens; gate and up, for a chunk on each thread. All else takes the place of what it follows.
  CHECK(stream_bytes(block.program(), tokens, length, 1) == 4 * ((64 + 64 + 88) * tokens + 2 * 88 * 300));
  CHECK(stream_bytes(block.program(), tokens, length, 3) == 4 * ((64 + 64 + 88) * tokens + 3 * 2 * 88 * 300));
}
