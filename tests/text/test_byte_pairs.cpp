#include "text/byte_pairs.hpp"

#include <catch2/catch.hpp>

#include "halftone/core/random.hpp"

using namespace halftone;
using namespace halftone::text;

namespace {

/// Byte-pair encoding as the paper says it: join the pair of lowest rank, leftmost first, until none is left.
std::vector<std::int32_t> naive(std::vector<std::int32_t> ids, const std::vector<Merge>& merges) {
  for (;;) {
    std::size_t best = merges.size(), at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      for (std::size_t rank = 0; rank < best; ++rank)
        if (merges[rank].left == ids[i] && merges[rank].right == ids[i + 1]) best = rank, at = i;
    if (best == merges.size()) return ids;
    ids[at] = merges[best].merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

}  // namespace

TEST_CASE("merging with a queue gives what the paper's loop gives") {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    StringMap<std::int32_t> tokens{{"a", 0}, {"b", 1}, {"c", 2}};
    std::vector<std::string> texts{"a", "b", "c"};
    std::vector<Merge> merges;
    for (int i = 0; i < 20; ++i) {
      const auto left = static_cast<std::int32_t>(random.below(texts.size()));
      const auto right = static_cast<std::int32_t>(random.below(texts.size()));
      const std::string merged = texts[static_cast<std::size_t>(left)] + texts[static_cast<std::size_t>(right)];
      if (merged.size() > 12 || tokens.count(merged)) continue;
      merges.push_back({left, right, static_cast<std::int32_t>(texts.size())});
      tokens.emplace(merged, merges.back().merged);
      texts.push_back(merged);
    }
    const BytePairs pairs("test", tokens, merges, false);
    for (int word = 0; word < 20; ++word) {
      std::string text;
      std::vector<std::int32_t> ids, got;
      for (std::uint64_t i = 0, n = random.below(40); i < n; ++i) {
        ids.push_back(static_cast<std::int32_t>(random.below(3)));
        text += static_cast<char>('a' + ids.back());
      }
      pairs.encode(text, got);
      REQUIRE(got == naive(ids, merges));
    }
  }
}

TEST_CASE("a very long word does not take quadratic time") {
  StringMap<std::int32_t> tokens{{"a", 0}};
  std::vector<Merge> merges;
  for (std::int32_t i = 0; i < 10; ++i) {
    tokens.emplace(std::string(std::size_t{2} << i, 'a'), i + 1);
    merges.push_back({i, i, i + 1});
  }
  std::vector<std::int32_t> ids;
  BytePairs("test", tokens, merges, false).encode(std::string(1 << 18, 'a'), ids);
  CHECK(ids == std::vector<std::int32_t>(1 << 8, 10));
}

TEST_CASE("a word that is a token is that token where merges are ignored") {
  const StringMap<std::int32_t> tokens{{"a", 0}, {"b", 1}, {"ab", 2}};
  std::vector<std::int32_t> ids;
  BytePairs("test", tokens, {}, false).encode("ab", ids);
  CHECK(ids == std::vector<std::int32_t>{0, 1});
  BytePairs("test", tokens, {}, true).encode("ab", ids);
  CHECK(ids == std::vector<std::int32_t>{0, 1, 2});
}
