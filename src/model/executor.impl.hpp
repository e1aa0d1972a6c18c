// The bodies of executor.hpp, which each backend compiles once.
#pragma once

#include <utility>  // as_const

#include "halftone/model/executor.hpp"
#include "model/block_operands.hpp"

namespace halftone {
namespace detail {

/// Executes one operation on a chunk: an overload for each type.
template <class S, class Backend>
struct OpRunner {
  const Context<Backend>& context;
  const BlockWeights<S, Backend>& weights;
  const RotaryTable<S, Backend>& rotary;
  Index length;
  std::span<const MatrixView<S>> slots;
  std::span<const typename Backend::template Matrix<BFloat16>> halves;
  RoundedInput<Backend>& rounded;

  MatrixView<S> view(const Operand& operand) const {
    return slots[static_cast<std::size_t>(operand.slot)].middle_cols(operand.column, operand.width);
  }
  MatrixView<const S> in(const Operand& operand) const { return view(operand); }
  const S* parameter(int index) const {
    return index < 0 ? nullptr : weights.parameters[static_cast<std::size_t>(index)].data();
  }

  void operator()(const NormOp& op) const {
    if (op.layer_norm)
      layer_norm<S>(context, in(op.in), parameter(op.weight), parameter(op.bias), op.groups, op.epsilon, view(op.out));
    else
      rms_norm<S>(context, in(op.in), parameter(op.weight), op.groups, op.epsilon, view(op.out));
  }
  /// The linear in bfloat16; without data where it is to be multiplied as it is.
  MatrixView<const BFloat16> half(std::size_t linear) const {
    if (weights.is_half(linear)) return weights.halves[linear].view();
    return halves.empty() ? MatrixView<const BFloat16>() : halves[linear].view();
  }

  void operator()(const LinearOp& op) const {
    const auto index = static_cast<std::size_t>(op.linear);
    if (const auto W = half(index); W.data != nullptr)
      multiply_half(op, W);
    else
      gemm<S>(context, Transpose::No, Transpose::Yes, S(1), in(op.in), weights.linears[index].view(), S(0),
              view(op.out));
    if (!weights.biases[index].empty()) add_bias<S>(context, weights.biases[index].data(), view(op.out));
  }
  void multiply_half(const LinearOp& op, MatrixView<const BFloat16> W) const {
    if constexpr (may_round<S, Backend>) {
      const MatrixView<const S> x = in(op.in);
      if (!(rounded.operand == op.in)) {
        rounded_to_bfloat(context, x, rounded.values);
        rounded.operand = op.in;
      }
      gemm<BFloat16>(context, Transpose::No, Transpose::Yes,
                     std::as_const(rounded.values).view().middle_rows(0, x.rows), W, false, view(op.out));
    }
  }
  void operator()(const RopeOp& op) const {
    apply_rotary<S>(context, in(op.in), rotary, op.heads, length, view(op.out));
  }
  void operator()(const AttentionOp& op) const {
    attention<S>(context, in(op.q), in(op.k), in(op.v), attention_shape(op, length), view(op.out));
  }
  void operator()(const GateOp& op) const { gate<S>(context, op.activation, in(op.gate), in(op.up), view(op.out)); }
  void operator()(const ActivationOp& op) const { activate<S>(context, op.activation, in(op.in), view(op.out)); }
  void operator()(const AddOp& op) const { add<S>(context, in(op.a), in(op.b), view(op.out)); }
};

}  // namespace detail

template <class S, class Backend>
BlockRunner<S, Backend>::BlockRunner(const Context<Backend>& context, const BlockProgram& program, Index length)
    : context_(&context), program_(&program), length_(length) {
  require(length > 0, Status::InvalidArgument, "block: windows have ", length, " tokens, wanted 1 or more");
  rotary_ = upload(context, detail::rotary_table_of<S>(program, length));
  scratch_.resize(program.slot_widths.size());
}

template <class S, class Backend>
void BlockRunner<S, Backend>::run(Index first, Index last, const BlockWeights<S, Backend>& weights,
                                  std::span<const MatrixView<S>> slots) {
  require(0 <= first && first <= last && last <= program_->size(), Status::InvalidArgument, "block: operations are ",
          first, " .. ", last, ", wanted a range in 0 .. ", program_->size());
  detail::require_weights(*program_, weights);
  const Index rows = detail::chunk_rows<S>(*program_, slots, length_);
  rounded_.operand.slot = -1;
  std::vector<MatrixView<S>> views(slots.begin(), slots.end());
  for (Index i = first; i < last; ++i) {
    const Op& op = program_->ops[static_cast<std::size_t>(i)];
    const auto out = static_cast<std::size_t>(operand_written(op).slot);
    if (views[out].data == nullptr) {
      auto& matrix = scratch_[out];
      if (matrix.rows() < rows) matrix = context_->template allocate<S>(rows, program_->slot_widths[out]);
      views[out] = matrix.view().middle_rows(0, rows);
    }
    for (const Operand& operand : operands_read(op))
      require(views[static_cast<std::size_t>(operand.slot)].data != nullptr, Status::ShapeMismatch, "block: operation ",
              i, " reads slot ", operand.slot, ", which has no data");
    std::visit(detail::OpRunner<S, Backend>{*context_, weights, rotary_, length_, views, halves_, rounded_}, op);
    if (rounded_.operand.slot == static_cast<int>(out)) rounded_.operand.slot = -1;  // written over
  }
}

}  // namespace halftone
