// Tensors of a program: from its memory, or through a function.
#include "halftone/format/host_tensors.hpp"

#include <atomic>
#include <cstring>
#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "format/memory_source.hpp"
#include "halftone/core/parallel.hpp"
#include "halftone/format/checkpoint.hpp"
#include "halftone/format/safetensors.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

std::filesystem::path fixture(const char* name) { return std::filesystem::path(HALFTONE_TEST_DATA) / "models" / name; }

/// The tensors of `source` without data, in reverse order.
std::vector<HostTensor> described(const TensorSource& source) {
  std::vector<HostTensor> list;
  for (const TensorInfo& info : source.tensors()) list.insert(list.begin(), {info, nullptr});
  return list;
}

TensorReader reader_of(const TensorSource& source) {
  return [&source](std::string_view name, std::int64_t offset, std::span<std::byte> into) {
    const auto bytes = source.bytes(name).subspan(static_cast<std::size_t>(offset), into.size());
    std::copy(bytes.begin(), bytes.end(), into.begin());
  };
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

TEST_CASE("tensors through a function, and from memory at any alignment, are those of the file") {
  const auto file = open_weights(fixture(GENERATE("llama_gqa", "llama_gqa_bf16")));
  const HostTensors fetched(described(*file), reader_of(*file));
  std::vector<std::vector<std::byte>> memory;
  std::vector<HostTensor> list = described(*file);
  for (HostTensor& tensor : list) {
    const auto bytes = file->bytes(tensor.info.name);
    memory.emplace_back(1);
    memory.back().insert(memory.back().end(), bytes.begin(), bytes.end());
    tensor.data = memory.back().data() + 1;
  }
  const HostTensors held(list);
  for (const HostTensors* source : {&fetched, &held}) {
    REQUIRE(source->tensors().size() == file->tensors().size());
    for (std::size_t i = 0; i < file->tensors().size(); ++i) {
      const TensorInfo &is = source->tensors()[i], &was = file->tensors()[i];
      CHECK((is.name == was.name && is.dtype == was.dtype && is.shape == was.shape));
      CHECK(same(source->bytes(is.name), file->bytes(is.name)));
      CHECK(source->matrix(is.name) == file->matrix(is.name));
      source->release(is.name);
      if (is.shape.size() == 2) CHECK(source->matrix_rows(is.name, 1, 2) == file->matrix_rows(is.name, 1, 2));
    }
  }
  for (const HostTensor& tensor : list) CHECK(held.bytes(tensor.info.name).data() == tensor.data);
}

TEST_CASE("a tensor is fetched once until it is released") {
  int calls = 0;
  const HostTensors source({{{"a.b", DType::U8, {3}}, nullptr}, {{"empty", DType::F32, {0, 7}}, nullptr}},
                           [&](std::string_view name, std::int64_t offset, std::span<std::byte> into) {
                             CHECK((name == "a.b" && offset == 0 && into.size() == 3));
                             std::fill(into.begin(), into.end(), static_cast<std::byte>(++calls));
                           });
  CHECK(std::to_integer<int>(source.bytes("a.b")[2]) == 1);
  CHECK(std::to_integer<int>(source.bytes("a.b")[2]) == 1);
  source.release("a");
  source.release("b");
  CHECK(std::to_integer<int>(source.bytes("a.b")[2]) == 1);
  source.release("a.b");
  CHECK(std::to_integer<int>(source.bytes("a.b")[2]) == 2);
  CHECK(source.bytes("empty").empty());
  CHECK(calls == 2);
}

TEST_CASE("large tensors are fetched in pieces; a function that throws leaves nothing") {
  const std::int64_t size = 2 * host_piece_bytes + 5;
  std::vector<std::int64_t> offsets;
  int failing = -1;
  const HostTensors source({{{"large", DType::U8, {size}}, nullptr}},
                           [&](std::string_view, std::int64_t offset, std::span<std::byte> into) {
                             if (failing-- == 0) throw std::runtime_error("no more");
                             offsets.push_back(offset);
                             into.back() = std::byte{7};
                           });
  for (failing = 0; failing < 3;) {
    const int wanted = failing;
    CHECK_THROWS_WITH(source.bytes("large"), "no more");
    CHECK(offsets.size() == static_cast<std::size_t>(wanted));
    offsets.clear();
    failing = wanted + 1;
  }
  failing = -1;
  const auto bytes = source.bytes("large");
  CHECK(offsets == std::vector<std::int64_t>{0, host_piece_bytes, 2 * host_piece_bytes});
  CHECK(bytes.size() == static_cast<std::size_t>(size));
  for (const std::int64_t last : {host_piece_bytes, 2 * host_piece_bytes, size})
    CHECK(std::to_integer<int>(bytes[static_cast<std::size_t>(last - 1)]) == 7);
}

TEST_CASE("a list that cannot be is refused") {
  const std::int32_t number = 0;
  const auto refused = [&](Status status, std::initializer_list<std::string_view> words, std::vector<HostTensor> list) {
    expect_error(status, words, [&] { HostTensors(list, {}, "the engine"); });
  };
  refused(Status::InvalidArgument, {"the engine", "'a'", "twice"},
          {{{"a", DType::I32, {1}}, &number}, {{"b", DType::I32, {1}}, &number}, {{"a", DType::U8, {4}}, &number}});
  refused(Status::InvalidArgument, {"the engine", "no name"}, {{{"", DType::I32, {1}}, &number}});
  refused(Status::InvalidArgument, {"the engine", "'a'", "4 bytes", "neither data"},
          {{{"a", DType::I32, {1}}, nullptr}});
  refused(Status::InvalidData, {"'a'"}, {{{"a", DType::I32, {2, -1}}, &number}});
  refused(Status::InvalidData, {"'a'"}, {{{"a", DType::I32, {1ll << 40, 1ll << 40}}, &number}});
  refused(Status::InvalidData, {}, {{{"a", DType::I64, {1ll << 61}}, &number}});
  const HostTensors none(std::vector<HostTensor>{}, {}, "the engine");
  CHECK(none.tensors().empty());
  expect_error(Status::NotFound, {"the engine", "'x'"}, [&] { none.bytes("x"); });
}

TEST_CASE("several threads read one source") {
  const auto file = open_weights(fixture("llama_gqa"));
  std::atomic<int> calls{0};
  const auto read = reader_of(*file);
  const HostTensors source(described(*file),
                           [&](std::string_view name, std::int64_t offset, std::span<std::byte> into) {
                             ++calls;
                             read(name, offset, into);
                           });
  const auto& all = source.tensors();
  std::atomic<int> different{0};
  parallel_for(4, 40 * static_cast<Index>(all.size()), [&](Index i) {
    const std::string& name = all[static_cast<std::size_t>(i) % all.size()].name;
    if (!same(source.bytes(name), file->bytes(name))) ++different;
  });
  CHECK(different == 0);
  CHECK(calls >= static_cast<int>(all.size()));
  CHECK(calls <= 4 * static_cast<int>(all.size()));
}

TEST_CASE("a module is released, and nothing beside it") {
  std::vector<std::string> fetched;
  std::vector<HostTensor> list;
  for (const char* name : {"a", "a.b", "a.b-c.w", "a.b.bias", "a.b.weight", "a.bc.weight", "a.c.weight"})
    list.push_back({{name, DType::U8, {1}}, nullptr});
  const HostTensors source(
      list, [&](std::string_view name, std::int64_t, std::span<std::byte>) { fetched.emplace_back(name); });
  for (const TensorInfo& info : source.tensors()) source.bytes(info.name);
  fetched.clear();
  source.release_module("a.b");
  source.release_module("a.b.weigh");
  source.release_module("z");
  for (const TensorInfo& info : source.tensors()) source.bytes(info.name);
  CHECK(fetched == std::vector<std::string>{"a.b.bias", "a.b.weight"});
}

TEST_CASE("a checkpoint in memory is the one of the directory, without one") {
  const Checkpoint directory(fixture("llama_gqa"));
  const auto in_memory = [&](const Json& config) {
    return Checkpoint(config,
                      std::make_unique<HostTensors>(described(directory.tensors()), reader_of(directory.tensors())),
                      "the engine");
  };
  const Checkpoint memory = in_memory(directory.config());
  CHECK(memory.directory().empty());
  CHECK(memory.name() == "the engine");
  CHECK(directory.name() == directory.directory().string());
  CHECK(memory.side_files().empty());
  CHECK(memory.format() == nullptr);
  CHECK(memory.config() == directory.config());
  const std::string module = "model.layers.0.mlp.up_proj";
  CHECK(memory.weight(module) == directory.weight(module));
  CHECK(memory.stored(module)->rows == directory.stored(module)->rows);
  CHECK_FALSE(memory.stored("model.layers.7.mlp.up_proj"));

  expect_error(Status::InvalidData, {"the engine", "not a JSON object"}, [&] { in_memory(Json::array()); });
  expect_error(Status::Unsupported, {"the engine", "unheard-of"}, [&] {
    in_memory(Json{{"quantization_config", {{"quant_method", "unheard-of"}}}});
  });
  expect_error(Status::InvalidArgument, {"the engine", "no tensors"},
               [&] { Checkpoint(directory.config(), nullptr, "the engine"); });
}
