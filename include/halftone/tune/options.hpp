// Options of fine-tuning across blocks (arXiv 2411.03934), as the command and the recipe name them:
//   --tune steps=300,nblocks=1,lookahead=1,trainable=latent
#pragma once

#include <string>
#include <string_view>

#include "halftone/tune/optimiser.hpp"
#include "halftone/tune/trainable.hpp"

namespace halftone {

/// What the squared error of each channel is multiplied with.
enum class TuneWeighting : std::int32_t {
  None = 0,  ///< 1, as in the paper
  Gain = 1,  ///< the squared gain of the norm that reads the channel
};
template <>
struct EnumWords<TuneWeighting> {
  static constexpr std::string_view values[] = {"none", "gain"};
};

struct TuneOptions {
  int steps = 0;
  TrainableKind trainable = TrainableKind::Latent;
  OptimiserKind optimiser = OptimiserKind::AdamW;
  RealOrAuto rate = RealOrAuto::chosen();
  double scale_rate = 0.1;
  double margin = 0.1;
  double momentum = 0;
  Decay decay = Decay::Cosine;
  double decay_to = 0;
  int batch = 8;
  int nblocks = 1;
  int step = 0;
  int lookahead = 1;
  TuneWeighting weighting = TuneWeighting::Gain;
  bool outliers = true;
  double held_out = 0.0625;
  int looks = 10;
  std::int64_t seed = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(integer("steps", self.steps, 0, 1000000, "steps of the optimiser at each window of blocks; 0: no tuning"));
    visit(choice("trainable", self.trainable, "what is trained: rounding and ranges, latent codes, a step, or scales"));
    visit(choice("optimiser", self.optimiser, "sign-SGD as in the paper, or AdamW"));
    visit(real_or_auto("rate", self.rate, 0, 1000, "learning rate of latent numbers, in steps of the grid"));
    visit(real("scale_rate", self.scale_rate, 0, 1000, "learning rate of grid parameters, over `rate`"));
    visit(real("margin", self.margin, 0, 0.5, "distance from the edges of its cell that a latent number starts with"));
    visit(real("momentum", self.momentum, 0, 0.999, "of AdamW; β1"));
    visit(choice("decay", self.decay, "how the learning rate falls over the steps"));
    visit(real("decay_to", self.decay_to, 0, 1, "share of the learning rate that is left at the end"));
    visit(integer("batch", self.batch, 1, 1 << 20, "calibration windows of a step"));
    visit(integer("nblocks", self.nblocks, 1, 1 << 20, "blocks that are trained together"));
    visit(integer("step", self.step, 0, 1 << 20, "blocks from one window to the next; 0: nblocks, no overlap"));
    visit(integer("lookahead", self.lookahead, 0, 1 << 20, "unquantised blocks between the window and its loss"));
    visit(choice("weighting", self.weighting, "weight of a channel's squared error"));
    visit(flag("outliers", self.outliers, "train the values of outlier columns too"));
    visit(real("held_out", self.held_out, 0, 0.5, "share of the calibration windows that looks are taken at"));
    visit(integer("looks", self.looks, 0, 100000, "looks at a window's held-out loss; 0: the last step is kept"));
    visit(integer("seed", self.seed, 0, 9007199254740992.0, "of the order of batches"));
  }
};

/// How much time a run may take to tune what its solver found.
enum class Effort : std::int32_t {
  Low = 0,     ///< none: solve and refine
  Medium = 1,  ///< 100 steps a block, against the output of the next
  High = 2,    ///< 150 steps at pairs of blocks that overlap; twice the time of medium
  Max = 3,     ///< 1000 steps at such pairs, against the output of the next block: 16 times medium
};
template <>
struct EnumWords<Effort> {
  static constexpr std::string_view values[] = {"low", "medium", "high", "max"};
};
TuneOptions tuning_of(Effort effort);

/// Steps of a text that names none.
inline constexpr int default_tuning_steps = 200;

/// "steps=300,lookahead=1" as options; what is not named is as in `base`, where no steps are default_tuning_steps.
/// Throws Status::InvalidArgument for an unknown name, a value out of bounds, a name given twice, or what check_tune
/// refuses.
TuneOptions parse_tune(std::string_view text, const TuneOptions& base = {});
/// Every option as parse_tune reads it.
std::string tune_text(const TuneOptions& options);
/// Throws Status::InvalidArgument for options out of bounds, and a step beyond nblocks, which would leave blocks out.
void check_tune(const TuneOptions& options);

/// The optimiser's part. An automatic rate is, of sign-SGD, 1 / steps, and twice that at 3 bits and less from 1000
/// steps, as the public code of SignRound has it; of AdamW 0.005 up to 2 bits and 0.008 above, but no more than takes a
/// latent number 1.5 or 0.8 steps of the grid far in all: what goes further learns the calibration data by heart. steps
/// > 0.
OptimiserOptions optimiser_options(const TuneOptions& options, int bits);
/// The quantiser's part.
TrainableOptions trainable_options(const TuneOptions& options, int minimum_zero);

/// Blocks [first, last) are trained against the stream after block until − 1; then blocks before `settled` are final.
struct TuneWindow {
  Index first = 0, last = 0, until = 0, settled = 0;
  friend bool operator==(const TuneWindow&, const TuneWindow&) = default;
};

/// The windows of a model in their order (arXiv 2411.03934): m = nblocks, s = step, k = lookahead.
///   m = s   [0, m) [m, 2m) ..., the last one perhaps shorter; single blocks, or joint ones
///   s < m   [0, s) [0, 2s) ... [0, m), then [s, s + m) [2s, 2s + m) ... up to the last block: overlapping
/// until = last + k, at most `blocks`.
std::vector<TuneWindow> tune_windows(Index blocks, const TuneOptions& options);

}  // namespace halftone
