// Where trainable quantisers start, what they refuse, and that their results are results of solvers: codes on a grid
// that every format which held the start's can hold.
#include <limits>
#include <nlohmann/json.hpp>

#include "format/memory_source.hpp"
#include "tune/support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Step 0 is the start, bit for bit; afterwards results decode to what forward gives.
void check_round_trip(const Context<Cpu>& context, const Matrix<float>& W, const QuantizedMatrix& start,
                      int minimum_zero = 0) {
  for (const TrainableKind kind : all_kinds) {
    if (!is_legal(kind, start)) continue;
    INFO(word_of(kind));
    TrainableOptions far = options_of(kind, minimum_zero);
    far.margin = 0.5;
    CHECK(same_bytes(forward(*make_trainable(context, W, start, far)), dequantize(start)));
    const auto trainable = make_trainable(context, W, start, options_of(kind, minimum_zero));
    CHECK(same_bytes(forward(*trainable), dequantize(start)));
    CHECK(same_bytes(dequantize(trainable->result()), dequantize(start)));
    CHECK(same_codes(trainable->result(), start));
    for (const ParameterGroup& group : trainable->parameters()) {
      CHECK(group.values.size() == group.gradients.size());
      for (const float gradient : group.gradients) REQUIRE(gradient == 0);
    }
    disturb(*trainable, 9);
    const QuantizedMatrix early = trainable->result();  // without a forward before
    CHECK(same_bytes(dequantize(early), forward(*trainable)));
    CHECK(same_codes(early, trainable->result()));
  }
}

}  // namespace

TEST_CASE("step 0 is any solver's result, bit for bit, with any grid") {
  const Context<Cpu> context(2);
  const OptionMap grids[] = {{{"bits", "2"}, {"group_size", "16"}},
                             {{"bits", "3"}, {"group_size", "-1"}, {"sym", "true"}},
                             {{"bits", "4"}, {"group_size", "16"}, {"grid", "hessian"}, {"scale_type", "bf16"}},
                             {{"bits", "2"}, {"group_size", "16"}, {"grid", "l2.4"}, {"scale_type", "f32"}},
                             {{"bits", "8"}, {"group_size", "1000"}},
                             {{"bits", "3"}, {"group_size", "16"}, {"refine", "2"}},
                             {{"bits", "3"}, {"group_size", "16"}, {"outlier_columns", "3"}},
                             {{"bits", "3"}, {"group_size", "16"}, {"act_order", "true"}, {"groups", "fresh"}},
                             {{"bits", "3"}, {"group_size", "16"}, {"coding", "binary"}},
                             {{"bits", "2"}, {"group_size", "16"}, {"coding", "binary"}, {"outlier_columns", "2"}}};
  int solved_ones = 0;
  const Matrix<float> W = random_matrix<float>(7, 45, 2, 0.1);
  for (const Method& method : methods())
    for (const OptionMap& options : grids) {
      bool known = true;
      for (const auto& [name, value] : options) known = known && has_option(method, name);
      if (!known) continue;
      INFO(method.name << " " << options.at("bits") << " bits, " << options.size() << " options");
      std::string refused;
      QuantizedMatrix start;
      try {
        start = solved(context, method.name, options, W);
      } catch (const Error& error) {
        refused = error.what();
        CHECK(refused.find("binary") != std::string::npos);  // no symmetric, no 8 bits
        continue;
      }
      ++solved_ones;
      check_round_trip(context, W, start);
    }
  CHECK(solved_ones > 40);
}

TEST_CASE("step 0 of matrices that are hardly there: one weight, one row, constant rows, dead groups") {
  const Context<Cpu> context(1);
  Matrix<float> constant(4, 32, 0.25f), dead = random_matrix<float>(3, 32, 3),
                                        huge = random_matrix<float>(2, 32, 4, 1e5);
  for (Index j = 0; j < 32; ++j) {
    constant(1, j) = -3.0f;
    constant(2, j) = 0.0f;
    constant(3, j) = 1e-9f;
    dead(1, j) = 0;
    if (j < 16) dead(2, j) = 0;
  }
  const Matrix<float> matrices[] = {Matrix<float>(1, 1, 0.3f),
                                    Matrix<float>(1, 1, 0.0f),
                                    random_matrix<float>(1, 33, 5),
                                    random_matrix<float>(9, 1, 6),
                                    constant,
                                    dead,
                                    huge};
  for (const Matrix<float>& W : matrices)
    for (const char* method : {"rtn", "gptq", "gptqt"})
      for (const char* type : {"f16", "f32"}) {
        CAPTURE(W.rows(), W.cols(), W(0, 0), method, type);
        check_round_trip(context, W,
                         solved(context, method, {{"bits", "3"}, {"group_size", "16"}, {"scale_type", type}}, W));
      }
}

TEST_CASE("codes that have nothing to do with the weights are a start too") {
  const Context<Cpu> context(1);
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    MatrixPlan plan = plan_for(5, 37, 2 + static_cast<int>(seed % 3), 8, seed % 4 == 1);
    plan.binary_coded = seed % 4 >= 2;
    plan.group_index = seed % 3 == 0;
    plan.outlier_columns = seed % 5 == 0 ? 2 : 0;
    plan.grid.minimum_zero = seed % 2 == 0 ? 1 : 0;
    CAPTURE(seed);
    const double spread = seed % 6 == 0 ? 100 : 1;
    check_round_trip(context, random_matrix<float>(5, 37, seed, spread), random_result(plan, seed),
                     plan.grid.minimum_zero);
  }
}

TEST_CASE("latent numbers start in their cells, at the point nearest the weight") {
  const Context<Cpu> context(1);
  const Matrix<float> W = random_matrix<float>(6, 48, 8, 0.1);
  const QuantizedMatrix start = solved(context, "gptq", {{"bits", "3"}, {"group_size", "16"}}, W);
  const auto latent = make_trainable(context, W, start, options_of(TrainableKind::Latent)),
             sign_round = make_trainable(context, W, start, options_of(TrainableKind::SignRound));
  const auto codes = parameters_of(*latent, "codes").values, offsets = parameters_of(*sign_round, "rounding").values;
  int moved = 0;
  for (Index r = 0; r < W.rows(); ++r)
    for (Index j = 0; j < W.cols(); ++j) {
      const UniformGrid& grid = start.uniform();
      const Index g = start.group_of(j);
      const double place = static_cast<double>(W(r, j)) / grid.scales(r, g) + grid.zeros(r, g),
                   code = start.codes(r, j);
      const double wanted = std::clamp(place, code - 0.5, code + 0.5);
      const auto i = static_cast<std::size_t>(r * W.cols() + j);
      CHECK(static_cast<double>(codes[i]) == Approx(wanted).margin(0.0011));
      const bool plain = std::clamp(std::nearbyint(place), 0.0, 7.0) == code;
      if (plain) CHECK(offsets[i] == 0);
      if (!plain) CHECK(place + static_cast<double>(offsets[i]) == Approx(wanted).margin(0.0011));
      moved += plain ? 0 : 1;
    }
  CHECK(moved > 20);  // GPTQ does not round to nearest
}

TEST_CASE("results go through every format that took the start") {
  const Context<Cpu> context(1);
  const Matrix<float> W = random_matrix<float>(32, 64, 12, 0.1);
  const OptionMap extras[] = {{},
                              {{"sym", "true"}},
                              {{"act_order", "true"}, {"groups", "fresh"}},
                              {{"outlier_columns", "3"}},
                              {{"coding", "binary"}}};
  int taken = 0;
  for (const Format* format : formats())
    for (const char* bits : {"2", "3", "4", "8"})
      for (OptionMap options : extras) {
        options.insert({{"bits", bits}, {"group_size", "32"}});
        MatrixPlan plan = plan_for(32, 64, std::stoi(bits), 32, options.count("sym") > 0);
        plan.act_order = plan.group_index = options.count("act_order") > 0;
        plan.binary_coded = options.count("coding") > 0;
        plan.outlier_columns = options.count("outlier_columns") > 0 ? 3 : 0;
        if (plan.binary_coded && plan.grid.bits == 8) continue;
        format->adapt(plan.grid, plan.dtype, false);
        try {
          format->check(plan);
        } catch (const Error&) {
          continue;
        }
        options["scale_type"] = word_of(plan.grid.scale_type);
        options["minimum_zero"] = std::to_string(plan.grid.minimum_zero);
        INFO(format->name() << ", " << bits << " bits, " << options.size() << " options");
        const QuantizedMatrix start =
            solved(context, plan.binary_coded || plan.outlier_columns > 0 ? "best" : "gptq", options, W);
        for (const TrainableKind kind : all_kinds) {
          if (!is_legal(kind, start)) continue;
          INFO(word_of(kind));
          const auto trainable = make_trainable(context, W, start, options_of(kind, plan.grid.minimum_zero));
          disturb(*trainable, 13, 2);
          const QuantizedMatrix result = trainable->result();
          CHECK_FALSE(same_codes(result, start));
          Json config = {{"model_type", "llama"}};
          format->describe(config, std::span(&plan, 1), {});
          CHECK_NOTHROW(format->verify(plan, result, encoded(*format, plan, result), config));
          if (format->name() != "dense") CHECK(format->stored_values(plan, result) == forward(*trainable));
          ++taken;
        }
      }
  CHECK(taken > 60);
}

TEST_CASE("matrices may be pieces of larger ones") {
  const Context<Cpu> context(1);
  const Matrix<float> large = random_matrix<float>(9, 60, 20, 0.1);
  const auto piece = large.view().block(2, 7, 5, 40);
  const Matrix<float> W(piece);
  const QuantizedMatrix start = solved(context, "gptq", {{"bits", "3"}, {"group_size", "16"}}, W);
  for (const TrainableKind kind : all_kinds) {
    const auto whole = make_trainable(context, W, start, options_of(kind)),
               part = make_trainable(context, piece, start, options_of(kind));
    Matrix<float> around(9, 60, 7.0f);
    part->forward(around.view().block(2, 7, 5, 40));
    CHECK(same_bytes(Matrix<float>(std::as_const(around).view().block(2, 7, 5, 40)), forward(*whole)));
    CHECK(std::count(around.data(), around.data() + around.size(), 7.0f) == 9 * 60 - 5 * 40);
    part->backward(piece);
    whole->backward(W);
    const auto wanted = whole->parameters(), got = part->parameters();
    for (std::size_t g = 0; g < wanted.size(); ++g)
      CHECK(std::equal(wanted[g].gradients.begin(), wanted[g].gradients.end(), got[g].gradients.begin()));
  }
}

TEST_CASE("outlier columns learn, unless they are not to") {
  const Context<Cpu> context(1);
  const Matrix<float> W = random_matrix<float>(4, 32, 14, 0.1);
  const QuantizedMatrix start =
      solved(context, "owq", {{"bits", "3"}, {"group_size", "16"}, {"outlier_columns", "2"}}, W);
  TrainableOptions options;
  for (const bool outliers : {true, false}) {
    options.outliers = outliers;
    const auto trainable = make_trainable(context, W, start, options);
    disturb(*trainable, 15, 3);
    const OutlierColumns now = trainable->result().outliers;
    CHECK(now.columns == start.outliers.columns);
    CHECK((now == start.outliers) == !outliers);
    for (Index i = 0; i < now.values.size(); ++i)
      CHECK(now.values.data()[i] == rounded_to(now.dtype, now.values.data()[i]));
    forward(*trainable);
    trainable->backward(Matrix<float>(4, 32, 1.0f));
    const auto codes = parameters_of(*trainable, "codes").gradients;
    for (Index j = 0; j < 32; ++j) {
      const bool kept = std::count(now.columns.begin(), now.columns.end(), j) > 0;
      CHECK((codes[static_cast<std::size_t>(j)] == 0) == kept);
    }
  }
}

TEST_CASE("what is no matrix and grid is refused") {
  const Context<Cpu> context(1);
  const Matrix<float> W = random_matrix<float>(4, 32, 16, 0.1);
  const QuantizedMatrix good = solved(context, "gptq", {{"bits", "3"}, {"group_size", "16"}}, W),
                        binary = solved(context, "gptqt", {{"bits", "3"}, {"group_size", "16"}}, W);
  const auto refused = [&](const QuantizedMatrix& start, const char* wanted, TrainableOptions options = {}) {
    const std::string message = error_of([&] { make_trainable(context, W, start, options); });
    CAPTURE(message);
    CHECK(message.find(wanted) == 0);
  };
  const auto changed = [](QuantizedMatrix matrix, auto change) {
    change(matrix);
    return matrix;
  };
  using M = QuantizedMatrix;
  const float infinite = std::numeric_limits<float>::infinity();
  refused(changed(good, [](M& m) { m.codes(1, 2) = 8; }), "invalid_data: tune: the code at row 1, column 2 is 8");
  refused(changed(good, [](M& m) { m.codes = Matrix<std::uint8_t>(4, 31, 0); }), "shape_mismatch: tune: the target");
  refused(changed(good, [](M& m) { m.uniform().scales(2, 1) = 0; }), "invalid_data: tune: the scale of row 2");
  refused(changed(good, [&](M& m) { m.uniform().scales(2, 1) = infinite; }), "invalid_data: tune: the scale of row 2");
  refused(changed(good, [](M& m) { m.uniform().zeros(3, 0) = 9; }), "invalid_data: tune: the zero of row 3, group 0");
  refused(changed(good, [](M& m) { m.uniform().zeros = Matrix<std::uint8_t>(4, 1, 0); }),
          "shape_mismatch: tune: zeros");
  refused(changed(good, [](M& m) { m.uniform().group_size = 8; }), "invalid_data: tune: column 16 is of group 2");
  refused(changed(good, [](M& m) { m.uniform().group_size = 0; }), "invalid_data: tune: groups are of 0 columns");
  refused(changed(good, [](M& m) { m.group_index.assign(31, 0); }), "shape_mismatch: tune: 31 group indices");
  refused(changed(good, [](M& m) { m.group_index.assign(32, -1); }), "invalid_data: tune: column 0 is of group -1");
  refused(changed(good,
                  [](M& m) {
                    m.outliers.columns = {32};
                    m.outliers.values = Matrix<float>(4, 1, 0.0f);
                  }),
          "invalid_data: tune: outlier column 32");
  refused(changed(good, [](M& m) { m.outliers.columns = {3}; }), "shape_mismatch: tune: values of outlier columns");
  refused(changed(good, [](M& m) { m.uniform().scale_type = DType::F64; }), "unsupported: tune: numbers of a grid");
  refused(changed(binary, [](M& m) { m.binary().alphas(0, 1) = -1; }), "invalid_data: tune: alpha 1 of row 0 is -1");
  refused(binary, "unsupported: tune: option 'trainable' is 'lsq' for a binary", options_of(TrainableKind::Lsq));
  TrainableOptions wide;
  wide.margin = 0.6;
  refused(good, "invalid_argument: tune: option 'margin' is 0.6, wanted 0 .. 0.5", wide);
  refused(binary, "unsupported: tune: option 'trainable' is 'signround'", options_of(TrainableKind::SignRound));

  Matrix<float> bad = W;
  bad(1, 3) = std::numeric_limits<float>::quiet_NaN();
  CHECK(error_of([&] { make_trainable(context, bad, good); }) ==
        "invalid_data: tune: a weight is not finite at row 1, column 3");
  const auto trainable = make_trainable(context, W, good);
  Matrix<float> small(4, 31);
  CHECK(error_of([&] { trainable->forward(small); }).find("shape_mismatch: tune: W is 4 x 31") == 0);
  CHECK(error_of([&] { trainable->backward(small); }).find("shape_mismatch: tune: dW is 4 x 31") == 0);
}
