// What the forward and the backward pass of a block share: what they refuse, and shapes.
#pragma once

#include <algorithm>  // find, max

#include "halftone/model/executor.hpp"

namespace halftone::detail {

/// True if the slot is in the list.
inline bool contains(const std::vector<int>& slots, int slot) {
  return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

inline AttentionShape attention_shape(const AttentionOp& op, Index length) {
  return {.length = length,
          .heads = op.heads,
          .kv_heads = op.kv_heads,
          .scale = op.scale,
          .soft_cap = op.soft_cap,
          .causal = op.causal,
          .window = op.window};
}

/// The table of a program's rotary positions; empty without rotation.
template <class S>
RotaryTable<S> rotary_table_of(const BlockProgram& program, Index length) {
  if (program.rotary.frequencies.empty()) return {};
  return rotary_table<S>(rotary_angles(program.rotary, length).view(), program.rotary.layout);
}

/// Throws unless `weights` has what `program` wants.
template <class S, class Backend>
void require_weights(const BlockProgram& program, const BlockWeights<S, Backend>& weights) {
  require(weights.linears.size() == program.linears.size() && weights.biases.size() == program.linears.size() &&
              weights.parameters.size() == program.parameters.size(),
          Status::ShapeMismatch, "block: weights have ", weights.linears.size(), " matrices, ", weights.biases.size(),
          " biases and ", weights.parameters.size(), " parameters, wanted ", program.linears.size(), ", ",
          program.linears.size(), " and ", program.parameters.size());
  for (std::size_t i = 0; i < program.linears.size(); ++i) {
    const LinearInfo& want = program.linears[i];
    const auto& b = weights.biases[i];
    const auto check = [&](const auto& W) {
      require(W.rows() == want.rows && W.cols() == want.cols, Status::ShapeMismatch, "block: ", want.module, " is ",
              W.rows(), " x ", W.cols(), ", wanted ", want.rows, " x ", want.cols);
    };
    weights.is_half(i) ? check(weights.halves[i]) : check(weights.linears[i]);
    require(b.size() == (want.bias ? want.rows : 0), Status::ShapeMismatch, "block: the bias of ", want.module, " has ",
            b.size(), " elements, wanted ", want.bias ? want.rows : 0);
  }
  for (std::size_t i = 0; i < program.parameters.size(); ++i)
    require(weights.parameters[i].size() == program.parameters[i].width, Status::ShapeMismatch,
            "block: ", program.parameters[i].name, " has ", weights.parameters[i].size(), " elements, wanted ",
            program.parameters[i].width);
}

/// Rows of the chunk: those of every slot that has data. Throws where they differ or are no whole windows.
template <class S>
Index chunk_rows(const BlockProgram& program, std::span<const MatrixView<S>> slots, Index length) {
  require(slots.size() == program.slot_widths.size(), Status::ShapeMismatch, "block: got ", slots.size(),
          " slots, wanted ", program.slot_widths.size());
  Index rows = -1;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].data == nullptr) continue;
    if (rows < 0) rows = slots[i].rows;
    require(slots[i].rows == rows && slots[i].cols == program.slot_widths[i] && rows % length == 0,
            Status::ShapeMismatch, "block: slot ", i, " is ", slots[i].rows, " x ", slots[i].cols, ", wanted ", rows,
            " x ", program.slot_widths[i], " and whole windows of ", length);
  }
  return std::max<Index>(rows, 0);
}

}  // namespace halftone::detail
