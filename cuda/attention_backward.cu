// Gradients of attention (nn_backward.hpp) on the device. As FlashAttention's backward pass (Dao et al. 2022, arXiv
// 2205.14135, algorithm 4) nothing of size [length, length] is kept: scores are computed again, here once by queries
// and once by keys, so that every gradient has one team that sums it up, in one order. With z = cap(scale · q·k) and P
// = softmax z:
//
//   dV = Pᵀ dO,  dP = dO Vᵀ,  dZ = P (dP − D),  D = Σ_j P dP,  dS = dZ · cap'(z) · scale,  dQ = dS K,  dK = dSᵀ Q.
//
// Queries first: as in attention.cu the softmax is kept up as keys come by, and with it D and both sums of
//   dQ = scale · (Σ_j w (dP − ρ) cap' k_j − (D − ρ) · Σ_j w cap' k_j) / Σ_j w,   w = exp(z − max z).
// ρ, the dP of a query's first key, changes nothing but roundings: what all dP of a row share cancels before the sums.
// The pass leaves max z, 1 / Σ w and D of every row and head. Then keys, with P = exp(z − max z) / Σ w.
//
// A warp takes four rows of one head (two where heads have more than 128 channels), channels spread over the lanes.
// Work: 4 products of a channel by queries, 4 by keys, 16 · head_dim flops per query head, query and visible key, by
// plain float arithmetic; what a pass goes along is read once for every four rows.
#include "attention.cuh"
#include "backend/nn_work.hpp"
#include "halftone/backend/cuda_nn_backward.hpp"

namespace halftone {
namespace {

template <class S>
struct AttentionInputs {
  MatrixView<const S> q, k, v, dy;
  AttentionShape shape;
  Index head_dim;
};

/// What the pass over queries leaves of each row and head, [tokens · heads, 3].
enum RowNumbers { Largest, Inverse, Mean, row_numbers };

/// `Count` neighbouring queries of a head. Slots: channels a lane holds.
template <class S, int Slots, int Count>
struct QueryGradients {
  static constexpr int lanes = 32;
  AttentionInputs<S> in;
  Gradient<S> dq;
  MatrixView<S> numbers;

  /// Sums of a query so far: Σ w, Σ w (dP − ρ), max z, and ρ.
  struct Row {
    S weight, mean, largest, shift;
  };
  /// What a key changes: what the sums so far are multiplied by, w cap', and w cap' (dP − ρ).
  struct Change {
    S kept, pull, push;
  };

  HALFTONE_HOST_DEVICE Change take(Row& row, S product, S dp) const {
    const S z = attention_score(in.shape, product);
    const S most = z > row.largest ? z : row.largest;
    const bool first = row.weight == 0;
    if (first) row.shift = dp;
    const S kept = first ? S(1) : std::exp(row.largest - most), w = std::exp(z - most);
    row.weight = row.weight * kept + w;
    row.mean = row.mean * kept + w * (dp - row.shift);
    row.largest = most;
    const S pull = w * attention_slope(in.shape, z);
    return {kept, pull, pull * (dp - row.shift)};
  }

  /// Unit of work: (window · heads + head) · tiles + tile of queries.
  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const AttentionShape& shape = in.shape;
    const Index tiles = (shape.length + Count - 1) / Count, first = unit % tiles * Count;
    const Index head = unit / tiles % shape.heads, start = unit / tiles / shape.heads * shape.length;
    const Index column = head * in.head_dim, key_column = head / (shape.heads / shape.kv_heads) * in.head_dim;
    const int count = static_cast<int>(shape.length - first < Count ? shape.length - first : Count);
    const auto plus = [](S a, S b) { return a + b; };

    typename T::template Lanes<S, Count * Slots> query, slope, pushed, pulled;
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int i = 0; i < Count; ++i) {
        const Index channels = i < count ? in.head_dim : 0, row = start + first + (i < count ? i : 0);
        load_channels<S, Slots>(in.q.row(row) + column, channels, lane, i * Slots, query);
        load_channels<S, Slots>(in.dy.row(row) + column, channels, lane, i * Slots, slope);
        HALFTONE_UNROLL
        for (int s = 0; s < Slots; ++s) pushed(i * Slots + s, lane) = pulled(i * Slots + s, lane) = 0;
      }
    });
    Row rows[Count];
    HALFTONE_UNROLL
    for (int i = 0; i < Count; ++i) rows[i] = {S(0), S(0), -std::numeric_limits<S>::infinity(), S(0)};

    const TokenRange keys = keys_of(shape, first, count);
    for (Index key = keys.first; key < keys.end; ++key) {
      typename T::template Lanes<S, Slots> k, v;
      typename T::template Lanes<S, 2 * Count> products;  // q·k, then dO·v
      team.each_lane([&](int lane) {
        load_channels<S, Slots>(in.k.row(start + key) + key_column, in.head_dim, lane, 0, k);
        load_channels<S, Slots>(in.v.row(start + key) + key_column, in.head_dim, lane, 0, v);
        HALFTONE_UNROLL
        for (int i = 0; i < Count; ++i) {
          products(i, lane) = products(Count + i, lane) = 0;
          HALFTONE_UNROLL
          for (int s = 0; s < Slots; ++s) {
            products(i, lane) += query(i * Slots + s, lane) * k(s, lane);
            products(Count + i, lane) += slope(i * Slots + s, lane) * v(s, lane);
          }
        }
      });
      Change changes[Count];
      HALFTONE_UNROLL
      for (int i = 0; i < Count; ++i) {
        const S product = team.fold(products, i, plus), dp = team.fold(products, Count + i, plus);
        const bool seen = i < count && visible(shape, first + i, key);
        changes[i] = seen ? take(rows[i], product, dp) : Change{S(1), S(0), S(0)};
      }
      team.each_lane([&](int lane) {
        HALFTONE_UNROLL
        for (int i = 0; i < Count; ++i) HALFTONE_UNROLL
        for (int s = 0; s < Slots; ++s) {
          S &push = pushed(i * Slots + s, lane), &pull = pulled(i * Slots + s, lane);
          push = push * changes[i].kept + changes[i].push * k(s, lane);
          pull = pull * changes[i].kept + changes[i].pull * k(s, lane);
        }
      });
    }
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int i = 0; i < Count; ++i) {
        if (i >= count) continue;
        const Index row = start + first + i;
        const S inverse = S(1) / rows[i].weight, mean = rows[i].mean * inverse;
        if (lane == 0) {
          S* const left = numbers.row(row * shape.heads + head);
          left[Largest] = rows[i].largest;
          left[Inverse] = inverse;
          left[Mean] = mean + rows[i].shift;
        }
        if (dq.to.data == nullptr) continue;
        const S factor = static_cast<S>(shape.scale) * inverse;
        HALFTONE_UNROLL
        for (int s = 0; s < Slots; ++s) {
          const Index c = s * lanes + lane;
          if (c >= in.head_dim) continue;
          S& to = dq.to(row, column + c);
          const S gradient = factor * (pushed(i * Slots + s, lane) - mean * pulled(i * Slots + s, lane));
          to = dq.add ? to + gradient : gradient;
        }
      }
    });
  }
};

/// `Count` neighbouring keys of a key head, against every query head that reads it, in order.
template <class S, int Slots, int Count>
struct KeyGradients {
  static constexpr int lanes = 32;
  AttentionInputs<S> in;
  MatrixView<const S> numbers;
  Gradient<S> dk, dv;

  /// Unit of work: (window · kv_heads + head) · tiles + tile of keys.
  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const AttentionShape& shape = in.shape;
    const Index tiles = (shape.length + Count - 1) / Count, first = unit % tiles * Count;
    const Index head = unit / tiles % shape.kv_heads, start = unit / tiles / shape.kv_heads * shape.length;
    const Index column = head * in.head_dim, group = shape.heads / shape.kv_heads;
    const int count = static_cast<int>(shape.length - first < Count ? shape.length - first : Count);
    const auto plus = [](S a, S b) { return a + b; };

    typename T::template Lanes<S, Count * Slots> k, v, k_sum, v_sum;
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int i = 0; i < Count; ++i) {
        const Index channels = i < count ? in.head_dim : 0, row = start + first + (i < count ? i : 0);
        load_channels<S, Slots>(in.k.row(row) + column, channels, lane, i * Slots, k);
        load_channels<S, Slots>(in.v.row(row) + column, channels, lane, i * Slots, v);
        HALFTONE_UNROLL
        for (int s = 0; s < Slots; ++s) k_sum(i * Slots + s, lane) = v_sum(i * Slots + s, lane) = 0;
      }
    });
    const TokenRange queries = queries_of(shape, first, count);
    const Index seen = queries.end - queries.first;
    for (Index step = 0; step < group * seen; ++step) {
      const Index query_head = head * group + step / seen, token = queries.first + step % seen;
      const Index query_column = query_head * in.head_dim;
      typename T::template Lanes<S, Slots> query, slope;
      typename T::template Lanes<S, 2 * Count> products;  // q·k, then dO·v
      team.each_lane([&](int lane) {
        load_channels<S, Slots>(in.q.row(start + token) + query_column, in.head_dim, lane, 0, query);
        load_channels<S, Slots>(in.dy.row(start + token) + query_column, in.head_dim, lane, 0, slope);
        HALFTONE_UNROLL
        for (int i = 0; i < Count; ++i) {
          products(i, lane) = products(Count + i, lane) = 0;
          HALFTONE_UNROLL
          for (int s = 0; s < Slots; ++s) {
            products(i, lane) += query(s, lane) * k(i * Slots + s, lane);
            products(Count + i, lane) += slope(s, lane) * v(i * Slots + s, lane);
          }
        }
      });
      const S* const row = numbers.row((start + token) * shape.heads + query_head);
      S share[Count], pull[Count];  // P and dS
      HALFTONE_UNROLL
      for (int i = 0; i < Count; ++i) {
        const S z = attention_score(shape, team.fold(products, i, plus)), dp = team.fold(products, Count + i, plus);
        const bool counts = i < count && visible(shape, token, first + i);
        share[i] = counts ? std::exp(z - row[Largest]) * row[Inverse] : S(0);
        pull[i] = share[i] * (dp - row[Mean]) * attention_slope(shape, z) * static_cast<S>(shape.scale);
      }
      team.each_lane([&](int lane) {
        HALFTONE_UNROLL
        for (int i = 0; i < Count; ++i) HALFTONE_UNROLL
        for (int s = 0; s < Slots; ++s) {
          k_sum(i * Slots + s, lane) += pull[i] * query(s, lane);
          v_sum(i * Slots + s, lane) += share[i] * slope(s, lane);
        }
      });
    }
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int i = 0; i < Count; ++i) HALFTONE_UNROLL
      for (int s = 0; s < Slots; ++s) {
        const Index c = s * lanes + lane, row = start + first + i;
        if (i >= count || c >= in.head_dim) continue;
        if (dk.to.data != nullptr) {
          S& to = dk.to(row, column + c);
          to = dk.add ? to + k_sum(i * Slots + s, lane) : k_sum(i * Slots + s, lane);
        }
        if (dv.to.data != nullptr) {
          S& to = dv.to(row, column + c);
          to = dv.add ? to + v_sum(i * Slots + s, lane) : v_sum(i * Slots + s, lane);
        }
      }
    });
  }
};

template <int Slots, int Count, class S>
void run_passes(const Context<Cuda>& context, const AttentionInputs<S>& in, MatrixView<S> numbers,
                const Gradient<S>& dq, const Gradient<S>& dk, const Gradient<S>& dv) {
  const Index windows = in.q.rows / in.shape.length, tiles = (in.shape.length + Count - 1) / Count;
  each_row(context, windows * in.shape.heads * tiles, QueryGradients<S, Slots, Count>{in, dq, numbers});
  if (dk.wanted() || dv.wanted())
    each_row(context, windows * in.shape.kv_heads * tiles, KeyGradients<S, Slots, Count>{in, numbers, dk, dv});
}

}  // namespace

template <class S>
void attention_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> q,
                        std::type_identity_t<MatrixView<const S>> k, std::type_identity_t<MatrixView<const S>> v,
                        const AttentionShape& shape, std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dq,
                        Gradient<S> dk, Gradient<S> dv) {
  constexpr const char* who = "attention_backward";
  detail::require_same(who, q, dy);
  detail::require_attention(who, q, k, v, shape);
  if (dq.wanted()) detail::require_same(who, q, dq.to);
  if (dk.wanted()) detail::require_same(who, k, dk.to);
  if (dv.wanted()) detail::require_same(who, v, dv.to);
  if (!dq.wanted() && !dk.wanted() && !dv.wanted()) return;
  const Index head_dim = q.cols / shape.heads;
  require(head_dim <= most_channels, Status::Unsupported, who, ": heads have ", head_dim,
          " channels, on this backend at most ", most_channels);
  auto numbers = context.allocate<S>(q.rows * shape.heads, row_numbers);
  const AttentionInputs<S> in{q, k, v, dy, shape, head_dim};
  if (head_dim <= 64)
    run_passes<2, 4>(context, in, numbers.view(), dq, dk, dv);
  else if (head_dim <= 128)
    run_passes<4, 4>(context, in, numbers.view(), dq, dk, dv);
  else
    run_passes<8, 2>(context, in, numbers.view(), dq, dk, dv);
}

template <class S>
Index attention_backward_bytes(const Context<Cuda>&, const AttentionShape& shape, Index, Index tokens) {
  return checked_product(tokens, shape.heads * row_numbers * static_cast<Index>(sizeof(S)));
}

template void attention_backward<float>(const Context<Cuda>&, MatrixView<const float>, MatrixView<const float>,
                                        MatrixView<const float>, const AttentionShape&, MatrixView<const float>,
                                        Gradient<float>, Gradient<float>, Gradient<float>);
template Index attention_backward_bytes<float>(const Context<Cuda>&, const AttentionShape&, Index, Index);

}  // namespace halftone
