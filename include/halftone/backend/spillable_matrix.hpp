// A matrix as many of whose rows as fit are in the memory of the backend, the others on the host: the numbers of every
// token of a stream, the sums of a stage.
#pragma once

#include <algorithm>  // clamp, copy_n, max, min
#include <type_traits>
#include <utility>  // as_const, move

#include "halftone/backend/cpu.hpp"

namespace halftone {

/// [rows, cols]: the first `resident` rows are where the backend computes, the others in host memory. On the CPU all
/// are resident. The context must outlive it.
template <class S, class Backend = Cpu>
class SpillableMatrix {
 public:
  using Matrix = typename Backend::template Matrix<S>;

  SpillableMatrix() = default;
  /// Uninitialised. `resident`: any number, of which 0 .. rows count.
  SpillableMatrix(const Context<Backend>& context, Index rows, Index cols, Index resident) : context_(&context) {
    resident = clamped(resident, rows);
    here_ = context.template allocate<S>(resident, cols);
    spilled_ = context.template allocate_host<S>(rows - resident, cols);
  }
  /// From a matrix of the backend, all of it resident.
  SpillableMatrix(const Context<Backend>& context, Matrix here) : context_(&context), here_(std::move(here)) {}
  /// From a matrix of the host.
  SpillableMatrix(const Context<Backend>& context, halftone::Matrix<S> host, Index resident) : context_(&context) {
    if constexpr (on_host) {
      here_ = std::move(host);
    } else {
      resident = clamped(resident, host.rows());
      here_ = context.upload(std::as_const(host).view().middle_rows(0, resident));
      spilled_ = context.template allocate_host<S>(host.rows() - resident, host.cols());
      std::copy_n(host.row(resident), spilled_.size(), spilled_.data());
    }
  }

  Index rows() const { return here_.rows() + spilled_.rows(); }
  Index cols() const { return here_.cols(); }
  bool empty() const { return rows() == 0; }

  /// Rows [first, first + count) in their place; without data where any of them is spilled.
  MatrixView<S> in_place(Index first, Index count) {
    return first + count <= here_.rows() ? here_.view().middle_rows(first, count) : MatrixView<S>();
  }
  MatrixView<const S> in_place(Index first, Index count) const {
    return first + count <= here_.rows() ? here_.view().middle_rows(first, count) : MatrixView<const S>();
  }
  /// Rows [first, first + count) where all of them are spilled; else without data.
  MatrixView<const S> spilled(Index first, Index count) const {
    return first >= here_.rows() && spilled_.rows() > 0 ? spilled_.view().middle_rows(first - here_.rows(), count)
                                                        : MatrixView<const S>();
  }
  MatrixView<S> spilled(Index first, Index count) {
    return first >= here_.rows() && spilled_.rows() > 0 ? spilled_.view().middle_rows(first - here_.rows(), count)
                                                        : MatrixView<S>();
  }
  /// Copies what is in rows from `first` on and columns from `column` on to a matrix of the backend.
  void load(Index first, Index column, MatrixView<S> to) const {
    const Index near = resident_of(first, to.rows), place = first + near - here_.rows();
    if (near > 0)
      context_->transfer(here_.view().block(first, column, near, to.cols), to.middle_rows(0, near), Transfer::Within);
    if (near < to.rows)
      context_->transfer(spilled_.view().block(place, column, to.rows - near, to.cols),
                         to.middle_rows(near, to.rows - near), Transfer::FromHost);
  }
  /// Copies whole rows of a matrix of the backend to those from `first` on.
  void store(Index first, MatrixView<const S> from) {
    const Index near = resident_of(first, from.rows), place = first + near - here_.rows();
    if (near > 0)
      context_->transfer(from.middle_rows(0, near), here_.view().middle_rows(first, near), Transfer::Within);
    if (near < from.rows)
      context_->transfer(from.middle_rows(near, from.rows - near), spilled_.view().middle_rows(place, from.rows - near),
                         Transfer::ToHost);
  }

  /// A copy, with as many resident rows; with none where the backend has no memory for them.
  SpillableMatrix copied() const {
    try {
      return copied(here_.rows());
    } catch (const Error& error) {
      if (on_host || error.status() != Status::OutOfMemory || here_.rows() == 0) throw;
    }
    return copied(0);
  }
  /// Moves what is resident to the host. False if there was nothing to move.
  bool spill() {
    if (on_host || here_.rows() == 0) return false;
    *this = copied(0);
    return true;
  }

  bool all_resident() const { return spilled_.empty(); }
  /// All of it. Throws Status::InvalidArgument where a part is spilled.
  const Matrix& whole() const {
    require(all_resident(), Status::InvalidArgument, "matrix: ", spilled_.rows(), " of ", rows(),
            " rows are in host memory, wanted none");
    return here_;
  }
  Matrix& whole() { return const_cast<Matrix&>(std::as_const(*this).whole()); }

  /// Rows [first, first + count) and `width` columns from `column` on, in the memory of the backend: in their place, or
  /// copied to `room`, which grows where it is too small. A later call with the same room may write over them.
  MatrixView<const S> block(Index first, Index column, Index count, Index width, Matrix& room) const {
    if (const auto here = in_place(first, count); here.data != nullptr) return here.middle_cols(column, width);
    if (room.size() < count * width) room = context_->template allocate<S>(1, count * width);
    const MatrixView<S> copied(room.data(), count, width);
    load(first, column, copied);
    return copied;
  }
  /// use(first, rows) for all rows in order, in the memory of the backend: on the CPU at once, elsewhere `strip_rows`
  /// at a time, so that what is made of them does not depend on where they are.
  template <class Use>
  void each_strip(Use&& use) const {
    const Index strip = on_host ? std::max<Index>(1, rows()) : strip_rows;
    Matrix room;
    for (Index first = 0; first < rows(); first += strip) {
      const Index count = std::min(strip, rows() - first);
      use(first, block(first, 0, count, cols(), room));
    }
  }
  static constexpr Index strip_rows = 1024;

 private:
  static constexpr bool on_host = std::is_same_v<Matrix, halftone::Matrix<S>>;
  /// At most as many of its rows stay resident.
  SpillableMatrix copied(Index resident) const {
    SpillableMatrix copy(*context_, rows(), cols(), resident);
    const Index near = copy.here_.rows(), moved = here_.rows() - near;
    if (near > 0) context_->transfer(here_.view().middle_rows(0, near), copy.here_.view(), Transfer::Within);
    if (moved > 0)
      context_->transfer(here_.view().middle_rows(near, moved), copy.spilled_.view().middle_rows(0, moved),
                         Transfer::ToHost);
    std::copy_n(spilled_.data(), spilled_.size(), copy.spilled_.row(moved));
    return copy;
  }
  static Index clamped(Index resident, Index tokens) {
    return on_host ? tokens : std::clamp<Index>(resident, 0, tokens);
  }
  /// How many of rows [first, first + count) are resident.
  Index resident_of(Index first, Index count) const { return std::clamp<Index>(here_.rows() - first, 0, count); }

  const Context<Backend>* context_ = nullptr;
  Matrix here_;
  typename Backend::template HostMatrix<S> spilled_;
};

}  // namespace halftone
