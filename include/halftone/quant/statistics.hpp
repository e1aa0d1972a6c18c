// Input statistics of a stage: what calibration leaves behind for a solver.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>  // as_const
#include <vector>

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/spillable_matrix.hpp"
#include "halftone/core/matrix.hpp"

namespace halftone {

/// Which sums are kept.
enum class Moments : std::uint8_t {
  None = 0,     ///< nothing (RTN)
  Second = 1,   ///< H = Σ xᵀx
  Cross = 2,    ///< and D = Σ (x_fp − x)ᵀ x, for asymmetric calibration (GPTQv2, arXiv 2504.02692)
  HeldOut = 3,  ///< and both once more over a part of the tokens, to choose α or β by
};

namespace detail {
/// "Done once" that copies and moves with the object it guards.
class OnceDone {
 public:
  OnceDone() = default;
  OnceDone(const OnceDone& other) noexcept : done_(other.done_.load()) {}
  OnceDone& operator=(const OnceDone& other) noexcept {
    done_ = other.done_.load();
    return *this;
  }
  void reset() noexcept { done_ = false; }
  /// Runs work() unless it has run since the last reset; safe from several threads.
  template <class Work>
  void run(Work&& work) {
    if (done_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock(mutex_);
    if (done_.load(std::memory_order_relaxed)) return;
    work();
    done_.store(true, std::memory_order_release);
  }

 private:
  std::atomic<bool> done_{false};
  std::mutex mutex_;
};
}  // namespace detail

/// H = XᵀX and, for asymmetric calibration, D = (X_fp − X)ᵀX, as plain sums over tokens: mergeable, divided by the
/// number of tokens only where somebody asks. The same bytes for any number of threads if batches arrive in the same
/// order. Adding n²·k multiply-adds for H (half a full product) and 2·n²·k for D, for k tokens of width n. Thread
/// safety: const members may be called from several threads at once, others not.
template <class S, class Backend = Cpu>
class InputStatistics {
 public:
  using BackendMatrix = typename Backend::template Matrix<S>;
  using Sums = SpillableMatrix<S, Backend>;

  /// `width`: columns of X, the `in` of the matrices of the stage. `products`: what batches in S are multiplied as;
  /// BFloat16 gives the moments of the rounded inputs, D those of the rounded differences. The context must outlive the
  /// statistics. Throws Status::Unsupported for BFloat16 unless may_round<S, Backend> (product.hpp).
  InputStatistics(const Context<Backend>& context, Index width, Moments moments,
                  ProductType products = ProductType::Float);

  /// Takes over sums made elsewhere (another process, a file): H [width, width], of which only the upper triangle is
  /// read, and D [width, width] or nothing. Throws Status::ShapeMismatch; Status::InvalidData for sums that are not
  /// finite, or a negative diagonal. `products`: what was multiplied, as of the constructor.
  static InputStatistics from_sums(const Context<Backend>& context, Index tokens, BackendMatrix H, BackendMatrix D = {},
                                   ProductType products = ProductType::Float);
  /// The same with what was held out of them, which H and D count too: moments() is then HeldOut. `held_out` needs
  /// cross moments, and says what was multiplied.
  static InputStatistics from_sums(const Context<Backend>& context, Index tokens, BackendMatrix H, BackendMatrix D,
                                   InputStatistics held_out);

  /// Adds a batch X [tokens, in]. Throws Status::ShapeMismatch; Status::InvalidData for NaN or infinite inputs, naming
  /// token and column. A refused batch leaves the sums as they were. With Moments::Cross it counts as X_fp = X.
  void add(MatrixView<const S> X);
  /// The same from 16-bit inputs, Float16 or BFloat16, where the backend has a product for them (add_squares): products
  /// of two are exact in float.
  template <class T>
  requires(sizeof(T) == 2) void add(MatrixView<const T> X);
  /// Adds a pair: the quantised stream's X and the full-precision stream's X_fp, token by token.
  void add(MatrixView<const S> X, MatrixView<const S> X_fp);
  /// Adds a pair that also counts as held out. Throws Status::InvalidArgument unless moments() is HeldOut.
  void add_held_out(MatrixView<const S> X, MatrixView<const S> X_fp);
  /// Adds another's sums. Throws Status::ShapeMismatch where width or moments differ.
  void merge(const InputStatistics& other);
  /// Moves the sums to host memory, from where solvers take them strip by strip; nothing can be added any more. False
  /// if there was nothing to move: on the CPU, a second time.
  bool spill();

  const Context<Backend>& context() const { return *context_; }
  Index width() const { return width_; }
  Index tokens() const { return tokens_; }
  Moments moments() const { return moments_; }
  /// What batches were multiplied as. Solvers do the same in what corrects columns far behind and in their reports.
  ProductType products() const { return products_; }
  /// Σ xᵀx [in, in], both triangles. Throws Status::InvalidArgument if moments() is None.
  const Sums& second_sums() const;
  /// Σ (x_fp − x)ᵀ x [in, in]; row: deviating channel, column: channel of X. Needs Moments::Cross.
  const Sums& cross_sums() const;
  /// The same as whole matrices of the backend. Throw Status::InvalidArgument where they were spilled, too.
  const BackendMatrix& second_moments() const { return second_sums().whole(); }
  const BackendMatrix& cross_moments() const { return cross_sums().whole(); }
  /// The sums over held-out tokens alone, which are in the others too; null if no token was held out.
  const InputStatistics* held_out() const {
    return held_out_.empty() || held_out_.front().tokens() == 0 ? nullptr : &held_out_.front();
  }

 private:
  template <class T>
  void check_batch(MatrixView<const T> X, const char* what) const;
  void require_resident() const;
  void add_second(MatrixView<const S> X);
  void add_cross(MatrixView<const S> difference, MatrixView<const S> X);

  const Context<Backend>* context_;
  Index width_ = 0, tokens_ = 0;
  Moments moments_;
  ProductType products_ = ProductType::Float;
  mutable Sums H_;  // upper triangle until asked for: mirroring costs n² and is not done for every batch
  Sums D_;
  typename Backend::template Matrix<BFloat16> rounded_;  // a batch
  std::vector<InputStatistics> held_out_;                // one or none
  mutable detail::OnceDone mirrored_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class S, class Backend>
InputStatistics<S, Backend>::InputStatistics(const Context<Backend>& context, Index width, Moments moments,
                                             ProductType products)
    : context_(&context), width_(width), moments_(moments), products_(products) {
  require(width > 0, Status::InvalidArgument, "input statistics: width is ", width, ", wanted 1 or more");
  require(may_round<S, Backend> || products == ProductType::Float, Status::Unsupported,
          "input statistics: products of rounded inputs are for float");
  const auto zeros = [&] {
    auto sums = context.template allocate<S>(width, width);
    set_zero(context, sums.view());
    return Sums(context, std::move(sums));
  };
  if (moments != Moments::None) H_ = zeros();
  if (moments >= Moments::Cross) D_ = zeros();
  if (moments == Moments::HeldOut) held_out_.emplace_back(context, width, Moments::Cross, products);
}

template <class S, class Backend>
InputStatistics<S, Backend> InputStatistics<S, Backend>::from_sums(const Context<Backend>& context, Index tokens,
                                                                   BackendMatrix H, BackendMatrix D,
                                                                   ProductType products) {
  const Index width = H.rows();
  require(H.cols() == width && (D.empty() || (D.rows() == width && D.cols() == width)), Status::ShapeMismatch,
          "input statistics: H is ", H.rows(), " x ", H.cols(), " and D ", D.rows(), " x ", D.cols(),
          ", wanted square matrices of one size");
  require(tokens >= 0, Status::InvalidArgument, "input statistics: tokens is ", tokens, ", wanted 0 or more");
  InputStatistics statistics(context, width, Moments::None, products);
  statistics.moments_ = D.empty() ? Moments::Second : Moments::Cross;
  statistics.tokens_ = tokens;
  statistics.H_ = Sums(context, std::move(H));
  statistics.D_ = Sums(context, std::move(D));
  const auto check = [&](const Sums& sums) {
    const auto bad = find_nonfinite(context, sums.whole().view());
    if (bad)
      fail(Status::InvalidData, "input statistics: the sum at row ", bad->row, ", column ", bad->column,
           " is not finite");
  };
  check(statistics.second_sums());
  check(statistics.D_);
  for (double value : diagonal(context, statistics.second_moments().view()))
    require(value >= 0, Status::InvalidData, "input statistics: a diagonal element of H is ", value,
            ", wanted 0 or more");
  return statistics;
}

template <class S, class Backend>
InputStatistics<S, Backend> InputStatistics<S, Backend>::from_sums(const Context<Backend>& context, Index tokens,
                                                                   BackendMatrix H, BackendMatrix D,
                                                                   InputStatistics held_out) {
  InputStatistics statistics = from_sums(context, tokens, std::move(H), std::move(D), held_out.products_);
  require(statistics.moments_ == Moments::Cross && held_out.moments_ == Moments::Cross &&
              held_out.width_ == statistics.width_,
          Status::ShapeMismatch, "input statistics: sums over ", held_out.width_, " inputs that are held out of ",
          statistics.width_, ", wanted as many, both with cross moments");
  require(held_out.tokens_ <= tokens, Status::InvalidArgument, "input statistics: ", held_out.tokens_,
          " tokens are held out of ", tokens);
  statistics.moments_ = Moments::HeldOut;
  statistics.held_out_.push_back(std::move(held_out));
  return statistics;
}

template <class S, class Backend>
template <class T>
void InputStatistics<S, Backend>::check_batch(MatrixView<const T> X, const char* what) const {
  require(X.cols == width_, Status::ShapeMismatch, "input statistics: ", what, " is ", X.rows, " x ", X.cols,
          ", wanted ", width_, " columns");
  if (const auto bad = find_nonfinite(*context_, X))
    fail(Status::InvalidData, "input statistics: ", what, " is ",
         static_cast<float>(context_->download(X.block(bad->row, bad->column, 1, 1))(0, 0)), " at token ", bad->row,
         ", column ", bad->column, " of the batch, wanted finite numbers");
}

template <class S, class Backend>
void InputStatistics<S, Backend>::require_resident() const {
  require(H_.all_resident(), Status::InvalidArgument,
          "input statistics: the sums were spilled to host memory, nothing can be added");
}

template <class S, class Backend>
void InputStatistics<S, Backend>::add_second(MatrixView<const S> X) {
  if (moments_ != Moments::None) {
    if (products_ == ProductType::Float) {
      gemm_upper(*context_, Transpose::Yes, Transpose::No, S(1), X, X, S(1), H_.whole().view());
    } else if constexpr (may_round<S, Backend>) {
      add_squares(*context_, rounded_to_bfloat(*context_, X, rounded_), H_.whole().view());
    }
  }
  mirrored_.reset();
  tokens_ += X.rows;
}

template <class S, class Backend>
void InputStatistics<S, Backend>::add_cross(MatrixView<const S> difference, MatrixView<const S> X) {
  if (products_ == ProductType::Float) {
    gemm(*context_, Transpose::Yes, Transpose::No, S(1), difference, X, S(1), D_.whole().view());
  } else if constexpr (may_round<S, Backend>) {
    const auto left = rounded_to_bfloat(*context_, difference);
    gemm(*context_, Transpose::Yes, Transpose::No, left.view(), rounded_to_bfloat(*context_, X, rounded_), true,
         D_.whole().view());
  }
}

template <class S, class Backend>
void InputStatistics<S, Backend>::add(MatrixView<const S> X) {
  require_resident();
  check_batch(X, "X");
  add_second(X);
}

template <class S, class Backend>
template <class T>
requires(sizeof(T) == 2) void InputStatistics<S, Backend>::add(MatrixView<const T> X) {
  require_resident();
  check_batch(X, "X");
  if (moments_ != Moments::None) add_squares(*context_, X, H_.whole().view());
  mirrored_.reset();
  tokens_ += X.rows;
}

template <class S, class Backend>
void InputStatistics<S, Backend>::add(MatrixView<const S> X, MatrixView<const S> X_fp) {
  require_resident();
  check_batch(X, "X");
  check_batch(X_fp, "the full-precision X");
  require(X.rows == X_fp.rows, Status::ShapeMismatch, "input statistics: X has ", X.rows,
          " tokens and the full-precision X ", X_fp.rows, ", wanted pairs");
  if (moments_ >= Moments::Cross) {  // the difference first: X_fpᵀX − XᵀX would cancel
    auto difference = context_->copy(X_fp);
    add_scaled(*context_, difference.view(), S(-1), X);
    add_cross(std::as_const(difference).view(), X);
  }
  add_second(X);
}

template <class S, class Backend>
void InputStatistics<S, Backend>::add_held_out(MatrixView<const S> X, MatrixView<const S> X_fp) {
  require(moments_ == Moments::HeldOut, Status::InvalidArgument,
          "input statistics: tokens were to be held out, but no moments of such are kept");
  add(X, X_fp);
  held_out_.front().add(X, X_fp);
}

template <class S, class Backend>
void InputStatistics<S, Backend>::merge(const InputStatistics& other) {
  require(width_ == other.width_ && moments_ == other.moments_, Status::ShapeMismatch,
          "input statistics: merging width ", other.width_, " with moments ", static_cast<int>(other.moments_),
          " into width ", width_, " with moments ", static_cast<int>(moments_));
  require_resident();
  if (moments_ != Moments::None) add_scaled(*context_, H_.whole().view(), S(1), other.second_moments().view());
  if (moments_ >= Moments::Cross) add_scaled(*context_, D_.whole().view(), S(1), other.cross_moments().view());
  if (moments_ == Moments::HeldOut) held_out_.front().merge(other.held_out_.front());
  mirrored_.reset();
  tokens_ += other.tokens_;
}

template <class S, class Backend>
bool InputStatistics<S, Backend>::spill() {
  if (moments_ == Moments::None) return false;
  second_sums();  // both triangles
  rounded_ = {};
  bool moved = H_.spill();
  moved = D_.spill() || moved;
  for (InputStatistics& held_out : held_out_) moved = held_out.spill() || moved;
  return moved;
}

template <class S, class Backend>
auto InputStatistics<S, Backend>::second_sums() const -> const Sums& {
  require(moments_ != Moments::None, Status::InvalidArgument, "input statistics: no second moments were kept");
  mirrored_.run([&] { mirror_upper(*context_, H_.whole().view()); });
  return H_;
}

template <class S, class Backend>
auto InputStatistics<S, Backend>::cross_sums() const -> const Sums& {
  require(moments_ >= Moments::Cross, Status::InvalidArgument, "input statistics: no cross moments were kept");
  return D_;
}

#if defined(HALFTONE_COMPILED)
extern template class InputStatistics<float, Cpu>;
extern template class InputStatistics<double, Cpu>;
#endif

}  // namespace halftone
