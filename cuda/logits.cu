// What rows of logits say (nn.hpp) on the device, a warp for each row: the logits stay there, a few numbers a token
// come to the host. All are bound by the bytes of the logits: read twice by summarize_logits, once by divergence.
#include <cmath>
#include <limits>

#include "backend/nn_work.hpp"
#include "halftone/backend/cuda_nn.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

/// log Σ exp x = x_max + log Σ exp(x − x_max): terms in S, their sum in double; and the first place of x_max.
template <class S>
struct SummarizeRow {
  static constexpr int lanes = 32;
  MatrixView<const S> x;
  LogitSummary* out;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    const S* const in = x.row(row);
    const Index count = x.cols;
    typename T::template Lanes<S> largest;
    typename T::template Lanes<Index> place;
    team.each_lane([&](int lane) {
      S most = -std::numeric_limits<S>::infinity();
      Index at = lane;
      for (Index j = lane; j < count; j += lanes)
        if (in[j] > most) {
          most = in[j];
          at = j;
        }
      largest(0, lane) = most;
      place(0, lane) = at;
    });
    const S most = team.fold(largest, 0, [](S a, S b) { return a > b ? a : b; });
    team.each_lane([&](int lane) {
      if (largest(0, lane) < most) place(0, lane) = count;
    });
    const Index first = team.fold(place, 0, [](Index a, Index b) { return a < b ? a : b; });
    // Of NaN and of nothing but −∞ this is NaN, as on the CPU.
    const double sum = team_sum(team, count, [&](Index j) { return static_cast<double>(std::exp(in[j] - most)); });
    team.each_lane([&](int lane) {
      if (lane == 0) out[row] = {static_cast<double>(most) + std::log(sum), first};
    });
  }
};

/// Σ p (log p − log q), p = exp(x − log Σ exp x) in S, the rest in double.
template <class S>
struct DivergeRow {
  static constexpr int lanes = 32;
  MatrixView<const S> reference, x;
  const double *reference_log_sums, *log_sums;
  double* out;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    const S *const a = reference.row(row), *const b = x.row(row);
    const double shift = log_sums[row] - reference_log_sums[row];
    const S log_sum = static_cast<S>(reference_log_sums[row]);
    const double total = team_sum(team, x.cols, [&](Index j) {
      return static_cast<double>(std::exp(a[j] - log_sum)) *
             (static_cast<double>(a[j]) - static_cast<double>(b[j]) + shift);
    });
    team.each_lane([&](int lane) {
      if (lane == 0) out[row] = total;
    });
  }
};

/// The log-sums of rows, on the device.
CudaMatrix<double> log_sums(const Context<Cuda>& context, const LogitSummary* summaries, Index rows) {
  Matrix<double> list(1, rows);
  for (Index i = 0; i < rows; ++i) list(0, i) = summaries[i].log_sum;
  return context.upload(std::as_const(list).view());
}

}  // namespace

template <class S>
void summarize_logits(const Context<Cuda>& context, MatrixView<const S> x, LogitSummary* out) {
  require(x.cols > 0, Status::ShapeMismatch, "summarize_logits: got no columns, wanted 1 or more");
  auto summaries = context.template allocate<LogitSummary>(1, x.rows);
  each_row(context, x.rows, SummarizeRow<S>{x, summaries.data()});
  context.template transfer<LogitSummary>(summaries.view(), MatrixView<LogitSummary>(out, 1, x.rows), Transfer::ToHost);
}

template <class S>
void divergence(const Context<Cuda>& context, MatrixView<const S> reference, const LogitSummary* reference_summary,
                std::type_identity_t<MatrixView<const S>> x, const LogitSummary* summary, double* out) {
  detail::require_same("divergence", reference, x);
  const auto of_reference = log_sums(context, reference_summary, x.rows), of_x = log_sums(context, summary, x.rows);
  auto sums = context.template allocate<double>(1, x.rows);
  each_row(context, x.rows, DivergeRow<S>{reference, x, of_reference.data(), of_x.data(), sums.data()});
  context.template transfer<double>(sums.view(), MatrixView<double>(out, 1, x.rows), Transfer::ToHost);
}

template <class S>
void target_logits(const Context<Cuda>& context, MatrixView<const S> x, const std::int32_t* targets, S* out) {
  const auto list = context.upload(MatrixView<const std::int32_t>(targets, 1, x.rows));
  auto picked = context.template allocate<S>(1, x.rows);
  const std::int32_t* const column = list.data();
  S* const to = picked.data();
  each_element(
      context, 1, x.rows, HALFTONE_LAMBDA(Index, Index row) { to[row] = x(row, column[row]); });
  context.template transfer<S>(picked.view(), MatrixView<S>(out, 1, x.rows), Transfer::ToHost);
}

template void summarize_logits<float>(const Context<Cuda>&, MatrixView<const float>, LogitSummary*);
template void divergence<float>(const Context<Cuda>&, MatrixView<const float>, const LogitSummary*,
                                MatrixView<const float>, const LogitSummary*, double*);
template void target_logits<float>(const Context<Cuda>&, MatrixView<const float>, const std::int32_t*, float*);

}  // namespace halftone
