#include <nlohmann/json.hpp>
#include "format/helpers.hpp"
#include "halftone/format/json.hpp"
#include "halftone/format/safetensors.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// One U8 tensor of one byte.
std::string shard(const std::string& tensor, char value) {
  return safetensors_bytes(concat("{\"", tensor, R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})"), {&value, 1});
}

void put_index(const TemporaryFolder& folder, const std::string& weight_map) {
  put(folder / "model.safetensors.index.json",
      concat(R"({"metadata":{"total_size":2},"weight_map":)", weight_map, "}"));
}

}  // namespace

TEST_CASE("shards read as one set of tensors") {
  const TemporaryFolder folder;
  put(folder / "s1.safetensors", shard("b", 'B'));
  put(folder / "s2.safetensors", shard("a", 'A'));
  put_index(folder, R"({"b":"s1.safetensors","a":"s2.safetensors"})");
  const auto source = open_weights(folder.path());
  REQUIRE(source->tensors().size() == 2);
  CHECK(source->tensors()[0].name == "a");
  CHECK(std::to_integer<char>(source->bytes("a")[0]) == 'A');
  CHECK(std::to_integer<char>(source->bytes("b")[0]) == 'B');
  CHECK_THAT(source->origin("a"), Catch::Matchers::EndsWith("s2.safetensors"));
  source->release("a");
  source->release("nothing");
  expect_error(Status::NotFound, {"index.json", "'c'"}, [&] { source->info("c"); });
}

TEST_CASE("an index that does not fit its shards is refused") {
  const TemporaryFolder folder;
  put(folder / "s1.safetensors", shard("a", 'A'));
  put(folder / "s2.safetensors", shard("b", 'B'));
  put(folder / "s3.safetensors", shard("a", 'C'));
  const auto open = [&](const std::string& weight_map) {
    put_index(folder, weight_map);
    open_weights(folder.path());
  };
  expect_error(Status::NotFound, {"s9.safetensors"}, [&] { open(R"({"a":"s1.safetensors","b":"s9.safetensors"})"); });
  expect_error(Status::InvalidData, {"s1.safetensors", "no tensor 'b'"}, [&] { open(R"({"b":"s1.safetensors"})"); });
  expect_error(Status::InvalidData, {"s2.safetensors", "no tensor 'a'"},
               [&] { open(R"({"a":"s2.safetensors","b":"s1.safetensors"})"); });
  expect_error(Status::InvalidData, {"'a'", "two shards", "s1.safetensors", "s3.safetensors"},
               [&] { open(R"({"a":"s1.safetensors","b":"s3.safetensors"})"); });
  expect_error(Status::InvalidData, {"'a'", "twice"}, [&] { open(R"({"a":"s1.safetensors","a":"s1.safetensors"})"); });
  expect_error(Status::InvalidData, {"'a'", "no text"}, [&] { open(R"({"a":1})"); });
  expect_error(Status::InvalidData, {"weight_map"}, [&] { open("[]"); });
  for (const char* outside : {"../s1.safetensors", "/etc/passwd", "d/s1.safetensors", "..\\\\s1.safetensors", "..", "",
                              "s1.safetensors\\u0000", "config.json"})
    expect_error(Status::InvalidData, {"plain name"}, [&] { open(concat(R"({"a":")", outside, "\"}")); });
  put(folder / "model.safetensors.index.json", "{\"weight_map\":");
  expect_error(Status::InvalidData, {"index.json", "malformed JSON"}, [&] { open_weights(folder.path()); });
}

TEST_CASE("weights are looked for under their names") {
  const TemporaryFolder folder;
  expect_error(Status::NotFound, {"model.safetensors"}, [&] { open_weights(folder.path()); });
  expect_error(Status::NotFound, {"no such directory"}, [&] { open_weights(folder / "nothing"); });
  put(folder / "model.safetensors", shard("a", 'A'));
  CHECK(open_weights(folder.path())->find("a") != nullptr);
}

TEST_CASE("JSON of strangers is bounded") {
  CHECK(parse_json(R"({"b":1,"a":[{}]})", "f").size() == 2);
  expect_error(Status::InvalidData, {"f", "malformed"}, [] { parse_json("{", "f"); });
  expect_error(Status::InvalidData, {"f", "malformed"}, [] { parse_json("\"\xc3\"", "f"); });
  expect_error(Status::InvalidData, {"'a'", "twice"}, [] { parse_json(R"([{"a":1,"b":{"a":1},"a":2}])", "f"); });
  expect_error(Status::InvalidData, {"deeper"}, [] { parse_json(std::string(1'000'000, '['), "f"); });
  std::string many = "{";
  for (int i = 0; i < 5000; ++i) many += concat('"', i, "\":0,");
  expect_error(Status::InvalidData, {"keys"}, [&] { parse_json(many + "\"x\":0}", "f"); });
  CHECK(json_text(parse_json(R"({"z":1,"a":2})", "f")) == "{\n  \"z\": 1,\n  \"a\": 2\n}\n");
}
