// The bodies of stream.hpp, which each backend compiles once.
#pragma once

#include <algorithm>  // min
#include <atomic>
#include <optional>
#include <utility>  // move

#include "halftone/model/stream.hpp"
#include "model/block_operands.hpp"
#include "model/chunk_loader.hpp"
#include "model/chunk_storer.hpp"
#include "model/with_room.hpp"

namespace halftone {
namespace detail {

/// Numbers per token in the slots that ops [first, last) write, `kept` ones excepted.
inline Index scratch_width(const BlockProgram& program, Index first, Index last, const std::vector<int>& kept) {
  Index width = 0;
  std::vector<int> counted = kept;
  for (Index op = first; op < last; ++op) {
    const int slot = operand_written(program.ops[static_cast<std::size_t>(op)]).slot;
    if (contains(counted, slot)) continue;
    counted.push_back(slot);
    width += program.slot_widths[static_cast<std::size_t>(slot)];
  }
  return width;
}

/// Chunks that run side by side, one on each thread: as many as threads if there are enough of them and their scratch
/// is no more than 1 GiB together, else one.
inline Index chunks_at_once(Index chunks, Index chunk_bytes, int threads) {
  constexpr Index most_bytes = Index{1} << 30;
  return chunks >= threads && chunk_bytes <= most_bytes / threads ? threads : 1;
}

/// The linears of ops [first, last) rounded to bfloat16, by their index; empty are the others, and those that the
/// weights hold so.
template <class S, class Backend>
auto rounded_linears(const Context<Backend>& context, const BlockProgram& program,
                     const BlockWeights<S, Backend>& weights, Index first, Index last) {
  std::vector<typename Backend::template Matrix<BFloat16>> halves(program.linears.size());
  if constexpr (may_round<S, Backend>) {
    for (Index op = first; op < last; ++op)
      if (const auto* linear = std::get_if<LinearOp>(&program.ops[static_cast<std::size_t>(op)])) {
        const auto index = static_cast<std::size_t>(linear->linear);
        if (!weights.is_half(index)) halves[index] = rounded_to_bfloat(context, weights.linears[index]);
      }
  }
  return halves;
}

inline std::vector<int> both(std::vector<int> a, const std::vector<int>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// True if an operation of [first, last) writes to the slot.
inline bool written(const BlockProgram& program, Index first, Index last, int slot) {
  for (Index op = first; op < last; ++op)
    if (operand_written(program.ops[static_cast<std::size_t>(op)]).slot == slot) return true;
  return false;
}

/// Threads that can take a chunk each.
template <class Backend>
int chunk_threads(const Context<Backend>& context) {
  if constexpr (std::is_same_v<Backend, Cpu>)
    return context.threads();
  else
    return 1;
}

/// places_taken for streams of this backend. Where a chunk may run out of memory and be run again, its inputs must
/// stay.
template <class Backend>
std::vector<int> stream_places(const BlockProgram& program, Index first, Index last) {
  if constexpr (std::is_same_v<Backend, Cpu>)
    return places_taken(program, first, last);
  else
    return std::vector<int>(program.slot_widths.size(), -1);
}

/// As halftone::stream_bytes, in chunks of any number of windows.
inline Index stream_bytes(const BlockProgram& program, Index tokens, Index length, Index windows, int threads) {
  constexpr Index number = sizeof(float);
  std::vector<Index> stops{0};
  for (const Stage& stage : program.stages) stops.push_back(stage.first_op);
  stops.push_back(program.size());
  const Index chunk = std::min(tokens, windows * length), chunks = (tokens + chunk - 1) / chunk;
  Index most = 0;
  for (std::size_t i = 0; i + 1 < stops.size(); ++i) {
    const auto before = live_slots(program, stops[i]), after = live_slots(program, stops[i + 1]);
    const auto taken = stream_places<Cpu>(program, stops[i], stops[i + 1]);
    Index bytes = 0;
    for (int slot = 0; slot < static_cast<int>(program.slots()); ++slot)
      if (taken[static_cast<std::size_t>(slot)] < 0 && (contains(before, slot) || contains(after, slot)))
        bytes += checked_product(tokens, program.slot_widths[static_cast<std::size_t>(slot)] * number);
    const Index width = scratch_width(program, stops[i], stops[i + 1], both(before, after)) * number;
    const Index scratch = checked_product(chunk, width);
    most = std::max(most, bytes + chunks_at_once(chunks, scratch, threads) * scratch);
  }
  return most;
}

}  // namespace detail

template <class S, class Backend>
Stream<S, Backend>::Stream(const Context<Backend>& context, halftone::Matrix<S> hidden, Index length,
                           const StreamOptions& options)
    : Stream(context, TokenMatrix<S, Backend>(context, std::move(hidden), options.resident), length, options) {}

template <class S, class Backend>
Stream<S, Backend>::Stream(const Context<Backend>& context, TokenMatrix<S, Backend> hidden, Index length,
                           const StreamOptions& options)
    : context_(&context),
      hidden_(std::move(hidden)),
      tokens_(hidden_.rows()),
      length_(length),
      resident_(options.resident),
      products_(options.products) {
  require(length > 0 && tokens_ > 0 && tokens_ % length == 0, Status::ShapeMismatch, "stream: got ", tokens_,
          " tokens, wanted one or more whole windows of ", length);
  windows_at_once_ = options.windows_at_once > 0 ? options.windows_at_once : chunk_windows<Backend>(length);
}

template <class S, class Backend>
void Stream<S, Backend>::enter(const BlockProgram& program) {
  require(program_ == nullptr, Status::InvalidArgument, "stream: entered a block inside another one");
  const auto input = static_cast<std::size_t>(program.input);
  require(hidden_.cols() == program.slot_widths[input], Status::ShapeMismatch, "stream: the hidden state has ",
          hidden_.cols(), " columns, wanted ", program.slot_widths[input]);
  program_ = &program;
  slots_.resize(program.slot_widths.size());
  slots_[input] = std::move(hidden_);
}

template <class S, class Backend>
void Stream<S, Backend>::advance(const BlockWeights<S, Backend>& weights, Index target) {
  require(program_ != nullptr && target >= at_ && target <= program_->size(), Status::InvalidArgument,
          "stream: asked for operation ", target, ", wanted one from ", at_, " on, inside a block");
  require(products_ == ProductType::BFloat16 || weights.halves.empty(), Status::InvalidArgument,
          "stream: of products of floats, got weights in bfloat16");
  const std::vector<int> live = live_slots(*program_, target);
  places_ = detail::stream_places<Backend>(*program_, at_, target);
  release_rows();
  for (int slot : live) {
    auto& matrix = slots_[place(slot)];
    if (matrix.empty()) matrix = allocated(program_->slot_widths[static_cast<std::size_t>(slot)]);
  }
  if (products_ == ProductType::BFloat16)
    run_chunks(weights, rounded(weights, target), target);
  else
    run_chunks(weights, {}, target);
  for (int slot : live)
    if (place(slot) != static_cast<std::size_t>(slot))
      slots_[static_cast<std::size_t>(slot)] = std::move(slots_[place(slot)]);
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (!detail::contains(live, static_cast<int>(i))) slots_[i] = {};
  at_ = target;
  if (target < program_->size()) return;
  hidden_ = std::move(slots_[static_cast<std::size_t>(program_->output)]);
  slots_.clear();
  program_ = nullptr;
  at_ = 0;
}

/// Runs chunks of one stream from one operation to another. Spilled tokens are brought in and taken back.
template <class S, class Backend>
class Stream<S, Backend>::ChunkRunner {
 public:
  ChunkRunner(Stream& stream, const BlockWeights<S, Backend>& weights, Halves halves, Index target)
      : stream_(stream),
        weights_(weights),
        target_(target),
        runner_(*stream.context_, *stream.program_, stream.length_),
        views_(stream.slots_.size()),
        chunk_(stream.slots_.size()),
        loader_(*stream.context_),
        storer_(*stream.context_, stream.slots_.size()) {
    runner_.multiply_halves(halves);
  }

  /// Tokens [first, first + rows); `ahead` is what will be run next, behind them, and may be brought in meanwhile.
  void run(Index first, Index rows, Index ahead = 0) {
    const std::vector<int> live = live_slots(program(), stream_.at_);
    const std::vector<bool> loaded = loader_.take(first, rows, chunk_);
    storer_.begin();
    for (std::size_t i = 0; i < views_.size(); ++i) {
      auto& slot = stream_.slots_[stream_.place(static_cast<int>(i))];
      views_[i] = slot.empty() ? MatrixView<S>() : slot.in_place(first, rows);
      if (slot.empty() || views_[i].data != nullptr) continue;
      if (chunk_[i].rows() < rows) chunk_[i] = stream_.context_->template allocate<S>(rows, slot.cols());
      views_[i] = chunk_[i].view().middle_rows(0, rows);
      if (!loaded[i] && detail::contains(live, static_cast<int>(i))) slot.load(first, 0, views_[i]);
    }
    runner_.run(stream_.at_, target_, weights_, views_);
    if (ahead > 0) loader_.begin(stream_.slots_, live, first + rows, ahead);
    for (int slot : live_slots(program(), target_)) {
      auto& tokens = stream_.slots_[stream_.place(slot)];
      const auto index = static_cast<std::size_t>(slot);
      const bool spilled = tokens.in_place(first, rows).data == nullptr;
      if (!spilled || !detail::written(program(), stream_.at_, target_, slot)) continue;
      const MatrixView<S> host = tokens.spilled(first, rows);
      if (host.data == nullptr || !storer_.put(index, chunk_[index], host)) tokens.store(first, views_[index]);
    }
  }
  /// Until what the chunks have become is where it belongs.
  void finish() { storer_.finish(); }

 private:
  const BlockProgram& program() const { return *stream_.program_; }

  Stream& stream_;
  const BlockWeights<S, Backend>& weights_;
  Index target_;
  BlockRunner<S, Backend> runner_;
  std::vector<MatrixView<S>> views_;  // by slot
  std::vector<Matrix> chunk_;         // by slot, of spilled tokens
  detail::ChunkLoader<S, Backend> loader_;
  detail::ChunkStorer<S, Backend> storer_;
};

template <class S, class Backend>
void Stream<S, Backend>::run_chunks(const BlockWeights<S, Backend>& weights, Halves halves, Index target) {
  const Index chunk = windows_at_once_ * length_, chunks = (tokens_ + chunk - 1) / chunk;
  const auto kept = detail::both(live_slots(*program_, at_), live_slots(*program_, target));
  const Index scratch = detail::scratch_width(*program_, at_, target, kept) * chunk * static_cast<Index>(sizeof(S));
  const Index workers = detail::chunks_at_once(chunks, scratch, detail::chunk_threads(*context_));
  if (workers == 1) return run_one_by_one(weights, halves, target);
  std::atomic<Index> next{0};
  parallel_for(static_cast<int>(workers), workers, [&](Index) {
    ChunkRunner runner(*this, weights, halves, target);
    for (Index c = next++; c < chunks; c = next++) runner.run(c * chunk, std::min(chunk, tokens_ - c * chunk));
  });
}

template <class S, class Backend>
void Stream<S, Backend>::run_one_by_one(const BlockWeights<S, Backend>& weights, Halves halves, Index target) {
  std::optional<ChunkRunner> runner;
  for (Index first = 0; first < tokens_;) {
    const Index chunk = windows_at_once_ * length_, rows = std::min(chunk, tokens_ - first);
    try {
      if (!runner) runner.emplace(*this, weights, halves, target);
      runner->run(first, rows, std::min(chunk, tokens_ - first - rows));
      first += rows;
    } catch (const Error& error) {
      if (error.status() != Status::OutOfMemory) throw;
      if (runner) runner->finish();
      runner.reset();  // with all its memory
      if (windows_at_once_ > 1)
        windows_at_once_ = std::min(windows_at_once_, rows / length_ + 1) / 2;
      else if (!spill())
        throw;
    }
  }
  if (runner) runner->finish();
}

/// What linears on the way to `target` multiply. Where the backend has no memory for it, hidden states make room.
template <class S, class Backend>
auto Stream<S, Backend>::rounded(const BlockWeights<S, Backend>& weights, Index target) -> std::vector<Half> {
  return detail::with_room([&] { return detail::rounded_linears(*context_, *program_, weights, at_, target); },
                           [&] { return spill(); });
}

/// A slot. Where the backend has no memory for it, it and all others are spilled.
template <class S, class Backend>
TokenMatrix<S, Backend> Stream<S, Backend>::allocated(Index width) {
  const auto slot = [&] { return TokenMatrix<S, Backend>(*context_, tokens_, width, resident_); };
  return detail::with_room(slot, [&] {
    const bool some_stay = resident_ > 0;
    if (some_stay) spill();
    return some_stay;
  });
}

template <class S, class Backend>
bool Stream<S, Backend>::spill() {
  release_rows();
  resident_ = 0;
  bool moved = hidden_.spill();
  for (auto& slot : slots_) moved = slot.spill() || moved;
  return moved;
}

template <class S, class Backend>
const TokenMatrix<S, Backend>& Stream<S, Backend>::live(const Operand& operand) const {
  const auto slot = static_cast<std::size_t>(operand.slot);
  require(slot < slots_.size() && !slots_[slot].empty(), Status::InvalidArgument, "stream: slot ", operand.slot,
          " is not live at operation ", at_);
  return slots_[slot];
}

template <class S, class Backend>
MatrixView<const S> Stream<S, Backend>::rows(const Operand& operand, Index first, Index count, Index ahead) {
  const TokenMatrix<S, Backend>& slot = live(operand);
  if (const auto view = slot.in_place(first, count); view.data != nullptr)
    return view.middle_cols(operand.column, operand.width);
  const auto index = static_cast<std::size_t>(operand.slot);
  if (!next_rows_) next_rows_ = std::make_shared<detail::ChunkLoader<S, Backend>>(*context_);
  rows_.resize(slots_.size());
  const bool loaded = next_rows_->take(first, count, rows_)[index];
  if (rows_[index].rows() < count) rows_[index] = context_->template allocate<S>(count, slot.cols());
  const MatrixView<S> whole = rows_[index].view().middle_rows(0, count);
  if (!loaded) slot.load(first, 0, whole);
  if (ahead > 0) next_rows_->begin(slots_, {operand.slot}, first + count, ahead);
  return whole.middle_cols(operand.column, operand.width);
}

template <class S, class Backend>
void Stream<S, Backend>::release_rows() {
  next_rows_.reset();
  rows_.clear();
}

template <class S, class Backend>
MatrixView<const S> Stream<S, Backend>::view(const Operand& operand) const {
  return live(operand).whole().view().middle_cols(operand.column, operand.width);
}

}  // namespace halftone
