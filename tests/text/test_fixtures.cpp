// Ids of the reference tokenizers: Hugging Face's tokenizers and SentencePiece, on texts of every kind.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "halftone/format/json.hpp"
#include "halftone/text/tokenizer.hpp"
#include "text/byte_level_tokenizer.hpp"
#include "text/nfc.hpp"

using namespace halftone;

namespace {

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(HALFTONE_TEST_DATA) / "tokenizers" / name;
}

}  // namespace

TEST_CASE("ids equal those of the reference tokenizer", "[fixtures]") {
  const std::string name = GENERATE(as<std::string>{}, "spm", "spm_llama2", "bpe_gpt2", "bpe_llama3");
  const auto tokenizer = open_tokenizer(fixture(name));
  const Json expected = read_json(fixture(name) / "expected.json");
  CHECK(tokenizer->vocabulary() == expected["vocab_size"].get<int>());
  REQUIRE(expected["strings"].size() >= 44);
  for (const Json& entry : expected["strings"]) {
    const auto text = entry["text"].get<std::string>();
    INFO(name << ": " << text);
    const auto ids = tokenizer->encode(text);
    CHECK(ids == entry["ids"].get<std::vector<std::int32_t>>());
    if (entry.contains("decoded"))
      CHECK(tokenizer->decode(ids) == entry["decoded"].get<std::string>());
    else
      CHECK(tokenizer->decode(ids) == text);
    if (entry.contains("ids_with_special")) {
      auto with_bos = ids;
      if (tokenizer->bos()) with_bos.insert(with_bos.begin(), *tokenizer->bos());
      CHECK(with_bos == entry["ids_with_special"].get<std::vector<std::int32_t>>());
    }
  }
}

TEST_CASE("ids equal those of the reference tokenizer for other components", "[fixtures]") {
  const auto variants = read_json<nlohmann::json>(fixture("variants.json"));
  REQUIRE(variants.size() == 8);
  for (std::size_t i = 0; i < variants.size(); ++i) {
    auto document = read_json<nlohmann::json>(fixture(variants[i]["base"].get<std::string>()) / "tokenizer.json");
    document.update(variants[i]["changes"]);
    if (!text::has_nfc() && !document["normalizer"].is_null()) {
      CHECK_THROWS_WITH(text::read_tokenizer_json("f", document), Catch::Matchers::Contains("NFC"));
      continue;
    }
    const text::ByteLevelTokenizer tokenizer(text::read_tokenizer_json("f", document));
    for (const auto& entry : variants[i]["strings"]) {
      INFO("variant " << i << ": " << entry["text"]);
      CHECK(tokenizer.encode(entry["text"].get<std::string>()) == entry["ids"].get<std::vector<std::int32_t>>());
    }
  }
}

TEST_CASE("the BOS id is the tokenizer's own") {
  CHECK(open_tokenizer(fixture("spm"))->bos() == 1);
  CHECK(open_tokenizer(fixture("spm_llama2"))->bos() == 1);
  CHECK_FALSE(open_tokenizer(fixture("bpe_gpt2"))->bos().has_value());
  CHECK(open_tokenizer(fixture("bpe_llama3"))->bos() == 0);
  CHECK(open_tokenizer(std::filesystem::path(HALFTONE_MODELS) / "novella")->bos() == 1);
}
