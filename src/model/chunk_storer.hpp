// What a chunk of a stream whose tokens are in host memory has become, on its way there while the backend computes the
// next one.
#pragma once

#include <future>
#include <optional>
#include <vector>

#include "halftone/backend/copier.hpp"
#include "model/with_room.hpp"

namespace halftone::detail {

template <class S, class Backend>
class ChunkStorer {
 public:
  using Matrix = typename Backend::template Matrix<S>;

  /// For chunks of `slots` slots. The context must outlive it, and so must host memory that something was put for.
  ChunkStorer(const Context<Backend>& context, std::size_t slots) : context_(&context), kept_(slots) {}

  /// Keeps `made`, whose first rows are to become `host`, pinned, and puts other room of its size in its place. Waits
  /// for what begin() began. False where the backend has no memory left for that: nothing is kept then.
  bool put(std::size_t slot, Matrix& made, MatrixView<S> host) {
    finish_copies();
    if (!make_room(kept_[slot], made)) return false;
    kept_[slot].swap(made);
    pieces_.push_back({kept_[slot].view().middle_rows(0, host.rows), host});
    return true;
  }
  /// Begins to copy what was put since the last time. Waits for all that is queued on the context.
  void begin() {
    finish_copies();
    if (pieces_.empty()) return;
    if (!copier_) copier_.emplace(*context_);
    context_->synchronize();
    leaving_ = std::async(std::launch::async, [this] {
      for (const Piece& piece : pieces_) copier_->template download_pinned<S>(piece.made, piece.host);
    });
  }
  /// Until all that was put is on the host.
  void finish() {
    begin();
    finish_copies();
  }

 private:
  struct Piece {
    MatrixView<const S> made;
    MatrixView<S> host;
  };

  void finish_copies() {
    if (!leaving_.valid()) return;
    leaving_.get();
    pieces_.clear();
  }
  bool make_room(Matrix& room, const Matrix& like) {
    if (!short_of_memory_ && room.rows() < like.rows())
      short_of_memory_ = !allocate_if_room<S>(*context_, like.rows(), like.cols(), room);
    return !short_of_memory_;
  }

  const Context<Backend>* context_;
  std::optional<Copier<Backend>> copier_;
  std::vector<Matrix> kept_;  // by slot: what is or was copied
  std::vector<Piece> pieces_;
  bool short_of_memory_ = false;
  std::future<void> leaving_;  // last: it waits, and its thread uses what is above
};

/// On the CPU nothing is elsewhere.
template <class S>
class ChunkStorer<S, Cpu> {
 public:
  ChunkStorer(const Context<Cpu>&, std::size_t) {}
  bool put(std::size_t, Matrix<S>&, MatrixView<S>) { return false; }
  void begin() {}
  void finish() {}
};

}  // namespace halftone::detail
