#include "text/pre_tokenizer.hpp"

#include <string>

namespace halftone::text {

PreTokenizer::Pass::Pass(const PreTokenizer& owner) : steps_(owner.steps_) {
  for (const SplitStep& step : steps_) {
    scans_.emplace_back();
    if (step.regex) scans_.back().emplace(*step.regex);
  }
}

void PreTokenizer::Pass::split(std::string_view text, const std::function<void(std::string_view)>& on_word) {
  step(0, text, on_word);
}

void PreTokenizer::Pass::step(std::size_t index, std::string_view piece,
                              const std::function<void(std::string_view)>& on_word) {
  if (piece.empty()) return;
  if (index == steps_.size()) return on_word(piece);
  const SplitStep& now = steps_[index];
  std::string spaced;
  if (now.prefix_space && piece.front() != ' ') {
    spaced.append(" ").append(piece);
    piece = spaced;
  }
  if (!now.regex) return step(index + 1, piece, on_word);
  RegexScan& scan = *scans_[index];
  std::size_t done = 0;
  const auto between = [&](std::size_t last) {
    if (!now.only_matches) step(index + 1, piece.substr(done, last - done), on_word);
  };
  scan.start(piece);
  while (const auto match = scan.next()) {
    between(match->first);
    step(index + 1, piece.substr(match->first, match->last - match->first), on_word);
    done = match->last;
  }
  between(piece.size());
}

}  // namespace halftone::text
