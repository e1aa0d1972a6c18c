#include "halftone/tune/options.hpp"

#include <algorithm>  // find, min
#include <vector>

namespace halftone {

namespace {

constexpr const char* who = "tune";

std::string option_names() {
  std::string names;
  for (const OptionInfo& option : describe_options<TuneOptions>()) names += (names.empty() ? "" : ", ") + option.name;
  return names;
}

Index stride_of(const TuneOptions& options) { return options.step == 0 ? options.nblocks : options.step; }

}  // namespace

void check_tune(const TuneOptions& options) {
  validate_options(who, options);
  require(options.step <= options.nblocks, Status::InvalidArgument, who, ": option 'step' is ", options.step,
          ", wanted 0 .. nblocks, ", options.nblocks);
}

TuneOptions tuning_of(Effort effort) {
  TuneOptions options;
  constexpr int steps[] = {0, 100, 150, 1000};
  options.steps = steps[static_cast<int>(effort)];
  if (effort >= Effort::High) {
    options.nblocks = 2;
    options.step = 1;
  }
  if (effort == Effort::High) options.lookahead = 0;
  return options;
}

TuneOptions parse_tune(std::string_view text, const TuneOptions& base) {
  TuneOptions options = base;
  if (options.steps == 0) options.steps = default_tuning_steps;
  std::vector<std::string_view> seen;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find(','));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const std::size_t equals = pair.find('=');
    require(equals != std::string_view::npos, Status::InvalidArgument, who, ": '", pair, "', wanted name=value");
    const std::string_view name = pair.substr(0, equals);
    require(std::find(seen.begin(), seen.end(), name) == seen.end(), Status::InvalidArgument, who, ": option '", name,
            "' is given twice");
    seen.push_back(name);
    require(set_option(who, options, name, pair.substr(equals + 1)), Status::InvalidArgument, who,
            ": there is no option '", name, "', wanted one of ", option_names());
  }
  check_tune(options);
  return options;
}

std::string tune_text(const TuneOptions& options) {
  std::string text;
  TuneOptions::fields(options, [&](const auto& field) {
    text += concat(text.empty() ? "" : ",", field.name, "=", *option_text(options, field.name));
  });
  return text;
}

OptimiserOptions optimiser_options(const TuneOptions& options, int bits) {
  OptimiserOptions optimiser;
  optimiser.kind = options.optimiser;
  optimiser.beta1 = options.momentum;
  optimiser.decay = options.decay;
  optimiser.decay_to = options.decay_to;
  optimiser.steps = options.steps;
  if (!options.rate.automatic)
    optimiser.rate = options.rate.value;
  else if (options.optimiser == OptimiserKind::SignSgd)
    optimiser.rate = (bits <= 3 && options.steps >= 1000 ? 2.0 : 1.0) / options.steps;
  else
    optimiser.rate = bits <= 2 ? std::min(0.005, 1.5 / options.steps) : std::min(0.008, 0.8 / options.steps);
  return optimiser;
}

TrainableOptions trainable_options(const TuneOptions& options, int minimum_zero) {
  return {options.trainable, options.scale_rate, options.margin, options.outliers, minimum_zero};
}

std::vector<TuneWindow> tune_windows(Index blocks, const TuneOptions& options) {
  check_tune(options);
  const Index together = options.nblocks, stride = stride_of(options);
  std::vector<TuneWindow> windows;
  const auto add = [&](Index first, Index last) {
    last = std::min(last, blocks);
    windows.push_back({first, last, std::min(last + options.lookahead, blocks), blocks});
  };
  for (Index last = stride; last < std::min(together, blocks); last += stride) add(0, last);
  for (Index first = 0; first < blocks; first += stride) add(first, first + together);
  for (std::size_t i = 0; i + 1 < windows.size(); ++i) windows[i].settled = windows[i + 1].first;
  return windows;
}

}  // namespace halftone
