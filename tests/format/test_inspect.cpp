#include "halftone/format/inspect.hpp"

#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "format/memory_source.hpp"
#include "halftone/format/safetensors_writer.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("an inspection says how each matrix is stored, and what it costs") {
  for (const char* name : {"gptq", "gptq_v2", "compressed-tensors", "native"}) {
    INFO(name);
    const TemporaryFolder folder;
    const Format& format = find_format(name);
    std::vector<MatrixPlan> plans{plan_for(32, 96, 4, 32, false), plan_for(64, 96, 8, -1, true),
                                  plan_for(32, 64, 4, 32, false)};
    std::vector<TensorInfo> tensors{{"a.bias", DType::F16, {32}},
                                    {"lm_head.weight", DType::F32, {10, 4}},
                                    {"norm.weight", DType::F32, {4}},
                                    {"alone", DType::F32, {2}}};
    for (std::size_t i = 0; i < plans.size(); ++i) {
      plans[i].module = std::string(1, static_cast<char>('a' + i));
      format.adapt(plans[i].grid, DType::F16, false);
      for (const TensorInfo& info : format.tensors(plans[i])) tensors.push_back(info);
    }
    ShardedWriter writer(folder.path(), tensors, WriteMode::Create);
    const std::vector<std::byte> zeros(1 << 16);
    for (const TensorInfo& info : tensors)
      writer.write(info.name, std::span(zeros).first(static_cast<std::size_t>(info.bytes())));
    for (const MatrixPlan& plan : plans)
      format.encode(plan, random_result(plan), [&](auto tensor, auto bytes) { writer.write(tensor, bytes); });
    writer.finish();
    Json config = Json::object();
    format.describe(config, plans, std::span<const std::string>());
    put(folder / "config.json", json_text(config));

    const Inspection found = inspect(Checkpoint(folder.path()));
    CHECK(found.format == name);
    CHECK(found.tensors.size() == tensors.size());
    REQUIRE(found.matrices.size() == 4);  // and not the norm, which is no matrix
    const auto expect = [&](std::size_t i, const MatrixPlan& plan) {
      const StoredMatrix& got = found.matrices[i];
      CHECK((got.module == plan.module && got.rows == plan.rows && got.cols == plan.cols && got.quantized()));
      CHECK((got.bits == plan.grid.bits && got.symmetric == plan.grid.symmetric && !got.group_index));
      CHECK(got.group_size == plan.grid.group_columns(plan.cols));
      CHECK(got.dtype == DType::F16);
      std::int64_t bytes = 0;
      for (const TensorInfo& info : format.tensors(plan)) bytes += info.bytes();
      CHECK(got.bytes == bytes);
      return bytes;
    };
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < plans.size(); ++i) bytes += expect(i, plans[i]);
    CHECK(found.matrices[3].module == "lm_head");
    CHECK((!found.matrices[3].quantized() && found.matrices[3].bits == 32 && found.matrices[3].bytes == 160));
    const std::int64_t weights = 32 * 96 + 64 * 96 + 32 * 64;
    CHECK((found.quantized_weights == weights && found.quantized_bytes == bytes));
    CHECK(found.bits_per_weight() == Approx(8.0 * static_cast<double>(bytes) / static_cast<double>(weights)));
    CHECK(found.weights == weights + 32 + 40 + 4 + 2);
    CHECK(found.bytes == bytes + 64 + 160 + 16 + 8);
  }
}

TEST_CASE("an inspection of a dense checkpoint") {
  const TemporaryFolder folder;
  put(folder / "config.json", "{}");
  put(folder / "model.safetensors",
      safetensors_bytes(R"({"a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}})", std::string(12, '\0')));
  const Inspection found = inspect(Checkpoint(folder.path()));
  CHECK((found.format == "dense" && found.weights == 6 && found.bytes == 12 && found.quantized_weights == 0));
  CHECK(found.bits_per_weight() == 0);
  CHECK(found.model_bits_per_weight() == 16);
}

TEST_CASE("an inspection lists blocks by number, and modules of any name") {
  const TemporaryFolder folder;
  put(folder / "config.json", "{}");
  std::string header, data;
  for (const char* name : {"10.a", "2.a", "02.a", "b", "10", "99999999999999999999999.a", "2.b10.c", "2.b9.c"}) {
    header +=
        concat(header.empty() ? "{" : ",", "\"", name, R"(.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[)",
               data.size(), ",", data.size() + 4, "]}");
    data += std::string(4, '\0');
  }
  put(folder / "model.safetensors", safetensors_bytes(header + "}", data));
  std::vector<std::string> names;
  for (const StoredMatrix& matrix : inspect(Checkpoint(folder.path())).matrices) names.push_back(matrix.module);
  CHECK(names ==
        std::vector<std::string>{"2.a", "2.b9.c", "2.b10.c", "02.a", "10", "10.a", "99999999999999999999999.a", "b"});
}
