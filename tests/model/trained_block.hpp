// A block of a fixture in float or double, with a random hidden state before it.
#pragma once

#include "halftone/model/executor.hpp"
#include "model/fixture.hpp"
#include "random_matrix.hpp"

namespace halftone::test {

template <class S>
Matrix<S> converted(const Matrix<float>& from) {
  Matrix<S> to(from.rows(), from.cols());
  for (Index i = 0; i < from.size(); ++i) to.data()[i] = static_cast<S>(from.data()[i]);
  return to;
}

/// Largest absolute value.
template <class S>
double largest(const Matrix<S>& matrix) {
  double most = 0;
  for (Index i = 0; i < matrix.size(); ++i) most = std::max(most, std::abs(static_cast<double>(matrix.data()[i])));
  return most;
}

template <class S>
struct TrainedBlock {
  BlockProgram own;
  Index length;
  BlockWeights<S> weights;
  Matrix<S> hidden;  ///< [tokens, width]

  TrainedBlock(const std::string& name, Index tokens, Index window, Index block = 0) : length(window) {
    const Checkpoint checkpoint(model_folder(name));
    const Model model(checkpoint);
    own = model.program(block);
    const auto loaded = model.load_block(Context<Cpu>(1), block);
    for (const auto& W : loaded.linears) weights.linears.push_back(converted<S>(W));
    for (const auto& b : loaded.biases) weights.biases.push_back(converted<S>(b));
    for (const auto& g : loaded.parameters) weights.parameters.push_back(converted<S>(g));
    hidden = random_matrix<S>(tokens, model.config().hidden, 1);
  }
  const BlockProgram& program() const { return own; }

  /// The block's output.
  Matrix<S> run(const Context<Cpu>& context) const {
    Matrix<S> input(hidden), output(hidden.rows(), hidden.cols());
    std::vector<MatrixView<S>> views(own.slot_widths.size());
    views[static_cast<std::size_t>(own.input)] = input;
    views[static_cast<std::size_t>(own.output)] = output;
    BlockRunner<S>(context, own, length).run(0, own.size(), weights, views);
    return output;
  }
};

}  // namespace halftone::test
