// The bodies of backward.hpp, which each backend compiles once.
#pragma once

#include <algorithm>  // max

#include "halftone/backend/arrange.hpp"
#include "halftone/model/backward.hpp"
#include "model/block_operands.hpp"

namespace halftone {
namespace detail {

/// Executes one operation backward on a chunk: an overload for each type.
template <class S, class Backend>
struct OpBackward {
  const Context<Backend>& context;
  const BlockWeights<S, Backend>& weights;
  const RotaryTable<S, Backend>& rotary;
  Index length;
  std::span<const MatrixView<S>> values, gradients;  ///< by slot
  const BackwardStep& step;
  LinearGradients<S, Backend>& linears;
  bool add_linears;

  static MatrixView<S> columns(std::span<const MatrixView<S>> slots, const Operand& operand) {
    return slots[static_cast<std::size_t>(operand.slot)].middle_cols(operand.column, operand.width);
  }
  MatrixView<const S> value(const Operand& operand) const { return columns(values, operand); }
  MatrixView<const S> arriving(const Operand& operand) const { return columns(gradients, operand); }
  /// Of the operand that the operation reads as its `index`-th.
  Gradient<S> leaving(const Operand& operand, std::size_t index) const {
    const BackwardStep::Input& input = step.inputs[index];
    return input.wanted ? Gradient<S>{columns(gradients, operand), input.add} : Gradient<S>{};
  }
  const S* parameter(int index) const { return weights.parameters[static_cast<std::size_t>(index)].data(); }

  void operator()(const NormOp& op) const {
    const auto dx = leaving(op.in, 0);
    if (op.layer_norm)
      layer_norm_backward<S>(context, value(op.in), parameter(op.weight), op.groups, op.epsilon, arriving(op.out), dx);
    else
      rms_norm_backward<S>(context, value(op.in), parameter(op.weight), op.groups, op.epsilon, arriving(op.out), dx);
  }
  /// dx = dy W, dW = dyᵀ x.
  void operator()(const LinearOp& op) const {
    const auto index = static_cast<std::size_t>(op.linear);
    const auto& W = weights.linears[index];
    if (const auto dx = leaving(op.in, 0); dx.wanted())
      gemm<S>(context, Transpose::No, Transpose::No, S(1), arriving(op.out), W.view(), S(dx.add), dx.to);
    if (!step.weight) return;
    auto& dW = linears[index];
    const bool add = add_linears && !dW.empty();
    if (dW.empty()) dW = context.template allocate<S>(W.rows(), W.cols());
    gemm<S>(context, Transpose::Yes, Transpose::No, S(1), arriving(op.out), value(op.in), S(add), dW.view());
  }
  void operator()(const RopeOp& op) const {
    rotary_backward<S>(context, arriving(op.out), rotary, op.heads, length, leaving(op.in, 0));
  }
  void operator()(const AttentionOp& op) const {
    attention_backward<S>(context, value(op.q), value(op.k), value(op.v), attention_shape(op, length), arriving(op.out),
                          leaving(op.q, 0), leaving(op.k, 1), leaving(op.v, 2));
  }
  void operator()(const GateOp& op) const {
    gate_backward<S>(context, op.activation, value(op.gate), value(op.up), arriving(op.out), leaving(op.gate, 0),
                     leaving(op.up, 1));
  }
  void operator()(const ActivationOp& op) const {
    activate_backward<S>(context, op.activation, value(op.in), arriving(op.out), leaving(op.in, 0));
  }
  void operator()(const AddOp& op) const {
    add_backward<S>(context, arriving(op.out), leaving(op.a, 0));
    add_backward<S>(context, arriving(op.out), leaving(op.b, 1));
  }
};

/// Throws unless the values that the plan reads are there, and the gradients at the block's ends fit.
template <class S>
void require_values(const BlockProgram& program, const BackwardPlan& plan, std::span<const MatrixView<S>> values,
                    MatrixView<const S> d_output, bool input_wanted, MatrixView<S> d_input, Index length) {
  const Index rows = d_output.rows, width = program.slot_widths[static_cast<std::size_t>(program.output)];
  require(d_output.cols == width && rows % length == 0, Status::ShapeMismatch, "block backward: d_output is ", rows,
          " x ", d_output.cols, ", wanted whole windows of ", length, " x ", width);
  require(!input_wanted || (d_input.rows == rows && d_input.cols == width), Status::ShapeMismatch,
          "block backward: d_input is ", d_input.rows, " x ", d_input.cols, ", wanted ", rows, " x ", width);
  require(values.size() == program.slot_widths.size(), Status::ShapeMismatch, "block backward: got ", values.size(),
          " slots, wanted ", program.slot_widths.size());
  for (const int slot : plan.saved) {
    const auto& view = values[static_cast<std::size_t>(slot)];
    const Index wanted = program.slot_widths[static_cast<std::size_t>(slot)];
    require(view.data != nullptr && view.rows == rows && view.cols == wanted, Status::ShapeMismatch,
            "block backward: slot ", slot, view.data == nullptr ? " has no data, is " : " is ", view.rows, " x ",
            view.cols, ", wanted ", rows, " x ", wanted);
  }
}

}  // namespace detail

template <class S, class Backend>
std::vector<MatrixView<S>> Buffers<S, Backend>::views(const Context<Backend>& context, const BlockProgram& program,
                                                      const BufferPlan& plan, Index rows) {
  if (buffers_.size() < plan.widths.size()) buffers_.resize(plan.widths.size());
  for (std::size_t i = 0; i < plan.widths.size(); ++i) {
    const Index numbers = checked_product(rows, plan.widths[i]);
    if (buffers_[i].size() < numbers) buffers_[i] = context.template allocate<S>(1, numbers);
  }
  std::vector<MatrixView<S>> views(program.slot_widths.size());
  for (std::size_t slot = 0; slot < views.size(); ++slot)
    if (const int buffer = plan.of_slot[slot]; buffer >= 0)
      views[slot] = {buffers_[static_cast<std::size_t>(buffer)].data(), rows, program.slot_widths[slot]};
  return views;
}

template <class S, class Backend>
BackwardRunner<S, Backend>::BackwardRunner(const Context<Backend>& context, const BlockProgram& program, Index length,
                                           const WantedGradients& wanted)
    : context_(&context),
      program_(&program),
      length_(length),
      input_wanted_(wanted.input),
      plan_(plan_backward(program, wanted)) {
  require(length > 0, Status::InvalidArgument, "block backward: windows have ", length, " tokens, wanted 1 or more");
  rotary_ = upload(context, detail::rotary_table_of<S>(program, length));
}

template <class S, class Backend>
void BackwardRunner<S, Backend>::run(const BlockWeights<S, Backend>& weights, std::span<const MatrixView<S>> values,
                                     MatrixView<const S> d_output, Buffers<S, Backend>& buffers,
                                     LinearGradients<S, Backend>& gradients, bool add, MatrixView<S> d_input) const {
  detail::require_weights(*program_, weights);
  detail::require_values(*program_, plan_, values, d_output, input_wanted_, d_input, length_);
  gradients.resize(program_->linears.size());
  for (std::size_t i = 0; i < gradients.size(); ++i)
    require(gradients[i].empty() ||
                (gradients[i].rows() == program_->linears[i].rows && gradients[i].cols() == program_->linears[i].cols),
            Status::ShapeMismatch, "block backward: the gradient of ", program_->linears[i].module, " is ",
            gradients[i].rows(), " x ", gradients[i].cols(), ", wanted ", program_->linears[i].rows, " x ",
            program_->linears[i].cols);
  if (plan_.steps.empty()) return;
  auto slots = buffers.views(*context_, *program_, plan_.gradients, d_output.rows);
  add_backward<S>(*context_, d_output, {slots[static_cast<std::size_t>(program_->output)]});
  slots[static_cast<std::size_t>(program_->input)] = d_input;
  for (const BackwardStep& step : plan_.steps) {
    for (const int slot : step.cleared) set_zero(*context_, slots[static_cast<std::size_t>(slot)]);
    const detail::OpBackward<S, Backend> backward{*context_, weights, rotary_,   length_, values,
                                                  slots,     step,    gradients, add};
    std::visit(backward, program_->ops[static_cast<std::size_t>(step.op)]);
  }
}

template <class Backend>
BackwardBytes backward_bytes(const Context<Backend>& context, const BlockProgram& program, const BackwardPlan& plan,
                             Index tokens, Index length) {
  constexpr Index number = sizeof(float);
  BackwardBytes bytes{.values = checked_product(tokens, plan.values.width() * number),
                      .gradients = checked_product(tokens, plan.gradients.width() * number)};
  for (const BackwardStep& step : plan.steps) {
    const Op& op = program.ops[static_cast<std::size_t>(step.op)];
    if (const auto* linear = std::get_if<LinearOp>(&op); linear && step.weight) {
      const LinearInfo& info = program.linears[static_cast<std::size_t>(linear->linear)];
      bytes.weights += checked_product(info.rows, info.cols * number);
    }
    if (const auto* attention = std::get_if<AttentionOp>(&op)) {
      const AttentionShape shape = detail::attention_shape(*attention, length);
      const Index head_dim = attention->q.width / attention->heads;
      bytes.attention = std::max(bytes.attention, attention_backward_bytes<float>(context, shape, head_dim, tokens));
    }
  }
  return bytes;
}

}  // namespace halftone
