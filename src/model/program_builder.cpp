// From a row of the table of architectures to the operations of a block. Every block is two sublayers, attention and
// MLP, each with its norms and its residual sum; the flags of the row say which variant.
#include "halftone/model/block_program.hpp"

namespace halftone {
namespace {

class ProgramBuilder {
 public:
  ProgramBuilder(const ModelConfig& config, Index block, bool prefix_model)
      : c_(config), a_(*config.architecture), window_(config.windows[static_cast<std::size_t>(block)]) {
    constexpr std::string_view prefix = "model.";
    std::string_view blocks = a_.blocks;
    if (!prefix_model && blocks.starts_with(prefix)) blocks.remove_prefix(prefix.size());
    where_ = concat(blocks, ".", block, ".");
  }

  BlockProgram build() {
    const Operand input = slot(c_.hidden);
    const Operand middle =
        sublayer(input, a_.attention_norm, a_.after_attention_norm, [&](Operand x) { return attention(x); });
    const Operand output = sublayer(middle, a_.mlp_norm, a_.after_mlp_norm, [&](Operand x) { return mlp(x); });
    program_.input = input.slot;
    program_.output = output.slot;
    program_.stages = find_stages(program_.ops);
    return std::move(program_);
  }

 private:
  /// A new slot, whole.
  Operand slot(Index width) {
    program_.slot_widths.push_back(width);
    return {static_cast<int>(program_.slots()) - 1, 0, width};
  }
  static Operand columns(const Operand& whole, Index first, Index width) {
    return {whole.slot, whole.column + first, width};
  }

  int parameter(std::string_view module, const char* suffix, Index width, double offset) {
    program_.parameters.push_back({concat(where_, module, suffix), width, offset});
    return static_cast<int>(program_.parameters.size()) - 1;
  }

  void linear(std::string_view module, const Operand& in, const Operand& out, bool bias) {
    program_.linears.push_back({.module = concat(where_, module), .rows = out.width, .cols = in.width, .bias = bias});
    program_.ops.push_back(LinearOp{static_cast<int>(program_.linears.size()) - 1, in, out});
  }

  /// Norm of each of `groups` runs of columns.
  void norm(std::string_view module, const Operand& in, const Operand& out, Index groups) {
    const Index width = in.width / groups;
    NormOp op{.layer_norm = a_.layer_norm, .groups = groups, .epsilon = c_.norm_epsilon, .in = in, .out = out};
    op.weight = parameter(module, ".weight", width, a_.norm_weight_minus_one ? 1 : 0);
    if (a_.layer_norm) op.bias = parameter(module, ".bias", width, 0);
    program_.ops.push_back(op);
  }
  Operand normed(std::string_view module, const Operand& in) {
    const Operand out = slot(in.width);
    norm(module, in, out, 1);
    return out;
  }

  /// x + after(body(before(x))), or before(x + body(x)) where norms come last.
  template <class Body>
  Operand sublayer(const Operand& x, std::string_view before, std::string_view after, Body body) {
    Operand y = body(c_.norm_first ? normed(before, x) : x);
    if (!after.empty()) y = normed(after, y);
    const Operand sum = slot(c_.hidden);
    program_.ops.push_back(AddOp{x, y, sum});
    return c_.norm_first ? sum : normed(before, sum);
  }

  Operand attention(const Operand& x) {
    const Index q = c_.heads * c_.head_dim, kv = c_.kv_heads * c_.head_dim;
    const Operand all = slot(q + 2 * kv);
    if (!a_.qkv.empty()) {
      linear(a_.qkv, x, all, c_.qkv_bias);
      if (!a_.q_bias.empty())
        program_.linears.back().bias_pieces = {{concat(where_, a_.q_bias), 0, q},
                                               {concat(where_, a_.v_bias), q + kv, kv}};
    } else {
      linear(a_.q, x, columns(all, 0, q), c_.qkv_bias);
      linear(a_.k, x, columns(all, q, kv), c_.qkv_bias && a_.key_bias);
      linear(a_.v, x, columns(all, q + kv, kv), c_.qkv_bias);
    }
    const Operand turned = rotated(head_normed(columns(all, 0, q + kv)));
    const Operand mixed = slot(q), out = slot(c_.hidden);
    program_.ops.push_back(AttentionOp{.heads = c_.heads,
                                       .kv_heads = c_.kv_heads,
                                       .scale = c_.attention_scale,
                                       .soft_cap = c_.attention_soft_cap,
                                       .causal = !c_.reads_images(),
                                       .window = window_,
                                       .q = columns(turned, 0, q),
                                       .k = columns(turned, q, kv),
                                       .v = columns(all, q + kv, kv),
                                       .out = mixed});
    linear(a_.o, mixed, out, c_.o_bias);
    return out;
  }

  /// q and k, side by side, after the norms of their heads.
  Operand head_normed(const Operand& qk) {
    if (a_.q_norm.empty()) return qk;
    const Index q = c_.heads * c_.head_dim, k = c_.kv_heads * c_.head_dim;
    const Operand out = slot(qk.width);
    norm(a_.q_norm, columns(qk, 0, q), columns(out, 0, q), c_.heads);
    norm(a_.k_norm, columns(qk, q, k), columns(out, q, k), c_.kv_heads);
    return out;
  }

  Operand rotated(const Operand& qk) {
    if (!a_.positions.empty()) return qk;
    program_.rotary = {.frequencies = rotary_frequencies(c_)};
    if (c_.reads_images()) {
      const Index rows = c_.image.rows(), cols = c_.image.cols();
      program_.rotary.layout = RotaryPairs::Adjacent;
      program_.rotary.rows = rows, program_.rotary.cols = cols, program_.rotary.prefix = 1;
      program_.rotary.row_step = static_cast<double>(c_.image.reference_rows) / static_cast<double>(rows);
      program_.rotary.col_step = static_cast<double>(c_.image.reference_cols) / static_cast<double>(cols);
    }
    const Operand out = slot(qk.width);
    program_.ops.push_back(RopeOp{c_.heads + c_.kv_heads, qk, out});
    return out;
  }

  Operand mlp(const Operand& x) {
    const Operand inner = slot(c_.inner);
    if (a_.gate.empty() && a_.gate_up.empty()) {
      const Operand up = slot(c_.inner);
      linear(a_.up, x, up, c_.mlp_bias);
      program_.ops.push_back(ActivationOp{c_.activation, up, inner});
    } else {
      const Operand both = slot(2 * c_.inner), gate = columns(both, 0, c_.inner),
                    up = columns(both, c_.inner, c_.inner);
      if (!a_.gate_up.empty()) {
        linear(a_.gate_up, x, both, c_.mlp_bias);
      } else {
        linear(a_.gate, x, gate, c_.mlp_bias);
        linear(a_.up, x, up, c_.mlp_bias);
      }
      program_.ops.push_back(GateOp{c_.activation, gate, up, inner});
    }
    const Operand out = slot(c_.hidden);
    linear(a_.down, a_.inner_norm.empty() ? inner : normed(a_.inner_norm, inner), out, c_.mlp_bias);
    return out;
  }

  const ModelConfig& c_;
  const Architecture& a_;
  Index window_;
  std::string where_;  ///< "model.layers.3."
  BlockProgram program_;
};

}  // namespace

BlockProgram build_block_program(const ModelConfig& config, Index block, bool prefix_model) {
  return ProgramBuilder(config, block, prefix_model).build();
}

}  // namespace halftone
