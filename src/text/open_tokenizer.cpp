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

/// The two fields of tokenizer_config.json that decide what begins a document.
struct BosConfig {
  std::optional<bool> add;  ///< `add_bos_token`
  std::string token;        ///< `bos_token`, empty where there is none
};

BosConfig read_bos_config(const fs::path& path) {
  BosConfig config;
  if (!fs::exists(path)) return config;
  const json document = read_json<json>(path);
  require(document.is_object(), Status::InvalidData, path.string(), " is ", document.type_name(), ", wanted an object");
  if (const auto add = document.find("add_bos_token"); add != document.end() && !add->is_null()) {
    require(add->is_boolean(), Status::InvalidData, path.string(), ": add_bos_token is ", add->type_name(),
            ", wanted true or false");
    config.add = add->get<bool>();
  }
  if (auto token = document.find("bos_token"); token != document.end() && !token->is_null()) {
    const json& content = token->is_object() && token->contains("content") ? (*token)["content"] : *token;
    require(content.is_string(), Status::InvalidData, path.string(), ": bos_token is ", content.type_name(),
            ", wanted text");
    config.token = content.get<std::string>();
  }
  return config;
}

std::unique_ptr<Tokenizer> open_json(const fs::path& path, const BosConfig& config) {
  auto tokenizer =
      std::make_unique<text::ByteLevelTokenizer>(text::read_tokenizer_json(path.string(), read_json<json>(path)));
  if (config.add == false) tokenizer->set_bos(std::nullopt);
  if (config.add == true && !tokenizer->bos()) {
    const auto id = tokenizer->find(config.token);
    require(id.has_value(), Status::InvalidData, path.string(), ": tokenizer_config.json asks for the BOS token ",
            in_quotes(config.token), ", which the vocabulary does not have");
    tokenizer->set_bos(id);
  }
  return tokenizer;
}

std::unique_ptr<Tokenizer> open_model(const fs::path& path, const BosConfig& config) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  require(bytes.size() <= largest_model, Status::InvalidData, path.string(), " has ", bytes.size(),
          " bytes, wanted at most ", largest_model);
  auto tokenizer = std::make_unique<text::SentencePieceTokenizer>(
      path.string(), std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (config.add == false) tokenizer->set_bos(std::nullopt);
  return tokenizer;
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& directory) {
  const fs::path file = directory / "tokenizer.json", model = directory / "tokenizer.model";
  require(fs::is_directory(directory), Status::NotFound, directory.string(), ": no such folder");
  const BosConfig config = read_bos_config(directory / "tokenizer_config.json");
  if (!fs::exists(file)) {
    if (fs::exists(model)) return open_model(model, config);
    require(!fs::exists(directory / "vocab.json"), Status::Unsupported, directory.string(),
            " has a tokenizer of vocab.json and merges.txt, wanted tokenizer.json or tokenizer.model");
    fail(Status::NotFound, directory.string(), " has no tokenizer.json and no tokenizer.model");
  }
  try {
    return open_json(file, config);
  } catch (const Error& error) {
    // Llama 2 and Mistral ship both; their tokenizer.json is the same SentencePiece model in other words.
    if (error.status() != Status::Unsupported || !fs::exists(model)) throw;
    return open_model(model, config);
  }
}

}  // namespace halftone
