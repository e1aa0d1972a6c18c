#include "halftone/model/stream.hpp"

#include <algorithm>  // find, min
#include <utility>    // move

namespace halftone {
namespace {

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
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
  BlockRunner<S, Backend> runner(*context_, *program_, length_);
  std::vector<MatrixView<S>> views(slots_.size());
  for (Index first = 0; first < tokens_; first += windows_at_once_ * length_) {
    const Index rows = std::min(windows_at_once_ * length_, tokens_ - first);
    for (std::size_t i = 0; i < slots_.size(); ++i)
      views[i] = slots_[i].empty() ? MatrixView<S>() : slots_[i].view().middle_rows(first, rows);
    runner.run(at_, target, weights, views);
  }
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
MatrixView<const S> Stream<S, Backend>::view(const Operand& operand) const {
  const auto slot = static_cast<std::size_t>(operand.slot);
  require(slot < slots_.size() && !slots_[slot].empty(), Status::InvalidArgument, "stream: slot ", operand.slot,
          " is not live at operation ", at_);
  return slots_[slot].view().middle_cols(operand.column, operand.width);
}

template class Stream<float, Cpu>;
template class Stream<double, Cpu>;

Index stream_bytes(const BlockProgram& program, Index tokens, Index length, Index element_bytes) {
  std::vector<Index> stops{0};
  for (const Stage& stage : program.stages) stops.push_back(stage.first_op);
  stops.push_back(program.size());
  const Index chunk = std::min(tokens, chunk_windows(length) * length);
  Index most = 0;
  for (std::size_t i = 0; i + 1 < stops.size(); ++i) {
    const std::vector<int> before = live_slots(program, stops[i]), after = live_slots(program, stops[i + 1]);
    Index bytes = 0;
    for (int slot = 0; slot < static_cast<int>(program.slots()); ++slot) {
      const Index width = program.slot_widths[static_cast<std::size_t>(slot)] * element_bytes;
      bool touched = false;
      for (Index op = stops[i]; op < stops[i + 1]; ++op)
        touched = touched || operand_written(program.ops[static_cast<std::size_t>(op)]).slot == slot;
      if (contains(before, slot) || contains(after, slot))
        bytes += checked_product(tokens, width);
      else if (touched)
        bytes += checked_product(chunk, width);
    }
    most = std::max(most, bytes);
  }
  return most;
}

}  // namespace halftone
