#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "halftone/format/json.hpp"
#include "halftone/text/tokenizer.hpp"

using namespace halftone;
using namespace halftone::test;
using nlohmann::json;

namespace {

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(HALFTONE_TEST_DATA) / "tokenizers" / name;
}

void copy_to(const TemporaryFolder& folder, const std::string& name, const std::string& file) {
  std::filesystem::copy_file(fixture(name) / file, folder / file);
}

}  // namespace

TEST_CASE("tokenizer_config.json decides whether a document begins with BOS") {
  TemporaryFolder folder;
  const std::string name = GENERATE(as<std::string>{}, "spm", "bpe_llama3");
  copy_to(folder, name, name == "spm" ? "tokenizer.model" : "tokenizer.json");
  const auto own = open_tokenizer(folder.path())->bos();
  REQUIRE(own.has_value());
  const auto bos_with = [&](const json& config) {
    put(folder / "tokenizer_config.json", config.dump());
    return open_tokenizer(folder.path())->bos();
  };
  CHECK(bos_with(json::object()) == own);
  CHECK(bos_with({{"add_bos_token", nullptr}, {"bos_token", nullptr}}) == own);
  CHECK(bos_with({{"add_bos_token", true}}) == own);
  CHECK_FALSE(bos_with({{"add_bos_token", false}}).has_value());
  expect_error(Status::InvalidData, {"tokenizer_config.json", "add_bos_token", "string"}, [&] {
    bos_with({{"add_bos_token", "yes"}});
  });
  expect_error(Status::InvalidData, {"tokenizer_config.json", "bos_token", "number"}, [&] {
    bos_with({{"bos_token", 7}});
  });
  expect_error(Status::InvalidData, {"tokenizer_config.json", "array"}, [&] { bos_with(json::array()); });
}

TEST_CASE("a tokenizer.json without a template gets the BOS that its config names") {
  TemporaryFolder folder;
  copy_to(folder, "bpe_gpt2", "tokenizer.json");
  const json token = GENERATE(json("<|endoftext|>"), json{{"content", "<|endoftext|>"}});
  put(folder / "tokenizer_config.json", json{{"bos_token", token}}.dump());
  CHECK_FALSE(open_tokenizer(folder.path())->bos().has_value());
  put(folder / "tokenizer_config.json", json{{"bos_token", token}, {"add_bos_token", true}}.dump());
  CHECK(open_tokenizer(folder.path())->bos() == 0);
  put(folder / "tokenizer_config.json", json{{"bos_token", "<s>"}, {"add_bos_token", true}}.dump());
  expect_error(Status::InvalidData, {"'<s>'", "vocabulary"}, [&] { open_tokenizer(folder.path()); });
}

TEST_CASE("vocab.json with merges.txt is the same tokenizer as its tokenizer.json") {
  TemporaryFolder folder;
  const json document = read_json<json>(fixture("bpe_gpt2") / "tokenizer.json");
  put(folder / "vocab.json", document["model"]["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const auto& merge : document["model"]["merges"]) merges += merge.get<std::string>() + "\n";
  put(folder / "merges.txt", merges);
  put(folder / "tokenizer_config.json", R"({"eos_token": {"content": "<|endoftext|>"}, "add_bos_token": false})");
  const auto tokenizer = open_tokenizer(folder.path());
  const json expected = read_json<json>(fixture("bpe_gpt2") / "expected.json");
  for (const auto& entry : expected["strings"])
    CHECK(tokenizer->encode(entry["text"].get<std::string>()) == entry["ids"].get<std::vector<std::int32_t>>());
}

TEST_CASE("a tokenizer.json of another kind gives way to the tokenizer.model beside it, a broken one does not") {
  TemporaryFolder folder;
  put(folder / "tokenizer.json", R"({"version": "1.0", "model": {"type": "Unigram", "vocab": []}})");
  expect_error(Status::Unsupported, {"tokenizer.json", "ByteLevel"}, [&] { open_tokenizer(folder.path()); });
  copy_to(folder, "spm", "tokenizer.model");
  CHECK(open_tokenizer(folder.path())->vocabulary() == 2048);
  put(folder / "tokenizer.json", "{");
  expect_error(Status::InvalidData, {"tokenizer.json", "JSON"}, [&] { open_tokenizer(folder.path()); });
}

TEST_CASE("a folder without a tokenizer says what was looked for") {
  TemporaryFolder folder;
  expect_error(Status::NotFound, {"tokenizer.json", "tokenizer.model", "merges.txt"},
               [&] { open_tokenizer(folder.path()); });
  expect_error(Status::NotFound, {"nowhere", "no such folder"}, [&] { open_tokenizer(folder / "nowhere"); });
  put(folder / "tokenizer.model", "");
  expect_error(Status::InvalidData, {"tokenizer.model", "no piece"}, [&] { open_tokenizer(folder.path()); });
}
