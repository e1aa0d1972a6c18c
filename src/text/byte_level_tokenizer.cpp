#include "text/byte_level_tokenizer.hpp"

#include <algorithm>

#include "halftone/core/error.hpp"
#include "text/nfc.hpp"
#include "text/utf8.hpp"

namespace halftone::text {
namespace {

/// Added tokens that are looked for in the normalised text are normalised themselves.
std::vector<AddedToken> select(const ByteLevelParts& parts, bool normalized) {
  std::vector<AddedToken> chosen;
  for (const AddedToken& token : parts.added) {
    if (token.normalized != normalized) continue;
    chosen.push_back(token);
    if (normalized && parts.nfc) chosen.back().content = nfc(token.content);
  }
  return chosen;
}

/// Byte pairs of words, with the words that a text repeats kept: most of them.
class WordCache {
 public:
  explicit WordCache(const BytePairs& pairs) : pairs_(pairs) {}

  void encode(std::string_view word, std::vector<std::int32_t>& ids) {
    if (word.size() > longest) return pairs_.encode(word, ids);
    auto known = words_.find(word);
    if (known == words_.end()) {
      if (words_.size() >= most) words_.clear();
      std::vector<std::int32_t> own;
      pairs_.encode(word, own);
      known = words_.emplace(std::string(word), std::move(own)).first;
    }
    ids.insert(ids.end(), known->second.begin(), known->second.end());
  }

 private:
  static constexpr std::size_t longest = 64, most = 1 << 16;
  const BytePairs& pairs_;
  StringMap<std::vector<std::int32_t>> words_;
};

}  // namespace

ByteLevelTokenizer::ByteLevelTokenizer(ByteLevelParts parts)
    : who_(parts.who),
      bytes_(std::move(parts.bytes)),
      pairs_(parts.who, std::move(parts.tokens), parts.merges, parts.whole_words),
      original_(select(parts, false)),
      normalised_(select(parts, true)),
      nfc_(parts.nfc),
      words_(std::move(parts.splits)),
      bos_(parts.bos) {
  for (const auto& entry : bytes_) vocabulary_ = std::max(vocabulary_, entry.first + 1);
}

std::vector<std::int32_t> ByteLevelTokenizer::encode(std::string_view text) const {
  require_utf8(who_, text);
  std::vector<std::int32_t> ids;
  WordCache cache(pairs_);
  PreTokenizer::Pass words(words_);
  const auto on_token = [&](std::int32_t id) { ids.push_back(id); };
  const auto on_word = [&](std::string_view word) { cache.encode(word, ids); };
  const auto on_normal_text = [&](std::string_view piece) { words.split(piece, on_word); };
  const auto on_text = [&](std::string_view piece) {
    if (nfc_)
      normalised_.split(nfc(piece), on_normal_text, on_token);
    else
      normalised_.split(piece, on_normal_text, on_token);
  };
  original_.split(text, on_text, on_token);
  return ids;
}

std::string ByteLevelTokenizer::decode(const std::vector<std::int32_t>& ids) const {
  std::string bytes;
  for (const std::int32_t id : ids) {
    const auto token = bytes_.find(id);
    require(token != bytes_.end(), Status::InvalidArgument, who_, ": there is no token ", id);
    bytes += token->second;
  }
  return replace_invalid_utf8(bytes);
}

std::optional<std::int32_t> ByteLevelTokenizer::find(std::string_view token) const {
  for (const auto& [id, bytes] : bytes_)
    if (bytes == token) return id;
  return std::nullopt;
}

}  // namespace halftone::text
