#include "text/byte_pairs.hpp"

#include <queue>

#include "halftone/core/error.hpp"

namespace halftone::text {
namespace {

constexpr std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

/// One token of the word so far, in a doubly linked list over an array. id -1: swallowed by its left neighbour.
struct Symbol {
  std::int32_t id = -1;
  std::ptrdiff_t left = -1, right = -1;
};

/// A merge that was possible when it was queued: the lowest rank first, of those the leftmost.
struct Candidate {
  std::int32_t rank = 0, merged = 0;
  std::ptrdiff_t at = 0;
  bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
};

}  // namespace

BytePairs::BytePairs(std::string who, StringMap<std::int32_t> tokens, const std::vector<Merge>& merges,
                     bool whole_words)
    : who_(std::move(who)), tokens_(std::move(tokens)), whole_words_(whole_words) {
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(static_cast<unsigned char>(byte));
    const auto token = tokens_.find(std::string_view(&c, 1));
    byte_ids_[byte] = token == tokens_.end() ? -1 : token->second;
  }
  rules_.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank)  // of equal pairs the later one counts
    rules_[pair_key(merges[rank].left, merges[rank].right)] = {static_cast<std::int32_t>(rank), merges[rank].merged};
}

const BytePairs::Rule* BytePairs::rule(std::int32_t left, std::int32_t right) const {
  const auto found = rules_.find(pair_key(left, right));
  return found == rules_.end() ? nullptr : &found->second;
}

void BytePairs::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (whole_words_) {
    if (const auto token = tokens_.find(word); token != tokens_.end()) return ids.push_back(token->second);
  }
  const auto size = static_cast<std::ptrdiff_t>(word.size());
  std::vector<Symbol> symbols(word.size());
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<std::size_t>(i)]);
    require(byte_ids_[byte] >= 0, Status::InvalidData, who_, ": the vocabulary has no token for the byte ", int{byte});
    symbols[static_cast<std::size_t>(i)] = {byte_ids_[byte], i - 1, i + 1 < size ? i + 1 : -1};
  }
  const auto symbol = [&](std::ptrdiff_t at) -> Symbol& { return symbols[static_cast<std::size_t>(at)]; };
  std::priority_queue<Candidate> queue;
  const auto consider = [&](std::ptrdiff_t left, std::ptrdiff_t right) {
    if (left < 0 || right < 0) return;
    if (const Rule* found = rule(symbol(left).id, symbol(right).id)) queue.push({found->rank, found->merged, left});
  };
  for (std::ptrdiff_t i = 0; i + 1 < size; ++i) consider(i, i + 1);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbol(best.at);
    if (left.id < 0 || left.right < 0) continue;
    Symbol& right = symbol(left.right);
    const Rule* now = rule(left.id, right.id);  // either may have changed since
    if (now == nullptr || now->merged != best.merged) continue;
    left.id = best.merged;
    left.right = right.right;
    right.id = -1;
    if (left.right >= 0) symbol(left.right).left = best.at;
    consider(left.left, best.at);
    consider(best.at, left.right);
  }
  for (std::ptrdiff_t i = size > 0 ? 0 : -1; i >= 0; i = symbol(i).right) ids.push_back(symbol(i).id);
}

}  // namespace halftone::text
