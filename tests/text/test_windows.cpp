#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "format/helpers.hpp"
#include "halftone/format/safetensors.hpp"
#include "halftone/text/token_windows.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const std::filesystem::path novella = std::filesystem::path(HALFTONE_MODELS) / "novella";
const std::filesystem::path data = HALFTONE_DATA;
constexpr Index vocabulary = 2048;

std::vector<std::int32_t> values(const Matrix<std::int32_t>& windows) {
  return {windows.data(), windows.data() + windows.size()};
}

std::vector<std::vector<std::int32_t>> rows(const Matrix<std::int32_t>& windows) {
  std::vector<std::vector<std::int32_t>> list;
  for (Index i = 0; i < windows.rows(); ++i) list.emplace_back(windows.row(i), windows.row(i) + windows.cols());
  return list;
}

/// A file of token ids as bytes: one tensor `ids`.
template <class Id>
std::string ids_file(const char* dtype, const std::vector<std::int64_t>& shape, const std::vector<Id>& ids) {
  nlohmann::json header;
  header["ids"] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {0, ids.size() * sizeof(Id)}}};
  return safetensors_bytes(header.dump(), {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(Id)});
}

}  // namespace

TEST_CASE("novella's texts give exactly its ids") {
  const auto [text, ids, count] = GENERATE(table<std::string, std::string, Index>(
      {{"calibration.jsonl", "calib_ids.safetensors", 128}, {"evaluation.jsonl", "eval_ids.safetensors", 64}}));
  const auto expected = load_windows(data / ids, "", vocabulary, {});
  CHECK(expected.rows() == count);
  CHECK(expected.cols() == 256);
  const auto windows = load_windows(data / text, novella, vocabulary, {.windows = count, .length = {}, .seed = {}});
  CHECK(values(windows) == values(expected));
}

TEST_CASE("a seed shuffles all windows before the first are taken") {
  const auto file = data / "evaluation.jsonl";
  const auto load = [&](Index count, std::optional<std::uint64_t> seed) {
    return load_windows(file, novella, vocabulary, {.windows = count, .length = 64, .seed = seed});
  };
  const auto all = rows(load(400, {}));
  const auto one = rows(load(40, 1)), again = rows(load(40, 1)), two = rows(load(40, 2));
  CHECK(one == again);
  CHECK(one != two);
  CHECK(one != std::vector<std::vector<std::int32_t>>(all.begin(), all.begin() + 40));
  int behind = 0;  // windows that the first 40 of the file do not hold
  for (const auto& window : one) behind += std::find(all.begin(), all.begin() + 40, window) == all.begin() + 40;
  CHECK(behind > 20);
  const auto longer = rows(load(60, 1));
  CHECK(std::equal(one.begin(), one.end(), longer.begin()));
}

TEST_CASE("documents begin with BOS and are joined; a .txt is one document, empty ones are passed over") {
  TemporaryFolder folder;
  const auto tokenizer = open_tokenizer(novella);
  std::vector<std::int32_t> expected;
  for (const std::string text : {"One day.\n\nTwo days.", "Three \"days\"."}) {
    expected.push_back(1);
    const auto ids = tokenizer->encode(text);
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  put(folder / "two.jsonl",
      "\xef\xbb\xbf{\"text\": \"One day.\\n\\nTwo days.\", \"id\": 3}\r\n\n{\"text\": \"\"}\n"
      "{\"text\": \"Three \\\"days\\\".\"}");
  const auto length = static_cast<Index>(expected.size());
  const auto joined =
      load_windows(folder / "two.jsonl", novella, vocabulary, {.windows = 1, .length = length, .seed = {}});
  CHECK(values(joined) == expected);

  put(folder / "one.txt", "One day.\n\nTwo days.");
  const auto first = load_windows(folder / "one.txt", novella, vocabulary, {.windows = 2, .length = 4, .seed = {}});
  CHECK(std::equal(first.data(), first.data() + 8, expected.begin()));
}

TEST_CASE("token ids are used as they are, all of them unless fewer are asked for") {
  TemporaryFolder folder;
  const std::vector<std::int32_t> ids{0, 1, 2, 3, 4, 9};
  const std::vector<std::int64_t> wide(ids.begin(), ids.end());
  put(folder / "i32.safetensors", ids_file("I32", {2, 3}, ids));
  put(folder / "i64.safetensors", ids_file("I64", {2, 3}, wide));
  for (const char* name : {"i32.safetensors", "i64.safetensors"}) {
    const auto windows = load_windows(folder / name, "", 10, {});
    CHECK(windows.rows() == 2);
    CHECK(values(windows) == ids);
    const auto fewer = load_windows(folder / name, "", 10, {.windows = 1, .length = 3, .seed = {}});
    CHECK(values(fewer) == std::vector<std::int32_t>{0, 1, 2});
    expect_error(Status::InvalidData, {name, "'ids'", "token 5", "the id 9", "0 .. 8"},
                 [&] { load_windows(folder / name, "", 9, {}); });
    expect_error(Status::InvalidData, {name, "has 2 windows, wanted 3"},
                 [&] { load_windows(folder / name, "", 10, {.windows = 3, .length = {}, .seed = {}}); });
    expect_error(Status::ShapeMismatch, {name, "windows of 3 tokens, wanted 4"},
                 [&] { load_windows(folder / name, "", 10, {.windows = {}, .length = 4, .seed = {}}); });
  }
}

TEST_CASE("files of ids that are none are refused") {
  TemporaryFolder folder;
  const auto refused = [&](std::initializer_list<std::string_view> words, const std::string& bytes) {
    put(folder / "x.safetensors", bytes);
    expect_error(Status::InvalidData, words, [&] { load_windows(folder / "x.safetensors", "", 10, {}); });
  };
  refused({"F32", "wanted token ids as I32 or I64"}, ids_file<float>("F32", {1, 2}, {1, 2}));
  refused({"1 dimensions"}, ids_file<std::int32_t>("I32", {2}, {1, 2}));
  refused({"0 elements"}, ids_file<std::int32_t>("I32", {0, 2}, {}));
  refused({"the id -1"}, ids_file<std::int32_t>("I32", {1, 2}, {1, -1}));
  refused({"the id 4294967296"}, ids_file<std::int64_t>("I64", {1, 2}, {1, std::int64_t{1} << 32}));
  refused({"2 tensors, wanted one"}, safetensors_bytes(R"({"a":{"dtype":"I32","shape":[1,1],"data_offsets":[0,4]},)"
                                                       R"("b":{"dtype":"I32","shape":[1,1],"data_offsets":[4,8]}})",
                                                       std::string(8, '\0')));
}

TEST_CASE("text that is too little, broken or of another vocabulary says so") {
  TemporaryFolder folder;
  const auto refused = [&](Status status, std::initializer_list<std::string_view> words, const std::string& name,
                           const std::string& content) {
    put(folder / name, content);
    expect_error(status, words, [&] { load_windows(folder / name, novella, vocabulary, {}); });
  };
  refused(Status::InvalidData, {"a.txt has no text"}, "a.txt", "");
  refused(Status::InvalidData, {"a.jsonl has no text"}, "a.jsonl", "\n{\"text\": \"\"}\n");
  refused(Status::InvalidData, {"too little text", "2 tokens", "wanted 128 windows (32768 tokens)"}, "a.txt", "a");
  refused(Status::InvalidData, {"a.txt", "not UTF-8", "byte 1"}, "a.txt", "a\xff");
  refused(Status::InvalidData, {"a.jsonl, line 2", "JSON"}, "a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"a\"\n");
  refused(Status::InvalidData, {"a.jsonl, line 3", "no field 'text'"}, "a.jsonl", "\n\n{\"content\": \"a\"}\n");
  refused(Status::InvalidData, {"a.jsonl, line 1", "'text' is number"}, "a.jsonl", "{\"text\": 3}\n");
  refused(Status::InvalidData, {"a.jsonl, line 1", "array"}, "a.jsonl", "[]\n");
  refused(Status::InvalidData, {"a.jsonl, line 1", "not UTF-8"}, "a.jsonl", "{\"text\": \"\xed\xa0\x80\"}\n");
  refused(Status::InvalidData, {"a.jsonl, line 1", "surrogate"}, "a.jsonl", "{\"text\": \"\\ud800\"}\n");
  refused(Status::Unsupported, {"'.csv'", ".jsonl"}, "a.csv", "a");
  expect_error(Status::NotFound, {"nowhere.txt"},
               [&] { load_windows(folder / "nowhere.txt", novella, vocabulary, {}); });
  put(folder / "a.txt", "some text");
  expect_error(Status::InvalidData, {"another vocabulary", novella.string(), "0 .. 299"},
               [&] { load_windows(folder / "a.txt", novella, 300, {.windows = 1, .length = 2, .seed = {}}); });
  expect_error(Status::NotFound, {"no tokenizer"},
               [&] { load_windows(folder / "a.txt", folder.path(), vocabulary, {}); });
  expect_error(Status::InvalidArgument, {"number is 0"},
               [&] { load_windows(folder / "a.txt", novella, vocabulary, {.windows = 0, .length = {}, .seed = {}}); });
  expect_error(Status::InvalidArgument, {"length is -3"},
               [&] { load_windows(folder / "a.txt", novella, vocabulary, {.windows = {}, .length = -3, .seed = {}}); });
}
