// The training of a window of blocks, which each backend compiles once.
#pragma once

#include <algorithm>  // max, min, swap
#include <cmath>      // ceil
#include <numeric>    // iota
#include <utility>    // as_const, move

#include "halftone/backend/arrange.hpp"
#include "halftone/core/random.hpp"
#include "halftone/tune/window_tuner.hpp"

namespace halftone {
namespace tune {

/// Rows of whole windows, in the order of a list, in the backend's memory.
template <class Backend>
auto gather_windows(const Context<Backend>& context, const TokenSource<Backend>& rows, std::span<const Index> windows,
                    Index length) {
  auto out = context.template allocate<float>(static_cast<Index>(windows.size()) * length, rows.cols());
  for (std::size_t k = 0; k < windows.size(); ++k)
    rows.load(context, windows[k] * length, out.view().middle_rows(static_cast<Index>(k) * length, length));
  return out;
}

/// Which calibration windows are trained on and which are looked at, and batches of the former.
class Windows {
 public:
  Windows(Index count, const TuneOptions& options, std::int64_t seed)
      : random_(static_cast<std::uint64_t>(seed)), all_(static_cast<std::size_t>(count)) {
    std::iota(all_.begin(), all_.end(), Index{0});
    const auto wanted = static_cast<Index>(std::ceil(options.held_out * static_cast<double>(count)));
    held_out_ = options.looks == 0 ? 0 : std::min(wanted, count - 1);
    batch_ = std::min<Index>(options.batch, count - held_out_);
  }

  /// `batch` of the training windows, none twice.
  std::span<const Index> draw() {
    const std::uint64_t training = all_.size() - static_cast<std::uint64_t>(held_out_);
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(batch_); ++i)
      std::swap(all_[i], all_[i + random_.below(training - i)]);
    return std::span(all_).first(static_cast<std::size_t>(batch_));
  }
  /// The windows that looks are taken at: those held out, else all.
  std::span<const Index> looked_at() const {
    return held_out_ > 0 ? std::span(all_).last(static_cast<std::size_t>(held_out_)) : std::span(all_);
  }
  Index batch() const { return batch_; }

 private:
  Random random_;
  std::vector<Index> all_;  // training windows in any order, then those held out
  Index held_out_ = 0, batch_ = 1;
};

/// The matrices in training and the function that they are part of.
template <class Backend>
class Training {
 public:
  using Matrix = typename Backend::template Matrix<float>;
  using Blocks = std::vector<TunedBlock<Backend>>;

  Training(const Context<Backend>& context, const TuneOptions& options, Blocks& blocks, const TuneData<Backend>& data)
      : context_(context), blocks_(blocks), data_(data), chain_(context, links(blocks), data.length) {
    for (TunedBlock<Backend>& block : blocks)
      for (TunedMatrix& tuned : block.matrices)
        trainables_.push_back(
            make_trainable(context, tuned.W, *tuned.matrix, trainable_options(options, tuned.minimum_zero)));
    for (const auto& trainable : trainables_)
      for (const ParameterGroup& group : trainable->parameters()) groups_.push_back(group);
    if (data.channels != nullptr)
      channels_ = context.upload(MatrixView<const float>(data.channels, 1, data.target.cols()));
  }

  const std::vector<ParameterGroup>& groups() const { return groups_; }

  /// What the parameters decode to becomes the blocks' weights.
  void decode() {
    each([](auto& block, TunedMatrix& tuned, Trainable& trainable, std::size_t) {
      trainable.forward(block.weights->linears[static_cast<std::size_t>(tuned.linear)].view());
    });
  }
  /// Loss of a batch; its gradients are added to those of the parameters.
  double differentiate(std::span<const Index> windows) {
    auto gradient =
        context_.template allocate<float>(static_cast<Index>(windows.size()) * data_.length, data_.target.cols());
    const double loss = batch_loss(windows, gradient.view());
    chain_.backward(std::as_const(gradient).view(), gradients_);
    each([&](auto&, TunedMatrix& tuned, Trainable& trainable, std::size_t block) {
      trainable.backward(std::as_const(gradients_[block][static_cast<std::size_t>(tuned.linear)]).view());
    });
    return loss;
  }
  /// Mean loss over windows, `batch` at a time.
  double look(std::span<const Index> windows, Index batch) {
    double error = 0;
    for (std::size_t first = 0; first < windows.size(); first += static_cast<std::size_t>(batch)) {
      const auto piece = windows.subspan(first, std::min(static_cast<std::size_t>(batch), windows.size() - first));
      error += static_cast<double>(piece.size()) * batch_loss(piece, {});
    }
    return error / static_cast<double>(windows.size());
  }
  /// Hands the matrices out, when all of them are there.
  void finish() {
    std::vector<QuantizedMatrix> results;
    for (const auto& trainable : trainables_) results.push_back(trainable->result());
    std::size_t at = 0;
    each([&](auto&, TunedMatrix& tuned, Trainable&, std::size_t) { *tuned.matrix = std::move(results[at++]); });
  }

 private:
  using Link = typename BlockChain<float, Backend>::Link;
  static std::vector<Link> links(const Blocks& blocks) {
    std::vector<Link> list;
    for (const TunedBlock<Backend>& block : blocks) {
      std::vector<bool> trained(block.program->linears.size());
      for (const TunedMatrix& tuned : block.matrices) trained[static_cast<std::size_t>(tuned.linear)] = true;
      list.push_back({block.program, block.weights, std::move(trained)});
    }
    return list;
  }
  template <class Body>
  void each(Body&& body) {
    std::size_t at = 0;
    for (std::size_t block = 0; block < blocks_.size(); ++block)
      for (TunedMatrix& tuned : blocks_[block].matrices) body(blocks_[block], tuned, *trainables_[at++], block);
  }
  /// Σ g² (y − target)² / Σ g² target² of some windows; its derivative, if `gradient` has data.
  double batch_loss(std::span<const Index> windows, MatrixView<float> gradient) {
    const Matrix input = gather_windows(context_, data_.input, windows, data_.length);
    const Matrix target = gather_windows(context_, data_.target, windows, data_.length);
    const ErrorWeights<float> weights{channels_.data(), nullptr};
    double size = 0;
    {
      Matrix zeros = context_.template allocate<float>(target.rows(), target.cols());
      set_zero(context_, zeros.view());
      size = squared_error<float>(context_, std::as_const(zeros).view(), target.view(), weights, 1, {});
    }
    const Matrix& output = chain_.forward(input.view());
    return squared_error<float>(context_, output.view(), target.view(), weights, size > 0 ? 1 / size : 1, gradient);
  }

  const Context<Backend>& context_;
  Blocks& blocks_;
  const TuneData<Backend>& data_;
  BlockChain<float, Backend> chain_;
  std::vector<std::unique_ptr<Trainable>> trainables_;
  std::vector<ParameterGroup> groups_;
  std::vector<LinearGradients<float, Backend>> gradients_;
  Matrix channels_;  // [1, width], or empty
};

template <class Backend>
void check_window(const std::vector<TunedBlock<Backend>>& blocks, const TuneData<Backend>& data) {
  bool any = false;
  for (const TunedBlock<Backend>& block : blocks) any = any || !block.matrices.empty();
  require(any, Status::InvalidArgument, "tune: no block of the window has a matrix to train");
  require(data.length > 0 && data.input.rows() > 0 && data.input.rows() % data.length == 0 &&
              data.target.rows() == data.input.rows(),
          Status::ShapeMismatch, "tune: input has ", data.input.rows(), " tokens and target ", data.target.rows(),
          ", wanted whole windows of ", data.length, " in both");
}

/// Fewest bits of any matrix: what an automatic rate goes by.
template <class Backend>
int fewest_bits(const std::vector<TunedBlock<Backend>>& blocks) {
  int bits = 8;
  for (const TunedBlock<Backend>& block : blocks)
    for (const TunedMatrix& tuned : block.matrices) bits = std::min(bits, tuned.matrix->bits());
  return bits;
}

}  // namespace tune

template <class Backend>
TuneReport tune_window(const Context<Backend>& context, const TuneOptions& options,
                       std::vector<TunedBlock<Backend>> blocks, const TuneData<Backend>& data, std::int64_t seed,
                       const TuneProgress& progress) {
  check_tune(options);
  tune::check_window(blocks, data);
  tune::Training<Backend> training(context, options, blocks, data);
  tune::Windows windows(data.input.rows() / data.length, options, seed);
  Optimiser<Backend> optimiser(context, training.groups(), optimiser_options(options, tune::fewest_bits(blocks)));
  const auto look = [&] {
    training.decode();
    return training.look(windows.looked_at(), windows.batch());
  };
  TuneReport report;
  BestLook<Backend> best(context);
  report.start_loss = look();
  best.offer(report.start_loss, training.groups());
  const int between = options.looks > 0 ? std::max(1, options.steps / options.looks) : options.steps;
  for (int step = 1; step <= options.steps; ++step) {
    training.decode();
    const double loss = training.differentiate(windows.draw());
    optimiser.step();
    if ((step % between == 0 || step == options.steps) && best.offer(look(), training.groups())) report.steps = step;
    require(!progress || progress(step, options.steps, loss), Status::Cancelled, "tune: stopped after ", step, " of ",
            options.steps, " steps");
  }
  best.restore_to(training.groups());
  report.loss = best.loss();
  training.decode();
  training.finish();
  return report;
}

}  // namespace halftone
