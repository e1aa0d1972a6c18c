#include <algorithm>
#include <nlohmann/json.hpp>

#include "format/mapped_file.hpp"
#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "halftone/format/json.hpp"
#include "halftone/text/tokenizer.hpp"
#include "text/byte_level_tokenizer.hpp"
#include "text/sentencepiece_tokenizer.hpp"

namespace halftone {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::size_t largest_model = 256'000'000;  // bytes

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// tokenizer_config.json, where it matters: what begins a document, and which tokens stand for themselves in text.
struct TokenizerConfig {
  std::optional<bool> add_bos;       ///< `add_bos_token`
  bool prefix_space = false;         ///< `add_prefix_space`
  std::string bos;                   ///< `bos_token`, empty where there is none
  std::vector<std::string> special;  ///< this and `eos_token`, `unk_token`, `pad_token`
};

std::optional<bool> flag_of(const std::string& who, const json& config, const char* name) {
  const auto value = config.find(name);
  if (value == config.end() || value->is_null()) return std::nullopt;
  require(value->is_boolean(), Status::InvalidData, who, ": ", name, " is ", value->type_name(),
          ", wanted true or false");
  return value->get<bool>();
}

/// A token is written as text or as an object with the field "content".
std::string token_of(const std::string& who, const json& config, const char* name) {
  const auto value = config.find(name);
  if (value == config.end() || value->is_null()) return {};
  const bool has_content = value->is_object() && value->contains("content");
  const json& content = has_content ? value->at("content") : *value;
  require(content.is_string(), Status::InvalidData, who, ": ", name, " is ", value->type_name(), ", wanted a token");
  return content.get<std::string>();
}

TokenizerConfig read_config(const fs::path& path) {
  TokenizerConfig config;
  if (!fs::exists(path)) return config;
  const json document = read_json<json>(path);
  require(document.is_object(), Status::InvalidData, path.string(), " is ", document.type_name(), ", wanted an object");
  config.add_bos = flag_of(path.string(), document, "add_bos_token");
  config.prefix_space = flag_of(path.string(), document, "add_prefix_space").value_or(false);
  config.bos = token_of(path.string(), document, "bos_token");
  for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token"})
    if (const std::string token = token_of(path.string(), document, name); !token.empty())
      config.special.push_back(token);
  return config;
}

/// A tokenizer.json says itself what begins a text; `add_bos_token` overrules it, as in transformers.
std::unique_ptr<Tokenizer> open_byte_level(const fs::path& path, const json& document, const TokenizerConfig& config) {
  auto tokenizer = std::make_unique<text::ByteLevelTokenizer>(text::read_tokenizer_json(path.string(), document));
  if (config.add_bos == false) tokenizer->set_bos(std::nullopt);
  if (config.add_bos == true && !tokenizer->bos()) {
    const auto id = tokenizer->find(config.bos);
    require(id.has_value(), Status::InvalidData, path.string(), ": tokenizer_config.json asks for the BOS token ",
            in_quotes(config.bos), ", which the vocabulary does not have");
    tokenizer->set_bos(id);
  }
  return tokenizer;
}

/// vocab.json and merges.txt, GPT-2's own files, which OPT has to this day: a tokenizer.json in other words.
std::unique_ptr<Tokenizer> open_vocabulary(const fs::path& vocabulary, const fs::path& merges,
                                           const TokenizerConfig& config) {
  json document;
  document["model"] = {{"type", "BPE"}, {"vocab", read_json<json>(vocabulary)}, {"merges", json::array()}};
  const MappedFile file(merges);
  std::string_view rest = text_of(file);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!line.empty() && line.substr(0, 9) != "#version:") document["model"]["merges"].push_back(std::string(line));
  }
  document["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", config.prefix_space}};
  document["added_tokens"] = json::array();
  for (const std::string& token : config.special)
    if (const auto id = document["model"]["vocab"].find(token); id != document["model"]["vocab"].end())
      document["added_tokens"].push_back({{"content", token}, {"id", *id}});
  return open_byte_level(vocabulary, document, config);
}

std::unique_ptr<Tokenizer> open_model(const fs::path& path, const TokenizerConfig& config) {
  const MappedFile file(path);
  require(file.bytes().size() <= largest_model, Status::InvalidData, path.string(), " has ", file.bytes().size(),
          " bytes, wanted at most ", largest_model);
  auto tokenizer = std::make_unique<text::SentencePieceTokenizer>(path.string(), text_of(file));
  if (config.add_bos == false) tokenizer->set_bos(std::nullopt);
  return tokenizer;
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& directory) {
  const fs::path file = directory / "tokenizer.json", model = directory / "tokenizer.model";
  require(fs::is_directory(directory), Status::NotFound, directory.string(), ": no such folder");
  const TokenizerConfig config = read_config(directory / "tokenizer_config.json");
  const fs::path vocabulary = directory / "vocab.json", merges = directory / "merges.txt";
  if (!fs::exists(file)) {
    if (fs::exists(model)) return open_model(model, config);
    if (fs::exists(vocabulary) && fs::exists(merges)) return open_vocabulary(vocabulary, merges, config);
    fail(Status::NotFound, directory.string(),
         " has no tokenizer: no tokenizer.json, no tokenizer.model, no vocab.json "
         "with merges.txt");
  }
  try {
    return open_byte_level(file, read_json<json>(file), config);
  } catch (const Error& error) {
    // Llama 2 and Mistral ship both; their tokenizer.json is the same SentencePiece model in other words.
    if (error.status() != Status::Unsupported || !fs::exists(model)) throw;
    return open_model(model, config);
  }
}

}  // namespace halftone
