#include "halftone/format/native.hpp"

#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "format/memory_source.hpp"
#include "halftone/core/version.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const NativeFormat format;
const std::string module_name = "model.layers.0.mlp.up_proj";

Json describe(const std::vector<MatrixPlan>& plans) {
  Json config = Json::object();
  format.describe(config, plans, std::span<const std::string>());
  return config;
}

/// Plans of every kind for a matrix, of every type of scales and with and without each of the optional tensors.
std::vector<MatrixPlan> every_plan(Index rows, Index cols) {
  std::vector<MatrixPlan> plans;
  for (const bool binary : {false, true})
    for (int bits = binary ? 1 : 2; bits <= 8; ++bits)
      for (const Index group_size : {-1, 1, 16})
        for (const ScaleType type : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
          for (int form = 0; form < 8; ++form) {
            MatrixPlan plan = plan_for(rows, cols, bits, group_size, (form & 1) != 0 && !binary);
            plan.grid.scale_type = type;
            plan.binary_coded = binary;
            plan.group_index = (form & 2) != 0;
            plan.outlier_columns = (form & 4) != 0 ? std::min<Index>(cols, 2) : 0;
            plans.push_back(plan);
          }
  return plans;
}

/// Bit `position` of a row of words that begins at word `first` of a tensor.
unsigned bit(const MemorySource& file, const std::string& suffix, Index first, Index position) {
  const auto word = file.at<std::uint32_t>(module_name + suffix, static_cast<std::size_t>(first + position / 32));
  return word >> position % 32 & 1u;
}

Index groups_in(const MatrixPlan& plan) {
  const Index width = plan.grid.group_size < 0 ? plan.cols : std::min(plan.cols, plan.grid.group_size);
  return (plan.cols + width - 1) / width;
}

Index group_of(const MemorySource& file, const MatrixPlan& plan, Index column) {
  if (plan.group_index) return file.at<std::int32_t>(module_name + ".group_index", static_cast<std::size_t>(column));
  return plan.grid.group_size < 0 ? 0 : column / plan.grid.group_size;
}

float uniform_value(const MemorySource& file, const MatrixPlan& plan, Index o, Index i) {
  const int bits = plan.grid.bits;
  const Index words = (plan.cols * bits + 31) / 32, groups = groups_in(plan), g = group_of(file, plan, i);
  int code = 0, zero = plan.grid.symmetric ? 1 << (bits - 1) : 0;
  for (int k = 0; k < bits; ++k) {
    code |= static_cast<int>(bit(file, ".codes", o * words, i * bits + k)) << k;
    if (plan.grid.symmetric) continue;
    const Index position = o * bits + k;  // down column g
    const auto word =
        file.at<std::uint32_t>(module_name + ".zeros", static_cast<std::size_t>(position / 32 * groups + g));
    zero |= static_cast<int>(word >> position % 32 & 1u) << k;
  }
  return file.matrix(module_name + ".scales")(o, g) * static_cast<float>(code - zero);
}

float binary_value(const MemorySource& file, const MatrixPlan& plan, Index o, Index i) {
  const Index words = (plan.cols + 31) / 32, g = group_of(file, plan, i);
  const Matrix<float> alphas = file.matrix(module_name + ".alphas");
  float sum = 0;
  for (Index k = 0; k < plan.grid.bits; ++k) {
    const float alpha = alphas(o, g * plan.grid.bits + k);
    sum += bit(file, ".planes", (k * plan.rows + o) * words, i) != 0 ? alpha : -alpha;
  }
  return sum + file.matrix(module_name + ".biases")(o, g);
}

/// A reader written from the specification alone.
Matrix<float> plain_reader(const MemorySource& file, const MatrixPlan& plan) {
  Matrix<float> values(plan.rows, plan.cols);
  for (Index o = 0; o < plan.rows; ++o)
    for (Index i = 0; i < plan.cols; ++i)
      values(o, i) = plan.binary_coded ? binary_value(file, plan, o, i) : uniform_value(file, plan, o, i);
  for (Index k = 0; k < plan.outlier_columns; ++k) {
    const auto column = file.at<std::int32_t>(module_name + ".outlier_columns", static_cast<std::size_t>(k));
    const Matrix<float> kept = file.matrix(module_name + ".outlier_values");
    for (Index o = 0; o < plan.rows; ++o) values(o, column) = kept(o, k);
  }
  return values;
}

}  // namespace

TEST_CASE("native: every combination comes back, and a plain reader decodes it") {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {5, 33}})
    for (const MatrixPlan& plan : every_plan(rows, cols)) {
      INFO("[" << plan.rows << ", " << plan.cols << "] " << (plan.binary_coded ? "binary " : "uniform ")
               << plan.grid.bits << " group " << plan.grid.group_size << " index " << plan.group_index << " outliers "
               << plan.outlier_columns << " symmetric " << plan.grid.symmetric);
      REQUIRE_NOTHROW(format.check(plan));
      const QuantizedMatrix matrix = random_result(plan);
      const MemorySource file = encoded(format, plan, matrix);
      const Json config = describe({plan});
      REQUIRE_NOTHROW(format.verify(plan, matrix, file, config));
      const auto stored = format.decode(file, config, module_name);
      REQUIRE(stored != nullptr);
      CHECK(same_codes(*stored, matrix));
      CHECK((stored->bits() == matrix.bits() && stored->group_size() == matrix.group_size()));
      CHECK((stored->scale_type() == matrix.scale_type() && stored->group_index == matrix.group_index));
      CHECK(dequantize(*stored) == dequantize(matrix));
      CHECK(plain_reader(file, plan) == dequantize(matrix));
    }
}

TEST_CASE("native: the tensors cost what stored_bits counts, 128 bits of shape and the last words' filling") {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{32, 64}, {5, 33}})
    for (const MatrixPlan& plan : every_plan(rows, cols)) {
      const QuantizedMatrix matrix = random_result(plan);
      Index bits = 0;
      for (const TensorInfo& tensor : format.tensors(plan)) bits += 8 * tensor.bytes();
      const Index more = bits - stored_bits(matrix) - 128;
      const Index streams = plan.binary_coded ? plan.rows * plan.grid.bits : plan.rows + groups_in(plan);
      CHECK((rows == 32 ? more == 0 : more >= 0 && more < 32 * streams));
      const auto found = format.stored(encoded(format, plan, matrix), describe({plan}), module_name);
      REQUIRE(found);
      CHECK(8 * found->bytes == bits);
      CHECK((found->rows == rows && found->cols == cols && found->bits == plan.grid.bits));
      CHECK((found->symmetric == plan.grid.symmetric && found->group_index == plan.group_index));
      CHECK((found->outlier_columns == plan.outlier_columns && found->binary_coded == plan.binary_coded));
      CHECK((found->group_size == matrix.group_size() && found->dtype == matrix.scale_type()));
    }
}

TEST_CASE("native: words of a small example") {
  MatrixPlan plan = plan_for(1, 4, 3, -1, true);
  QuantizedMatrix matrix = random_result(plan);
  for (const auto& [column, code] : {std::pair<Index, int>{0, 1}, {1, 2}, {2, 3}, {3, 4}})
    matrix.codes(0, column) = static_cast<std::uint8_t>(code);
  CHECK(encoded(format, plan, matrix).at<std::uint32_t>(module_name + ".codes", 0) == 04321);
  plan.binary_coded = true;
  plan.grid.symmetric = false;
  Random random(1);
  matrix.grid = random_binary_grid(plan, random);
  const MemorySource file = encoded(format, plan, matrix);
  CHECK(file.info(module_name + ".planes").shape == std::vector<std::int64_t>{3, 1, 1});
  CHECK(file.at<std::uint32_t>(module_name + ".planes", 0) == 0b0101);  // of 1, 2, 3, 4: odd ones
  CHECK(file.at<std::uint32_t>(module_name + ".planes", 1) == 0b0110);
  CHECK(file.at<std::uint32_t>(module_name + ".planes", 2) == 0b1000);
}

TEST_CASE("native: verify finds a wrong bit in any tensor") {
  for (const bool binary : {false, true}) {
    MatrixPlan plan = plan_for(5, 33, 3, 8, false);
    plan.binary_coded = binary;
    plan.group_index = true;
    plan.outlier_columns = 2;
    const QuantizedMatrix matrix = random_result(plan);
    const MemorySource good = encoded(format, plan, matrix);
    const Json config = describe({plan});
    for (const TensorInfo& tensor : format.tensors(plan))
      for (const std::size_t byte : {std::size_t{0}, good.bytes(tensor.name).size() - 8}) {
        INFO(tensor.name << " byte " << byte);
        MemorySource bad = good;
        bad.data(tensor.name)[byte] ^= std::byte{1};
        CHECK_THROWS_AS(format.verify(plan, matrix, bad, config), Error);
      }
  }
}

TEST_CASE("native: what is refused before the solve") {
  const auto refused = [](MatrixPlan plan, std::initializer_list<std::string_view> words) {
    expect_error(Status::Unsupported, words, [&] { format.check(plan); });
  };
  refused(plan_for(0, 32, 4, -1, true), {module_name, "native", "empty", "[0, 32]"});
  refused(plan_for(8, 8, 1, -1, true), {module_name, "native", "1 bits", "2 .. 8"});
  refused(plan_for(8, 8, 9, -1, true), {module_name, "native", "9 bits", "2 .. 8"});
  MatrixPlan planes = plan_for(8, 8, 9, -1, false);
  planes.binary_coded = true;
  refused(planes, {module_name, "native", "9 planes", "1 .. 8"});
  planes.grid.bits = 1;
  CHECK_NOTHROW(format.check(planes));
  for (const ScaleType type : {ScaleType::F16, ScaleType::BF16, ScaleType::F32}) {
    GridOptions grid{.scale_type = type};
    format.adapt(grid, DType::BF16, false);
    CHECK((grid.scale_type == type && grid.minimum_zero == 0));
  }
}

TEST_CASE("native: the config, key by key") {
  std::vector<MatrixPlan> plans;
  for (const char* name : {"a", "b", "c", "d"}) {
    plans.push_back(plan_for(32, 64, 3, 32, true));
    plans.back().module = name;
  }
  plans[1].binary_coded = true;
  plans[1].grid.symmetric = false;
  plans[2].grid.group_size = 64;  // the whole row
  plans[2].group_index = true;
  plans[2].outlier_columns = 5;
  const Json config = describe(plans).at("quantization_config");
  CHECK(config.at("quant_method") == "halftone");
  CHECK(config.at("version") == 1);
  CHECK(config.at("producer") == "halftone " + std::string(library_version()));
  const Json expected = Json::parse(R"([
    {"coding": "uniform", "bits": 3, "group_size": 32, "symmetric": true, "group_index": false, "outliers": false},
    {"coding": "uniform", "bits": 3, "group_size": -1, "symmetric": true, "group_index": true, "outliers": true,
     "modules": ["c"]},
    {"coding": "binary", "bits": 3, "group_size": 32, "symmetric": false, "group_index": false, "outliers": false,
     "modules": ["b"]}])");
  CHECK(config.at("settings") == expected);
  const Json whole = {{"quantization_config", config}};
  CHECK(detect_format(whole) == &find_format("native"));
  for (const MatrixPlan& plan : plans) {
    const QuantizedMatrix matrix = random_result(plan);
    CHECK_NOTHROW(format.verify(plan, matrix, encoded(format, plan, matrix), whole));
  }
}
