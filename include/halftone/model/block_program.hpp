// One transformer block as data: a list of typed operations on numbered slots. The forward pass (executor.hpp) walks
// the list; a backward pass walks the same list from the end. Which matrices share an input (a stage), and which slots
// must survive between two operations, are derived from the list and written nowhere else.
//
// A slot is a matrix [tokens, width]. Every column of a slot is written by one operation, before anything reads it
// (single assignment), so a backward pass finds all values where the forward pass left them.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "halftone/backend/nn.hpp"
#include "halftone/model/config.hpp"

namespace halftone {

/// Columns [column, column + width) of a slot. A fused projection is one slot of which its parts are ranges.
struct Operand {
  int slot = 0;
  Index column = 0, width = 0;

  friend bool operator==(const Operand&, const Operand&) = default;
};

/// RMSNorm y = g·x/√(mean x² + ε) or LayerNorm y = g·(x − mean)/√(var + ε) + b, of each of `groups` equal runs of
/// columns.
struct NormOp {
  bool layer_norm = false;
  int weight = 0;    ///< parameter g [in.width / groups]
  int bias = -1;     ///< parameter b; −1: none
  Index groups = 1;  ///< heads, for a norm per head
  double epsilon = 0;
  Operand in, out;
};

/// out = in · Wᵀ (+ bias).
struct LinearOp {
  int linear = 0;  ///< index into BlockProgram::linears
  Operand in, out;
};

/// Rotates the pairs of each head by the angles of BlockProgram::rotary; channels behind the last pair stay.
struct RopeOp {
  Index heads = 0;
  Operand in, out;  ///< [tokens, heads · head_dim]
};

/// out = softmax(scale · q kᵀ, soft cap, mask) v per head; query head h reads key head h / (heads / kv_heads).
struct AttentionOp {
  Index heads = 0, kv_heads = 0;
  double scale = 1, soft_cap = 0;
  bool causal = true;
  Index window = 0;  ///< a token sees itself and window − 1 before it; 0: no such limit
  Operand q, k, v, out;
};

/// out = act(gate) · up.
struct GateOp {
  Activation activation = Activation::Silu;
  Operand gate, up, out;
};

/// out = act(in).
struct ActivationOp {
  Activation activation = Activation::Relu;
  Operand in, out;
};

/// out = a + b.
struct AddOp {
  Operand a, b, out;
};

using Op = std::variant<NormOp, LinearOp, RopeOp, AttentionOp, GateOp, ActivationOp, AddOp>;

/// A weight matrix [rows, cols] = [out, in] of the block.
struct LinearInfo {
  std::string module;  ///< in the checkpoint, "model.layers.0.self_attn.q_proj"
  Index rows = 0, cols = 0;
  bool bias = false;  ///< [rows]: <module>.bias, or `bias_pieces`
  /// Where the bias is stored as tensors of other names: each is that of `rows` rows from `first` on; the rest is 0.
  struct BiasPiece {
    std::string name;
    Index first = 0, rows = 0;
  };
  std::vector<BiasPiece> bias_pieces = {};
};

/// A vector of the block that is no linear layer's: weights and biases of norms.
struct ParameterInfo {
  std::string name;  ///< in the checkpoint, "model.layers.0.input_layernorm.weight"
  Index width = 0;
  double offset = 0;  ///< added to what is stored: 1 for norms that store weight − 1
};

/// Matrices that read the same input, hence share its statistics: a maximal run of LinearOps with the same `in`.
struct Stage {
  Index first_op = 0, last_op = 0;  ///< ops [first_op, last_op), all LinearOps
  Operand input;
  std::vector<int> linears;  ///< in the order of the ops
};

/// The positions by which rotary pairs turn. On a line, the token at t turns pair i by t · frequency_i. On a grid,
/// `prefix` tokens (a class token) do not turn, and the cells follow row by row: that at (y, x) turns the first half of
/// the pairs by y · row_step · frequency_i, the others by x · col_step · frequency_i.
struct RotaryPositions {
  std::vector<double> frequencies;  ///< by pair, radians per position; empty: no rotation
  RotaryPairs layout = RotaryPairs::Halves;
  Index rows = 0, cols = 0, prefix = 0;  ///< of the grid; 0: a line
  double row_step = 1, col_step = 1;
};
/// [length, pairs], radians. Throws Status::ShapeMismatch unless `length` is the grid's.
Matrix<double> rotary_angles(const RotaryPositions& positions, Index length);

struct BlockProgram {
  std::vector<Op> ops;
  std::vector<Index> slot_widths;
  int input = 0, output = 0;  ///< slots of the hidden state before and after the block, full width
  std::vector<LinearInfo> linears;
  std::vector<ParameterInfo> parameters;
  std::vector<Stage> stages;  ///< in order: q,k,v | o | gate,up | down
  RotaryPositions rotary;

  Index slots() const { return static_cast<Index>(slot_widths.size()); }
  Index size() const { return static_cast<Index>(ops.size()); }
};

/// The program of block `block` of a model. `prefix_model`: false where the checkpoint's names lack the leading
/// `model.`.
BlockProgram build_block_program(const ModelConfig& config, Index block, bool prefix_model = true);

/// Operands that an operation reads, and the one that it writes.
std::vector<Operand> operands_read(const Op& op);
Operand operand_written(const Op& op);

/// Slots that must survive at op index `at` (0 .. size): written by ops before `at` (or the block's input), and read by
/// an op from `at` on (or the block's output). Ascending.
std::vector<int> live_slots(const BlockProgram& program, Index at);

/// For every slot that comes to life between ops `first` and `last`: a slot that dies there, as wide, whose place it
/// can take, because nothing reads that one once this one is written (an AddOp may read what it writes over). −1 for
/// all other slots, and where there is none; no slot is given twice.
std::vector<int> places_taken(const BlockProgram& program, Index first, Index last);

/// The stages of a list of operations.
std::vector<Stage> find_stages(const std::vector<Op>& ops);

}  // namespace halftone
