// Damaged and malicious tokenizers: an Error or a tokenizer that works, nothing else.
#include <catch2/catch.hpp>

#include "format/helpers.hpp"
#include "fuzz/mutate.hpp"
#include "fuzz/tokenizers.hpp"
#include "text/byte_alphabet.hpp"
#include "text/utf8.hpp"

using namespace halftone;
using namespace halftone::test;
using nlohmann::json;

namespace {

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(HALFTONE_TEST_DATA) / "tokenizers" / name;
}

/// A whole byte-level tokenizer in little space: 256 bytes, a few merges, added tokens, a template.
json small_tokenizer() {
  json document = read_json<json>(fixture("bpe_llama3") / "tokenizer.json");
  json vocabulary, merges = json::array();
  for (const auto& [token, id] : document["model"]["vocab"].items())
    if (const auto bytes = text::bytes_of_token(token); bytes && bytes->size() == 1) vocabulary[token] = id;
  for (std::size_t i = 0; i < 6; ++i) {
    const json& merge = document["model"]["merges"][i];
    const auto merged = merge[0].get<std::string>() + merge[1].get<std::string>();
    vocabulary[merged] = document["model"]["vocab"][merged];
    merges.push_back(merge);
  }
  document["model"]["vocab"] = vocabulary;
  document["model"]["merges"] = merges;
  return document;
}

/// A protocol buffer field of bytes.
std::string field(int number, const std::string& body) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (std::size_t size = body.size(); size > 0 || out.size() == 1; size >>= 7)
    out += static_cast<char>((size & 0x7f) | (size >= 0x80 ? 0x80 : 0));
  return out + body;
}

std::string piece(const std::string& text, char type) {
  return field(1, field(1, text) + std::string("\x15\x00\x00\x80\xbf\x18", 6) + std::string(1, type));  // score -1
}

const std::string bpe_trainer = field(2, std::string("\x18\x02", 2));
const std::string smallest_model = piece("<unk>", 2) + piece("a", 1) + piece("b", 1) + piece("ab", 1) + bpe_trainer;

void expect_model_error(Status status, std::initializer_list<std::string_view> words, const std::string& bytes) {
  expect_error(status, words, [&] { text::SentencePieceTokenizer("m", std::string_view(bytes)); });
}

}  // namespace

TEST_CASE("a damaged tokenizer.json gives an error or a tokenizer that works") {
  const std::string whole = small_tokenizer().dump();
  use_tokenizer(text::ByteLevelTokenizer(text::read_tokenizer_json("small", json::parse(whole))));
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string damaged = mutate(whole, random);
    INFO(damaged);
    REQUIRE_NOTHROW(try_tokenizer_json(damaged));
  }
}

TEST_CASE("a tokenizer.json with a value exchanged gives an error or a tokenizer that works") {
  const json whole = small_tokenizer();
  const json values[] = {nullptr, true, -1, 1e300, 5, "", "a", "ByteLevel", "Sequence", json::array(), json::object()};
  Random random(4);
  for (int i = 0; i < 2000; ++i) {
    json document = whole;
    json* node = &document;
    while (node->is_structured() && !node->empty() && random.below(5) != 0)
      node = &*std::next(node->begin(), static_cast<std::ptrdiff_t>(random.below(node->size())));
    *node = values[random.below(std::size(values))];
    const std::string damaged = document.dump();
    INFO(damaged);
    REQUIRE_NOTHROW(try_tokenizer_json(damaged));
  }
}

TEST_CASE("a damaged tokenizer.model gives an error or a tokenizer that works") {
  const std::string whole = slurp(fixture("spm_llama2") / "tokenizer.model");
  Random random(2);
  for (int i = 0; i < 1000; ++i) REQUIRE_NOTHROW(try_sentencepiece(mutate(whole, random)));
  for (int i = 0; i < 1000; ++i) REQUIRE_NOTHROW(try_sentencepiece(mutate(smallest_model, random)));
}

TEST_CASE("a SentencePiece model that its library would trust too far is refused") {
  const text::SentencePieceTokenizer good("m", smallest_model);
  CHECK(good.vocabulary() == 4);
  CHECK_FALSE(good.bos().has_value());
  expect_model_error(Status::InvalidData, {"m", "no piece"}, "");
  expect_model_error(Status::InvalidData, {"longer than the message"}, smallest_model.substr(0, 20));
  expect_model_error(Status::InvalidData, {"cut off"}, smallest_model + "\xff");
  expect_model_error(Status::InvalidData, {"bad type"}, "\x0f");
  expect_model_error(Status::InvalidData, {"bad number"}, std::string("\x02\x00", 2));
  expect_model_error(Status::InvalidData, {"piece is empty"}, smallest_model + piece("", 1));
  expect_model_error(Status::InvalidData, {"zero byte"}, smallest_model + piece(std::string("x\0y", 3), 1));
  expect_model_error(Status::InvalidData, {"not UTF-8"}, smallest_model + piece("\xff", 1));
  expect_model_error(Status::InvalidData, {"already defined"}, smallest_model + piece("ab", 1));
  expect_model_error(Status::InvalidData, {"unk is not defined"}, piece("a", 1) + bpe_trainer);
  expect_model_error(Status::InvalidData, {"score"},
                     smallest_model + field(1, field(1, "x") + std::string("\x15\x00\x00\xc0\x7f", 5)));  // NaN
  expect_model_error(Status::Unsupported, {"model type is 4", "BPE"},
                     piece("<unk>", 2) + field(2, std::string("\x18\x04", 2)));
  expect_model_error(Status::Unsupported, {"normaliser 'nmt_nfkc'", "identity"},
                     smallest_model + field(3, field(1, "nmt_nfkc") + field(2, "map")));
  std::string nested = smallest_model;
  for (int i = 1; i <= 64; ++i) nested += piece(std::string(static_cast<std::size_t>(i), 'z'), 4);
  use_tokenizer(text::SentencePieceTokenizer("m", nested));
  expect_model_error(Status::InvalidData, {"user-defined", "64"}, nested + piece(std::string(65, 'z'), 4));
}

TEST_CASE("a component that would have to be ignored is refused by name") {
  const auto refused = [](std::initializer_list<std::string_view> words, const char* pointer, const json& value) {
    json document = small_tokenizer();
    document[json::json_pointer(pointer)] = value;
    INFO(pointer);
    expect_error(Status::Unsupported, words, [&] { text::read_tokenizer_json("f", document); });
  };
  refused({"f.model", "'Unigram'"}, "/model/type", "Unigram");
  refused({"f.model.dropout", "0.1"}, "/model/dropout", 0.1);
  refused({"f.model.byte_fallback"}, "/model/byte_fallback", true);
  refused({"f.model.end_of_word_suffix", "</w>"}, "/model/end_of_word_suffix", "</w>");
  refused({"f.model", "'novelty'"}, "/model/novelty", 1);
  refused({"f", "'novelty'"}, "/novelty", 1);
  refused({"version", "2.0"}, "/version", "2.0");
  refused({"f.normalizer", "'NFKC'"}, "/normalizer", {{"type", "NFKC"}});
  refused({"f.normalizer", "'Lowercase'"}, "/normalizer",
          {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}}}});
  refused({"f.pre_tokenizer", "'Metaspace'"}, "/pre_tokenizer", {{"type", "Metaspace"}});
  refused({"no 'ByteLevel'"}, "/pre_tokenizer", nullptr);
  refused({"no 'ByteLevel'"}, "/pre_tokenizer/pretokenizers", json::array());
  refused({"not the last step"}, "/pre_tokenizer/pretokenizers/2",
          small_tokenizer()["pre_tokenizer"]["pretokenizers"][0]);
  refused({"'MergedWithNext'"}, "/pre_tokenizer/pretokenizers/0/behavior", "MergedWithNext");
  refused({"'Isolated, inverted'"}, "/pre_tokenizer/pretokenizers/0/invert", true);
  refused({"'String'"}, "/pre_tokenizer/pretokenizers/0/pattern", {{"String", " "}});
  refused({"f.post_processor", "'BertProcessing'"}, "/post_processor", {{"type", "BertProcessing"}});
  refused({"f.decoder", "'WordPiece'"}, "/decoder", {{"type", "WordPiece"}});
  refused({"f.added_tokens[0]", "'novelty'"}, "/added_tokens/0/novelty", 1);
  for (const char* pattern : {"^a", "a$", "\\w+", "\\bx", "[a[b]]", "[a&&b]", "(?i)a", "(?<n>a)", "a{2}+", "a{,2}",
                              "\\h", "\\1", "[]a]", "\\p{L", "\\pL", "(?m:a)", "\\u12", "[a", "\\"}) {
    refused({"the split pattern"}, "/pre_tokenizer/pretokenizers/0/pattern/Regex", pattern);
  }
}

TEST_CASE("a malformed tokenizer.json says what is wrong and where") {
  const auto wrong = [](std::initializer_list<std::string_view> words, const char* pointer, const json& value) {
    json document = small_tokenizer();
    document[json::json_pointer(pointer)] = value;
    INFO(pointer);
    expect_error(Status::InvalidData, words, [&] { text::read_tokenizer_json("f", document); });
  };
  wrong({"f.model", "array", "wanted an object"}, "/model", json::array());
  wrong({"f.model.vocab['a']", "-1"}, "/model/vocab/a", -1);
  wrong({"f.model.vocab['a']", "1.5"}, "/model/vocab/a", 1.5);
  wrong({"f.model.vocab['a']", "2147483647"}, "/model/vocab/a", 2147483647);
  wrong({"two tokens have the id 5"}, "/model/vocab/a", 5);
  wrong({"f.model.merges[1]", "'qq'"}, "/model/merges/1", json::array({"q", "qq"}));
  wrong({"f.model.merges[1]", "a b c"}, "/model/merges/1", "a b c");
  wrong({"f.model.merges[0]", "wanted"}, "/model/merges/0", 7);
  wrong({"f.model.ignore_merges", "string"}, "/model/ignore_merges", "yes");
  wrong({"f.added_tokens[0].content", "number"}, "/added_tokens/0/content", 3);
  wrong({"no token 77777"}, "/post_processor/processors/1/special_tokens/<|begin_of_text|>/ids/0", 77777);
  wrong({"no place for the text"}, "/post_processor/processors/1/single", json::array());
  wrong({"does not compile"}, "/pre_tokenizer/pretokenizers/0/pattern/Regex", "(a");
  wrong({"wanted at most"}, "/pre_tokenizer/pretokenizers/0/pattern/Regex", std::string(1 << 20, 'a'));
  expect_error(Status::InvalidData, {"f", "array"}, [] { text::read_tokenizer_json("f", json::array()); });
}

TEST_CASE("a split pattern that explodes is stopped, not waited for") {
  json document = small_tokenizer();
  document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(?:a+)+[b-z]";
  const text::ByteLevelTokenizer tokenizer(text::read_tokenizer_json("f", document));
  expect_error(Status::InvalidData, {"f.pre_tokenizer", "split pattern fails", "limit"},
               [&] { tokenizer.encode(std::string(60, 'a')); });
}

TEST_CASE("text that is not UTF-8 and bytes without a token are errors") {
  json document = small_tokenizer();
  document["model"]["vocab"].erase("z");
  const text::ByteLevelTokenizer tokenizer(text::read_tokenizer_json("f", document));
  expect_error(Status::InvalidData, {"f", "not UTF-8", "byte 2"}, [&] { tokenizer.encode("ab\xff"); });
  expect_error(Status::InvalidData, {"f", "no token for the byte 122"}, [&] { tokenizer.encode("abz"); });
  expect_error(Status::InvalidArgument, {"f", "no token -1"}, [&] { tokenizer.decode({-1}); });
  const text::SentencePieceTokenizer pieces("m", smallest_model);
  expect_error(Status::InvalidData, {"m", "not UTF-8"}, [&] { pieces.encode("\xe2\x82"); });
  expect_error(Status::InvalidArgument, {"m", "no token 4"}, [&] { pieces.decode({4}); });
}
