#include "halftone/model/stream.hpp"

#include <algorithm>  // find, min
#include <atomic>
#include <utility>  // move

namespace halftone {
namespace {

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// Numbers per token in the slots that ops [first, last) write, `kept` ones excepted.
Index scratch_width(const BlockProgram& program, Index first, Index last, const std::vector<int>& kept) {
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
Index chunks_at_once(Index chunks, Index chunk_bytes, int threads) {
  constexpr Index most_bytes = Index{1} << 30;
  return chunks >= threads && chunk_bytes <= most_bytes / threads ? threads : 1;
}

std::vector<int> both(std::vector<int> a, const std::vector<int>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

template <class S, class Backend>
Stream<S, Backend>::Stream(const Context<Backend>& context, Matrix hidden, Index length, Index windows_at_once)
    : context_(&context), hidden_(std::move(hidden)), tokens_(hidden_.rows()), length_(length) {
  require(length > 0 && tokens_ > 0 && tokens_ % length == 0, Status::ShapeMismatch, "stream: got ", tokens_,
          " tokens, wanted one or more whole windows of ", length);
  windows_at_once_ = windows_at_once > 0 ? windows_at_once : chunk_windows(length);
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
  const std::vector<int> live = live_slots(*program_, target);
  for (int slot : live) {
    auto& matrix = slots_[static_cast<std::size_t>(slot)];
    if (matrix.empty())
      matrix = context_->template allocate<S>(tokens_, program_->slot_widths[static_cast<std::size_t>(slot)]);
  }
  run_chunks(weights, target);
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (!contains(live, static_cast<int>(i))) slots_[i] = Matrix();
  at_ = target;
  if (target < program_->size()) return;
  hidden_ = std::move(slots_[static_cast<std::size_t>(program_->output)]);
  slots_.clear();
  program_ = nullptr;
  at_ = 0;
}

template <class S, class Backend>
void Stream<S, Backend>::run_chunks(const BlockWeights<S, Backend>& weights, Index target) {
  const Index chunk = windows_at_once_ * length_, chunks = (tokens_ + chunk - 1) / chunk;
  const auto kept = both(live_slots(*program_, at_), live_slots(*program_, target));
  const Index scratch = scratch_width(*program_, at_, target, kept) * chunk * static_cast<Index>(sizeof(S));
  const Index workers = chunks_at_once(chunks, scratch, context_->threads());
  std::atomic<Index> next{0};
  const auto work = [&](Index) {
    BlockRunner<S, Backend> runner(*context_, *program_, length_);
    std::vector<MatrixView<S>> views(slots_.size());
    for (Index c = next++; c < chunks; c = next++) {
      const Index first = c * chunk, rows = std::min(chunk, tokens_ - first);
      for (std::size_t i = 0; i < slots_.size(); ++i)
        views[i] = slots_[i].empty() ? MatrixView<S>() : slots_[i].view().middle_rows(first, rows);
      runner.run(at_, target, weights, views);
    }
  };
  if (workers == 1)
    work(0);
  else
    parallel_for(static_cast<int>(workers), workers, work);
}

template <class S, class Backend>
MatrixView<const S> Stream<S, Backend>::view(const Operand& operand) const {
  const auto slot = static_cast<std::size_t>(operand.slot);
  require(slot < slots_.size() && !slots_[slot].empty(), Status::InvalidArgument, "stream: slot ", operand.slot,
          " is not live at operation ", at_);
  return slots_[slot].view().middle_cols(operand.column, operand.width);
}

template class Stream<float, Cpu>;
template class Stream<double, Cpu>;

Index stream_bytes(const BlockProgram& program, Index tokens, Index length, int threads) {
  constexpr Index number = sizeof(float);
  std::vector<Index> stops{0};
  for (const Stage& stage : program.stages) stops.push_back(stage.first_op);
  stops.push_back(program.size());
  const Index chunk = std::min(tokens, chunk_windows(length) * length), chunks = (tokens + chunk - 1) / chunk;
  Index most = 0;
  for (std::size_t i = 0; i + 1 < stops.size(); ++i) {
    const auto before = live_slots(program, stops[i]), after = live_slots(program, stops[i + 1]);
    Index bytes = 0;
    for (int slot = 0; slot < static_cast<int>(program.slots()); ++slot)
      if (contains(before, slot) || contains(after, slot))
        bytes += checked_product(tokens, program.slot_widths[static_cast<std::size_t>(slot)] * number);
    const Index width = scratch_width(program, stops[i], stops[i + 1], both(before, after)) * number;
    const Index scratch = checked_product(chunk, width);
    most = std::max(most, bytes + chunks_at_once(chunks, scratch, threads) * scratch);
  }
  return most;
}

}  // namespace halftone
