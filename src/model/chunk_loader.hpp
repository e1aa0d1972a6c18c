// The next chunk of a stream whose tokens are in host memory, on its way to a backend that computes the present one.
#pragma once

#include <future>
#include <optional>
#include <vector>

#include "halftone/backend/copier.hpp"
#include "halftone/model/token_matrix.hpp"
#include "model/with_room.hpp"

namespace halftone::detail {

template <class S, class Backend>
class ChunkLoader {
 public:
  using Matrix = typename Backend::template Matrix<S>;

  /// The context must outlive it.
  explicit ChunkLoader(const Context<Backend>& context) : context_(&context) {}

  /// Begins to bring rows [first, first + rows) of the `wanted` slots, of those that are in host memory. What take()
  /// gave before the last time must be done with. Where the backend has no memory left it brings none.
  void begin(const std::vector<TokenMatrix<S, Backend>>& slots, const std::vector<int>& wanted, Index first,
             Index rows) {
    pieces_.clear();
    if (short_of_memory_) return;
    next_.resize(slots.size());
    for (const int wanted_slot : wanted) {
      const auto slot = static_cast<std::size_t>(wanted_slot);
      const MatrixView<const S> host = slots[slot].spilled(first, rows);
      if (host.data == nullptr) continue;
      if (!make_room(next_[slot], rows, host.cols)) return;
      pieces_.push_back({slot, host, next_[slot].view().middle_rows(0, rows)});
    }
    if (pieces_.empty()) return;
    if (!copier_) copier_.emplace(*context_);
    first_ = first;
    arriving_ = std::async(std::launch::async, [this] {
      for (const Piece& piece : pieces_) copier_->template upload_pinned<S>(piece.host, piece.there);
    });
  }

  /// Puts what was begun for rows [first, first + rows) in the place of `chunk`, by slot, and says which slots these
  /// are. Waits until they are there, and for all that is queued.
  std::vector<bool> take(Index first, Index rows, std::vector<Matrix>& chunk) {
    std::vector<bool> taken(chunk.size());
    if (!arriving_.valid()) return taken;
    arriving_.get();
    if (first != first_ || pieces_.empty() || pieces_.front().there.rows < rows) return taken;
    context_->synchronize();  // what is in `chunk` now is written over next
    for (const Piece& piece : pieces_) {
      chunk[piece.slot].swap(next_[piece.slot]);
      taken[piece.slot] = true;
    }
    return taken;
  }

 private:
  struct Piece {
    std::size_t slot;
    MatrixView<const S> host;
    MatrixView<S> there;
  };

  bool make_room(Matrix& matrix, Index rows, Index cols) {
    if (matrix.rows() >= rows) return true;
    if (allocate_if_room<S>(*context_, rows, cols, matrix)) {
      context_->synchronize();  // what is queued may still use this memory, which its owner has given back
      return true;
    }
    pieces_.clear();
    next_.clear();
    short_of_memory_ = true;
    return false;
  }

  const Context<Backend>* context_;
  std::optional<Copier<Backend>> copier_;
  std::vector<Matrix> next_;  // by slot
  std::vector<Piece> pieces_;
  Index first_ = 0;
  bool short_of_memory_ = false;
  std::future<void> arriving_;  // last: it waits, and its thread uses what is above
};

/// On the CPU nothing is elsewhere.
template <class S>
class ChunkLoader<S, Cpu> {
 public:
  explicit ChunkLoader(const Context<Cpu>&) {}
  void begin(const std::vector<TokenMatrix<S, Cpu>>&, const std::vector<int>&, Index, Index) {}
  std::vector<bool> take(Index, Index, std::vector<Matrix<S>>& chunk) { return std::vector<bool>(chunk.size()); }
};

}  // namespace halftone::detail
