// Primitives of a transformer beside its matrix products. Rows are tokens; a row's result depends on that row alone
// (attention: on its window), with one fixed order of sums: the same bytes for any number of threads and any chunks.
// Views must have unit stride along a row. An output may be its input (same data), but must not overlap it otherwise.
// All throw Status::ShapeMismatch. S is float or double; both are compiled into the library, and are nowhere else.
#pragma once

#include <cstdint>
#include <span>

#include "halftone/backend/activation.hpp"
#include "halftone/backend/cpu.hpp"

namespace halftone {

/// y = weight · x / √(mean x² + epsilon) over each of `groups` equal runs of a row's columns.
/// x, y [tokens, groups · width]; weight [width].
template <class S>
void rms_norm(const Context<Cpu>& context, MatrixView<const S> x, const S* weight, Index groups, double epsilon,
              MatrixView<S> y);

/// y = weight · (x − mean) / √(var + epsilon) + bias over each of `groups` runs; bias [width] or null.
template <class S>
void layer_norm(const Context<Cpu>& context, MatrixView<const S> x, const S* weight, const S* bias, Index groups,
                double epsilon, MatrixView<S> y);

/// Which channels of a head make rotary pair i.
enum class RotaryPairs : std::uint8_t {
  Halves,    ///< i and i + pairs (Llama)
  Adjacent,  ///< 2i and 2i + 1 (timm's EVA-02)
};

/// cos and sin of the angles by which pairs turn, [positions, pairs], computed in double and rounded once.
template <class S, class Backend = Cpu>
struct RotaryTable {
  typename Backend::template Matrix<S> cosine, sine;
  RotaryPairs layout = RotaryPairs::Halves;
};
/// A table where a backend computes.
template <class S, class Backend>
RotaryTable<S, Backend> upload(const Context<Backend>& context, const RotaryTable<S>& table) {
  return {context.upload(table.cosine.view()), context.upload(table.sine.view()), table.layout};
}
/// angles [positions, pairs] in radians.
template <class S>
RotaryTable<S> rotary_table(MatrixView<const double> angles, RotaryPairs layout);
/// Angles position · frequency, pairs of halves.
template <class S>
RotaryTable<S> rotary_table(std::span<const double> frequencies, Index positions);

/// Rotates the pairs of every head by the token's angles; channels from 2·pairs on stay.
/// x, y [windows · length, heads · head_dim]; the table has `length` positions or more: position = row mod length.
template <class S>
void apply_rotary(const Context<Cpu>& context, MatrixView<const S> x, const RotaryTable<S>& table, Index heads,
                  Index length, MatrixView<S> y);

struct AttentionShape {
  Index length = 0;               ///< tokens of a window; rows are whole windows
  Index heads = 0, kv_heads = 0;  ///< query head h reads key head h / (heads / kv_heads)
  double scale = 1;
  double soft_cap = 0;  ///< score becomes c·tanh(score / c); 0: it does not
  bool causal = true;
  Index window = 0;  ///< keys i − window + 1 .. i only (causal), |i − j| < window otherwise; 0: no limit
};

/// y = softmax(scale · q kᵀ + mask) v. q, y [tokens, heads · head_dim], k, v [tokens, kv_heads · head_dim].
/// Tiles of queries against their visible keys: no [length, length] matrix of more than one tile at a time. Units of
/// work are pairs of window and key head. y must not overlap q, k, v.
template <class S>
void attention(const Context<Cpu>& context, MatrixView<const S> q, MatrixView<const S> k, MatrixView<const S> v,
               const AttentionShape& shape, MatrixView<S> y);

/// y = act(gate) · up.
template <class S>
void gate(const Context<Cpu>& context, Activation activation, MatrixView<const S> gate, MatrixView<const S> up,
          MatrixView<S> y);
/// y = act(x).
template <class S>
void activate(const Context<Cpu>& context, Activation activation, MatrixView<const S> x, MatrixView<S> y);
/// y = a + b.
template <class S>
void add(const Context<Cpu>& context, MatrixView<const S> a, MatrixView<const S> b, MatrixView<S> y);
/// Adds bias [y.cols] to every row of y.
template <class S>
void add_bias(const Context<Cpu>& context, const S* bias, MatrixView<S> y);
/// x = cap · tanh(x / cap).
template <class S>
void soft_cap(const Context<Cpu>& context, double cap, MatrixView<S> x);

/// What a row of logits says: log Σ exp in float, its sum in double; index of the largest, the first of equal ones.
struct LogitSummary {
  double log_sum = 0;
  Index largest = 0;
};
/// Rows of x [tokens, vocabulary] -> out[tokens].
template <class S>
void summarize_logits(const Context<Cpu>& context, MatrixView<const S> x, LogitSummary* out);
/// KL(softmax(reference) ‖ softmax(x)) of every row in nats -> out[tokens]. The summaries belong to the two matrices.
template <class S>
void divergence(const Context<Cpu>& context, MatrixView<const S> reference, const LogitSummary* reference_summary,
                MatrixView<const S> x, const LogitSummary* summary, double* out);
/// out[t] = x(t, targets[t]). x [tokens, vocabulary]; every target is below the vocabulary.
template <class S>
void target_logits(const Context<Cpu>& context, MatrixView<const S> x, const std::int32_t* targets, S* out);

}  // namespace halftone
