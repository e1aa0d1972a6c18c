// tokenizer.json of Hugging Face's tokenizers, as far as byte-level BPE needs it. A component, behaviour or field that
// is not known here is refused by name, because ignoring it would give other ids.
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>

#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "text/byte_alphabet.hpp"
#include "text/byte_level_tokenizer.hpp"
#include "text/nfc.hpp"

namespace halftone::text {
namespace {

using nlohmann::json;

/// One object of the file, with its path for messages: "model.merges".
class Node {
 public:
  Node(std::string who, const json& value) : who_(std::move(who)), json_(value) {
    require(value.is_object(), Status::InvalidData, who_, " is ", value.type_name(), ", wanted an object");
  }

  const std::string& who() const { return who_; }
  bool has(const char* name) const { return json_.contains(name) && !json_.at(name).is_null(); }
  const json& at(const char* name) const {
    const auto found = json_.find(name);
    require(found != json_.end(), Status::InvalidData, who_, " has no '", name, "'");
    return *found;
  }
  Node child(const char* name) const { return {who_ + "." + name, at(name)}; }
  bool flag(const char* name) const {
    require(at(name).is_boolean(), Status::InvalidData, who_, ".", name, " is ", at(name).type_name(),
            ", wanted true or false");
    return at(name).get<bool>();
  }
  bool flag(const char* name, bool absent) const { return has(name) ? flag(name) : absent; }
  const std::string& text(const char* name) const {
    require(at(name).is_string(), Status::InvalidData, who_, ".", name, " is ", at(name).type_name(), ", wanted text");
    return at(name).get_ref<const std::string&>();
  }
  const json& list(const char* name) const {
    require(at(name).is_array(), Status::InvalidData, who_, ".", name, " is ", at(name).type_name(), ", wanted a list");
    return at(name);
  }
  /// Every field must be one of these.
  void only(std::initializer_list<std::string_view> names) const {
    for (const auto& item : json_.items()) {
      bool known = false;
      for (const std::string_view name : names) known = known || item.key() == name;
      require(known, Status::Unsupported, who_, " has the field ", in_quotes(item.key()), ", which is not read here");
    }
  }
  /// A field that would change the ids must be absent, null, false, 0 or "".
  void off(const char* name) const {
    if (!has(name)) return;
    const json& value = at(name);
    require(value == false || value == 0 || value == json(""), Status::Unsupported, who_, ".", name, " is ",
            shortened(value.dump()), ", which is not done here");
  }

 private:
  std::string who_;
  const json& json_;
};

[[noreturn]] void refuse(const Node& node, std::string_view kind, const std::string& type) {
  fail(Status::Unsupported, node.who(), ": the ", kind, " ", in_quotes(type), " is not done here");
}

std::int32_t token_id(std::string_view who, std::string_view name, const json& value) {
  const bool fits = value.is_number_integer() && value >= 0 && value < std::numeric_limits<std::int32_t>::max();
  if (!fits)
    fail(Status::InvalidData, who, "[", in_quotes(name), "] is ", shortened(value.dump()),
         ", wanted an id, 0 .. 2^31-2");
  return value.get<std::int32_t>();
}

/// "a b" or ["a", "b"].
std::pair<std::string, std::string> merge_words(std::string_view who, std::size_t index, const json& merge) {
  if (merge.is_string()) {
    const auto& both = merge.get_ref<const std::string&>();
    const std::size_t space = both.find(' ');
    if (space != std::string::npos && both.find(' ', space + 1) == std::string::npos)
      return {both.substr(0, space), both.substr(space + 1)};
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  fail(Status::InvalidData, who, ".merges[", index, "] is ", shortened(merge.dump()),
       ", wanted \"a b\" or [\"a\", \"b\"]");
}

void read_model(const Node& model, ByteLevelParts& parts) {
  if (model.has("type") && model.text("type") != "BPE") refuse(model, "model", model.text("type"));
  model.only({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
              "byte_fallback", "ignore_merges", "vocab", "merges"});
  for (const char* name : {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"})
    model.off(name);  // unk_token and fuse_unk never matter: a byte without a token is an error
  parts.whole_words = model.flag("ignore_merges", false);

  const Node vocabulary = model.child("vocab");
  StringMap<std::int32_t> by_text;
  for (const auto& [token, value] : model.at("vocab").items()) {
    const std::int32_t id = token_id(vocabulary.who(), token, value);
    by_text.emplace(token, id);
    const auto bytes = bytes_of_token(token);
    if (bytes && !bytes->empty()) parts.tokens.emplace(*bytes, id);
    require(parts.bytes.emplace(id, bytes.value_or(token)).second, Status::InvalidData, vocabulary.who(),
            ": two tokens have the id ", id);
  }
  const json& merges = model.list("merges");
  require(merges.size() <= std::size_t{std::numeric_limits<std::int32_t>::max()}, Status::InvalidData, model.who(),
          ".merges has ", merges.size(), " entries");
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = merge_words(model.who(), i, merges[i]);
    const auto id = [&](const std::string& token) {
      const auto found = by_text.find(token);
      if (found == by_text.end())
        fail(Status::InvalidData, model.who(), ".merges[", i, "]: ", in_quotes(token), " is not in the vocabulary");
      return found->second;
    };
    parts.merges.push_back({id(left), id(right), id(left + right)});
  }
}

void read_added_tokens(const Node& file, ByteLevelParts& parts) {
  if (!file.has("added_tokens")) return;
  for (const json& entry : file.list("added_tokens")) {
    const Node node(file.who() + ".added_tokens[" + std::to_string(parts.added.size()) + "]", entry);
    node.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token{.content = node.text("content"), .id = token_id(node.who(), "id", node.at("id"))};
    token.single_word = node.flag("single_word", false);
    token.lstrip = node.flag("lstrip", false);
    token.rstrip = node.flag("rstrip", false);
    token.normalized = node.flag("normalized", false);
    parts.bytes[token.id] = token.content;
    parts.added.push_back(std::move(token));
  }
}

void read_normalizer(const Node& node, ByteLevelParts& parts) {
  const std::string& type = node.text("type");
  if (type == "Sequence") {
    node.only({"type", "normalizers"});
    for (const json& entry : node.list("normalizers")) {
      const Node step(node.who() + ".normalizers", entry);
      if (step.text("type") != "NFC") refuse(step, "normalizer", step.text("type"));
      read_normalizer(step, parts);
    }
  } else if (type == "NFC") {
    node.only({"type"});
    require(has_nfc(), Status::Unsupported, node.who(), ": the normalizer 'NFC' needs a build of Halftone with ICU");
    parts.nfc = true;
  } else {
    refuse(node, "normalizer", type);
  }
}

SplitStep read_split(const Node& node) {
  node.only({"type", "pattern", "behavior", "invert"});
  const Node pattern = node.child("pattern");
  pattern.only({"Regex"});
  const std::string& behavior = node.text("behavior");
  const bool invert = node.flag("invert");
  const bool isolated = behavior == "Isolated" && !invert;  // matches and what is between them are pieces
  const bool removed = behavior == "Removed" && invert;     // matches are pieces, the rest goes
  if (!isolated && !removed) refuse(node, "split behavior", behavior + (invert ? ", inverted" : ""));
  return {.prefix_space = false, .regex = Regex(node.who(), pattern.text("Regex")), .only_matches = removed};
}

/// Whether a ByteLevel was among the steps: without one the words are not bytes.
bool read_pre_tokenizer(const Node& node, ByteLevelParts& parts, int depth = 0) {
  const std::string& type = node.text("type");
  if (type == "Sequence") {
    node.only({"type", "pretokenizers"});
    require(depth < 4, Status::InvalidData, node.who(), " is nested too deeply");
    bool bytes = false;
    for (const json& entry : node.list("pretokenizers")) {
      require(!bytes, Status::Unsupported, node.who(), ": 'ByteLevel' is not the last step");
      bytes = read_pre_tokenizer(Node(node.who() + ".pretokenizers", entry), parts, depth + 1);
    }
    return bytes;
  }
  require(parts.splits.size() < 32, Status::InvalidData, node.who(), " has more than 32 steps");
  if (type == "Split") {
    parts.splits.push_back(read_split(node));
    return false;
  }
  if (type != "ByteLevel") refuse(node, "pre-tokenizer", type);
  node.only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  SplitStep step;
  step.prefix_space = node.flag("add_prefix_space");
  if (node.flag("use_regex", true)) step.regex.emplace(node.who(), gpt2_split);
  parts.splits.push_back(std::move(step));
  return true;
}

/// BOS is the special token that a template for one text puts in front of it. Tokens behind the text are for the end of
/// a conversation or a pair and do not belong to documents that are joined.
void read_template(const Node& node, ByteLevelParts& parts) {
  node.only({"type", "single", "pair", "special_tokens"});
  for (const json& entry : node.list("single")) {
    const Node part(node.who() + ".single", entry);
    if (part.has("Sequence")) return;
    const std::string& name = part.child("SpecialToken").text("id");
    const Node token = node.child("special_tokens").child(name.c_str());
    for (const json& id : token.list("ids")) {
      require(!parts.bos, Status::Unsupported, node.who(), " puts more than one token in front of a text");
      parts.bos = token_id(token.who(), "ids", id);
      require(parts.bytes.count(*parts.bos) == 1, Status::InvalidData, token.who(), ".ids: there is no token ",
              *parts.bos);
    }
  }
  fail(Status::InvalidData, node.who(), ".single has no place for the text");
}

void read_post_processor(const Node& node, ByteLevelParts& parts) {
  const std::string& type = node.text("type");
  if (type == "Sequence") {
    node.only({"type", "processors"});
    for (const json& entry : node.list("processors")) {
      const Node step(node.who() + ".processors", entry);
      if (step.text("type") == "Sequence") refuse(step, "nested post-processor", "Sequence");
      read_post_processor(step, parts);
    }
  } else if (type == "TemplateProcessing") {
    read_template(node, parts);
  } else if (type != "ByteLevel") {  // ByteLevel moves offsets, not ids
    refuse(node, "post-processor", type);
  }
}

}  // namespace

ByteLevelParts read_tokenizer_json(std::string_view who, const json& document) {
  const Node file{std::string(who), document};
  // truncation and padding are settings of the saving program, which transformers sets anew at every call.
  file.only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
             "decoder", "model"});
  if (file.has("version"))
    require(file.text("version") == "1.0", Status::Unsupported, who, ": the version is '", file.text("version"),
            "', wanted '1.0'");
  ByteLevelParts parts;
  parts.who = std::string(who);
  if (file.has("normalizer")) read_normalizer(file.child("normalizer"), parts);
  require(file.has("pre_tokenizer") && read_pre_tokenizer(file.child("pre_tokenizer"), parts), Status::Unsupported, who,
          ": the pre-tokenizer has no 'ByteLevel'; only byte-level BPE is read from a tokenizer.json");
  read_model(file.child("model"), parts);
  read_added_tokens(file, parts);
  if (file.has("post_processor")) read_post_processor(file.child("post_processor"), parts);
  if (file.has("decoder") && file.child("decoder").text("type") != "ByteLevel")
    refuse(file.child("decoder"), "decoder", file.child("decoder").text("type"));
  return parts;
}

}  // namespace halftone::text
