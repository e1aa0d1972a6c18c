#include <cstring>  // memcpy

#include "format/helpers.hpp"
#include "halftone/core/parallel.hpp"
#include "halftone/format/safetensors.hpp"
#include "halftone/format/safetensors_writer.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

std::vector<TensorInfo> three() { return {{"z", DType::I8, {3}}, {"b", DType::F32, {2, 1}}, {"a", DType::F32, {1}}}; }

std::vector<std::byte> filled(std::size_t count, int value) { return {count, static_cast<std::byte>(value)}; }

void write_all(SafetensorsWriter& writer) {
  writer.write("z", filled(3, 7));
  writer.write("b", filled(8, 8));
  writer.write("a", filled(4, 9));
}

}  // namespace

TEST_CASE("a written file is the reference writer's, byte for byte") {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "m.safetensors", three(), WriteMode::Create);
  write_all(writer);
  CHECK_FALSE(std::filesystem::exists(folder / "m.safetensors"));
  writer.finish();
  CHECK_FALSE(std::filesystem::exists(folder / "m.safetensors.partial"));
  std::string header = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                       R"("b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},)"
                       R"("z":{"dtype":"I8","shape":[3],"data_offsets":[12,15]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  CHECK(slurp(folder / "m.safetensors") ==
        safetensors_bytes(header, std::string(4, 9) + std::string(8, 8) + std::string(3, 7)));
  CHECK(SafetensorsWriter::file_bytes(three()) ==
        static_cast<std::int64_t>(std::filesystem::file_size(folder / "m.safetensors")));
  const SafetensorsFile file(folder / "m.safetensors");
  CHECK(file.info("b").shape == std::vector<std::int64_t>{2, 1});
}

TEST_CASE("names that need escapes survive") {
  const TemporaryFolder folder;
  const std::string name = "a \"quoted\"\n\x01 \xc3\xa9";
  SafetensorsWriter writer(folder / "m.safetensors", {{name, DType::U8, {}}}, WriteMode::Create);
  writer.write(name, filled(1, 1));
  writer.finish();
  CHECK(SafetensorsFile(folder / "m.safetensors").find(name) != nullptr);
}

TEST_CASE("tensors are written from several threads in any order") {
  const TemporaryFolder folder;
  std::vector<TensorInfo> infos;
  for (int i = 0; i < 200; ++i) infos.push_back({"t" + std::to_string(i), DType::U8, {1000 + i}});
  SafetensorsWriter writer(folder / "m.safetensors", infos, WriteMode::Create);
  parallel_for(4, 200, [&](Index i) {
    writer.write("t" + std::to_string(i), filled(static_cast<std::size_t>(1000 + i), static_cast<int>(i)));
  });
  writer.finish();
  const SafetensorsFile file(folder / "m.safetensors");
  for (int i = 0; i < 200; ++i) {
    const auto bytes = file.bytes("t" + std::to_string(i));
    CHECK(std::all_of(bytes.begin(), bytes.end(), [&](std::byte b) { return b == static_cast<std::byte>(i); }));
  }
}

TEST_CASE("the writer refuses what it was not told of") {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "m.safetensors", three(), WriteMode::Create);
  expect_error(Status::NotFound, {"m.safetensors", "'x'"}, [&] { writer.write("x", filled(1, 0)); });
  expect_error(Status::ShapeMismatch, {"'z'", "4 bytes", "wanted 3"}, [&] { writer.write("z", filled(4, 0)); });
  expect_error(Status::Internal, {"'a'", "never written"}, [&] { writer.finish(); });
  CHECK_FALSE(std::filesystem::exists(folder / "m.safetensors"));
  expect_error(Status::InvalidArgument, {"'t'", "twice"}, [&] {
    SafetensorsWriter(folder / "n.safetensors", {{"t", DType::U8, {1}}, {"t", DType::I8, {1}}}, WriteMode::Create);
  });
  expect_error(Status::NotFound, {"no/such"},
               [&] { SafetensorsWriter(folder / "no/such/m.safetensors", three(), WriteMode::Create); });
}

TEST_CASE("an interrupted file is continued, one with another header is not") {
  const TemporaryFolder folder;
  const auto file = folder / "m.safetensors";
  {
    SafetensorsWriter writer(file, three(), WriteMode::Resume);  // nothing there: begins one
    writer.write("b", filled(8, 8));
    writer.sync();
  }
  CHECK(std::filesystem::exists(folder / "m.safetensors.partial"));
  auto other = three();
  other[1].shape = {1, 2};
  expect_error(Status::Conflict, {"m.safetensors.partial"}, [&] { SafetensorsWriter(file, other, WriteMode::Resume); });
  {
    SafetensorsWriter writer(file, three(), WriteMode::Resume);
    writer.mark_written("b");
    writer.write("z", filled(3, 7));
    expect_error(Status::Internal, {"'a'"}, [&] { writer.finish(); });
    writer.write("a", filled(4, 9));
    writer.finish();
  }
  const std::string resumed = slurp(file);
  expect_error(Status::Conflict, {"exists already"}, [&] { SafetensorsWriter(file, three(), WriteMode::Create); });
  {
    SafetensorsWriter again(file, three(), WriteMode::Resume);  // killed between renaming and the journal's last line
    for (const char* name : {"a", "b", "z"}) again.mark_written(name);
    again.finish();
  }
  CHECK(slurp(file) == resumed);
  SafetensorsWriter whole(folder / "n.safetensors", three(), WriteMode::Create);
  write_all(whole);
  whole.finish();
  CHECK(slurp(folder / "n.safetensors") == resumed);
}

TEST_CASE("a disk too small is found before work is spent") {
  const TemporaryFolder folder;
  expect_error(Status::Io, {"m.safetensors.partial", "cannot reserve"}, [&] {
    SafetensorsWriter(folder / "m.safetensors", {{"a", DType::U8, {std::int64_t{1} << 52}}}, WriteMode::Create);
  });
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a large checkpoint becomes shards with an index") {
  const TemporaryFolder folder;
  const std::vector<TensorInfo> infos{
      {"m.a", DType::F32, {3}}, {"m.b", DType::F32, {2}}, {"m.c", DType::F32, {100}}, {"m.d", DType::U8, {4}}};
  ShardedWriter writer(folder.path(), infos, WriteMode::Create, 20);
  CHECK(writer.files() == std::vector<std::string>{"model-00001-of-00003.safetensors",
                                                   "model-00002-of-00003.safetensors",
                                                   "model-00003-of-00003.safetensors"});
  for (const TensorInfo& info : infos)
    writer.write(info.name, filled(static_cast<std::size_t>(info.bytes()), info.name[2]));
  writer.sync();
  CHECK_THROWS_AS(open_weights(folder.path()), Error);
  writer.finish();
  std::int64_t total = 0;
  for (const std::string& name : writer.files())
    total += static_cast<std::int64_t>(std::filesystem::file_size(folder / name));
  CHECK(writer.total_bytes() == total);
  const auto source = open_weights(folder.path());
  REQUIRE(source->tensors().size() == 4);
  for (const TensorInfo& info : infos) {
    CHECK(source->info(info.name).shape == info.shape);
    CHECK(std::to_integer<char>(source->bytes(info.name).back()) == info.name[2]);
  }
  CHECK(slurp(folder / "model.safetensors.index.json") ==
        "{\n  \"metadata\": {\n    \"total_size\": 424\n  },\n  \"weight_map\": {\n"
        "    \"m.a\": \"model-00001-of-00003.safetensors\",\n    \"m.b\": \"model-00001-of-00003.safetensors\",\n"
        "    \"m.c\": \"model-00002-of-00003.safetensors\",\n    \"m.d\": \"model-00003-of-00003.safetensors\"\n  "
        "}\n}\n");
}

TEST_CASE("a small checkpoint is one file without an index") {
  const TemporaryFolder folder;
  ShardedWriter writer(folder.path(), three(), WriteMode::Create);
  CHECK(writer.files() == std::vector<std::string>{"model.safetensors"});
  for (const TensorInfo& info : three()) writer.write(info.name, filled(static_cast<std::size_t>(info.bytes()), 1));
  expect_error(Status::NotFound, {"'x'"}, [&] { writer.mark_written("x"); });
  writer.finish();
  CHECK_FALSE(std::filesystem::exists(folder / "model.safetensors.index.json"));
  CHECK(open_weights(folder.path())->tensors().size() == 3);
}
