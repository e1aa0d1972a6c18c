// Attention (nn.hpp) on the device, with the softmax kept up as keys come by (Milakov and Gimelshein, "Online
// normalizer calculation for softmax", 2018, arXiv 1805.02867): no matrix of scores.
//
// A warp takes four queries of one head against every key that one of them sees; queries, running sums and the key are
// in its registers, channels spread over the lanes. For each query and key
//   m' = max(m, s);  l = l·exp(m − m') + exp(s − m');  y = y·exp(m − m') + exp(s − m')·v
// and y / l at the end. Work: 4·head_dim flops per query head, query and visible key, by plain float arithmetic; keys
// and values are read once for every four queries.
#include "attention.cuh"
#include "backend/nn_work.hpp"
#include "halftone/backend/cuda_nn.hpp"

namespace halftone {
namespace {

constexpr int queries_of_team = 4;

/// Slots: channels a lane holds.
template <class S, int Slots>
struct AttendQueries {
  static constexpr int lanes = 32, queries = queries_of_team;
  MatrixView<const S> q, k, v;
  AttentionShape shape;
  Index head_dim;
  MatrixView<S> y;

  /// Unit of work: (window · heads + head) · tiles + tile of queries.
  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const Index tiles = (shape.length + queries - 1) / queries, first = unit % tiles * queries;
    const Index head = unit / tiles % shape.heads, start = unit / tiles / shape.heads * shape.length;
    const Index column = head * head_dim, key_column = head / (shape.heads / shape.kv_heads) * head_dim;
    const int count = static_cast<int>(shape.length - first < queries ? shape.length - first : queries);

    typename T::template Lanes<S, queries * Slots> query, sum;
    typename T::template Lanes<S, queries> products;
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int i = 0; i < queries; ++i) HALFTONE_UNROLL
      for (int s = 0; s < Slots; ++s) {
        const Index c = s * lanes + lane;
        query(i * Slots + s, lane) = i < count && c < head_dim ? q(start + first + i, column + c) : S(0);
        sum(i * Slots + s, lane) = 0;
      }
    });
    S largest[queries], weight[queries];
    HALFTONE_UNROLL
    for (int i = 0; i < queries; ++i) {
      largest[i] = -std::numeric_limits<S>::infinity();
      weight[i] = 0;
    }
    const TokenRange keys = keys_of(shape, first, count);
    for (Index key = keys.first; key < keys.end; ++key) {
      const S *const k_row = k.row(start + key) + key_column, *const v_row = v.row(start + key) + key_column;
      team.each_lane([&](int lane) {
        HALFTONE_UNROLL
        for (int i = 0; i < queries; ++i) products(i, lane) = 0;
        HALFTONE_UNROLL
        for (int s = 0; s < Slots; ++s) {
          const Index c = s * lanes + lane;
          const S channel = c < head_dim ? k_row[c] : S(0);
          HALFTONE_UNROLL
          for (int i = 0; i < queries; ++i) products(i, lane) += query(i * Slots + s, lane) * channel;
        }
      });
      S kept[queries], share[queries];  // what the sums so far and this key's value are multiplied by
      HALFTONE_UNROLL
      for (int i = 0; i < queries; ++i) {
        const S score = attention_score(shape, team.fold(products, i, [](S a, S b) { return a + b; }));
        const bool seen = i < count && visible(shape, first + i, key);
        const S most = seen && score > largest[i] ? score : largest[i];
        kept[i] = most > largest[i] ? std::exp(largest[i] - most) : S(1);
        share[i] = seen ? std::exp(score - most) : S(0);
        weight[i] = weight[i] * kept[i] + share[i];
        largest[i] = most;
      }
      team.each_lane([&](int lane) {
        HALFTONE_UNROLL
        for (int s = 0; s < Slots; ++s) {
          const Index c = s * lanes + lane;
          const S channel = c < head_dim ? v_row[c] : S(0);
          HALFTONE_UNROLL
          for (int i = 0; i < queries; ++i) {
            S& total = sum(i * Slots + s, lane);
            total = total * kept[i] + share[i] * channel;
          }
        }
      });
    }
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int i = 0; i < queries; ++i) HALFTONE_UNROLL
      for (int s = 0; s < Slots; ++s) {
        const Index c = s * lanes + lane;
        if (i < count && c < head_dim) y(start + first + i, column + c) = sum(i * Slots + s, lane) / weight[i];
      }
    });
  }
};

}  // namespace

template <class S>
void attention(const Context<Cuda>& context, MatrixView<const S> q, std::type_identity_t<MatrixView<const S>> k,
               std::type_identity_t<MatrixView<const S>> v, const AttentionShape& shape,
               std::type_identity_t<MatrixView<S>> y) {
  detail::require_same("attention", q, MatrixView<const S>(y));
  detail::require_attention("attention", q, k, v, shape);
  const Index head_dim = q.cols / shape.heads;
  require(head_dim <= most_channels, Status::Unsupported, "attention: heads have ", head_dim,
          " channels, on this backend at most ", most_channels);
  constexpr Index together = queries_of_team;
  const Index units = q.rows / shape.length * shape.heads * ((shape.length + together - 1) / together);
  if (head_dim <= 64)
    each_row(context, units, AttendQueries<S, 2>{q, k, v, shape, head_dim, y});
  else if (head_dim <= 128)
    each_row(context, units, AttendQueries<S, 4>{q, k, v, shape, head_dim, y});
  else
    each_row(context, units, AttendQueries<S, 8>{q, k, v, shape, head_dim, y});
}

template void attention<float>(const Context<Cuda>&, MatrixView<const float>, MatrixView<const float>,
                               MatrixView<const float>, const AttentionShape&, MatrixView<float>);

}  // namespace halftone
