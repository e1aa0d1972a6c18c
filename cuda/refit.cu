// Refitting scales and planes of codes that stay (refit.hpp) on the device: 32 lanes share a row, sums in double.
#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/quant/plane_fit.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

template <class S>
struct RefitScale {
  static constexpr int lanes = 32;
  MatrixView<const S> C, P, G;
  const std::int32_t* columns;
  bool whole;  ///< P holds all columns
  ScaleType type;
  S *scales, *steps;
  MatrixView<S> Q;
  unsigned long long* changed;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index r) const {
    const double a = team_sum(team, C.cols, [&](Index t) {
      return static_cast<double>(C(r, t)) * static_cast<double>(P(r, whole ? columns[t] : t));
    });
    const double b = team_sum(
        team, C.cols, [&](Index t) { return static_cast<double>(C(r, t)) * static_cast<double>(G(r, columns[t])); });
    typename T::template Lanes<S> old;
    team.each_lane([&](int lane) { old(0, lane) = scales[r]; });
    const double before = static_cast<double>(team.get(old, 0, 0)), wanted = before - b / a;
    S scale = S(0);
    double step = 0;
    bool better = a > 0 && wanted > 0;
    if (better) {
      scale = round_scale(static_cast<S>(wanted), type);
      step = static_cast<double>(scale) - before;
      better = step * (2 * b + a * step) < 0;
    }
    team.each_lane([&](int lane) {
      if (better)
        for (Index t = lane; t < C.cols; t += lanes) Q(r, columns[t]) = scale * C(r, t);
      if (lane != 0) return;
      steps[r] = better ? static_cast<S>(step) : S(0);
      if (!better) return;
      scales[r] = scale;
      team.add(changed, 1);
    });
  }
};

template <class S>
struct RefitPlanes {
  static constexpr int lanes = 32;
  MatrixView<const S> A, P, G;
  const S* ones_H;
  RefittedBinary<S> refitted;
  const std::int32_t* columns;
  MatrixView<S> Q, D;
  unsigned long long* changed;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index r) const {
    detail::PlaneRow row;
    equations(team, r, row);
    typename T::template Lanes<float, max_steps + 1> parameters;  // of the row, read before any lane writes
    team.each_lane([&](int lane) {
      for (int i = 0; i < row.size; ++i)
        parameters(i, lane) = i + 1 < row.size ? refitted.grid.alphas(i, r) : refitted.grid.biases[r];
    });
    float old[max_steps + 1];
    for (int i = 0; i < row.size; ++i) old[i] = team.get(parameters, i, 0);
    const bool better = detail::solve_planes(old, refitted.type, row);
    detail::PlaneTables<S> tables;
    if (better) detail::tabulate_planes(row, tables);
    team.each_lane([&](int lane) {
      if (lane == 0 && better) {
        detail::store_grid(row, tables, refitted.grid, r);
        team.add(changed, 1);
      }
      for (Index t = lane; t < D.cols; t += lanes) {
        D(r, t) = S(0);
        if (!better) continue;
        std::uint8_t& code = refitted.codes(r, columns[t]);
        code = tables.code_of[code];
        const S value = static_cast<S>(tables.level_of[code]);
        D(r, t) = value - Q(r, columns[t]);
        Q(r, columns[t]) = value;
      }
    });
  }

 private:
  template <class T>
  HALFTONE_HOST_DEVICE void equations(const T& team, Index r, detail::PlaneRow& row) const {
    const Index width = D.cols, rows = Q.rows;
    const int k = static_cast<int>(A.rows / rows);
    row.size = k + 1;
    const auto g = [&](Index t) { return static_cast<double>(G(r, columns[t])); };
    for (int i = 0; i < k; ++i) {
      const auto a = [&](Index t) { return static_cast<double>(A(i * rows + r, t)); };
      for (int j = i; j < k; ++j)
        row.M[i][j] = row.M[j][i] =
            team_sum(team, width, [&](Index t) { return a(t) * static_cast<double>(P(j * rows + r, t)); });
      row.M[i][k] = row.M[k][i] = team_sum(team, width, [&](Index t) { return a(t) * static_cast<double>(ones_H[t]); });
      row.b[i] = team_sum(team, width, [&](Index t) { return a(t) * g(t); });
    }
    row.M[k][k] = team_sum(team, width, [&](Index t) { return static_cast<double>(ones_H[t]); });
    row.b[k] = team_sum(team, width, g);
  }
};

}  // namespace

template <class S>
void centred_codes(const Context<Cuda>& context, std::type_identity_t<MatrixView<const std::uint8_t>> codes,
                   const std::int32_t* columns, const S* zeros, MatrixView<S> out) {
  const auto list = context.upload(MatrixView<const std::int32_t>(columns, 1, out.cols));
  const std::int32_t* const at = list.data();
  each_element(
      context, out.rows, out.cols,
      HALFTONE_LAMBDA(Index r, Index t) { out(r, t) = static_cast<S>(codes(r, at[t])) - zeros[r]; });
}

template <class S>
Index refit_scales(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> C,
                   std::type_identity_t<MatrixView<const S>> P, std::type_identity_t<MatrixView<const S>> G,
                   const std::int32_t* columns, ScaleType type, S* scales, S* steps, MatrixView<S> Q) {
  const auto list = context.upload(MatrixView<const std::int32_t>(columns, 1, C.cols));
  auto changed = context.template allocate<unsigned long long>(1, 1);
  set_zero(context, changed.view());
  each_row(context, C.rows,
           RefitScale<S>{C, P, G, list.data(), P.cols == Q.cols, type, scales, steps, Q, changed.data()});
  return static_cast<Index>(context.download(std::as_const(changed).view())(0, 0));
}

template <class S>
void sign_planes(const Context<Cuda>& context, std::type_identity_t<MatrixView<const std::uint8_t>> codes,
                 const std::int32_t* columns, int bits, MatrixView<S> out) {
  require(out.rows == bits * codes.rows, Status::ShapeMismatch, "sign_planes: out has ", out.rows, " rows, wanted ",
          bits * codes.rows);
  const auto list = context.upload(MatrixView<const std::int32_t>(columns, 1, out.cols));
  const std::int32_t* const at = list.data();
  const Index rows = codes.rows;
  each_element(
      context, out.rows, out.cols, HALFTONE_LAMBDA(Index line, Index t) {
        out(line, t) = (codes(line % rows, at[t]) >> (line / rows) & 1) != 0 ? S(1) : S(-1);
      });
}

template <class S>
Index refit_planes(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> A,
                   std::type_identity_t<MatrixView<const S>> P, const S* ones_H,
                   std::type_identity_t<MatrixView<const S>> G, const RefittedBinary<S>& refitted, MatrixView<S> Q,
                   MatrixView<S> D) {
  const auto list = context.upload(MatrixView<const std::int32_t>(refitted.columns, 1, D.cols));
  auto changed = context.template allocate<unsigned long long>(1, 1);
  set_zero(context, changed.view());
  each_row(context, Q.rows, RefitPlanes<S>{A, P, G, ones_H, refitted, list.data(), Q, D, changed.data()});
  return static_cast<Index>(context.download(std::as_const(changed).view())(0, 0));
}

template void centred_codes<float>(const Context<Cuda>&, MatrixView<const std::uint8_t>, const std::int32_t*,
                                   const float*, MatrixView<float>);
template Index refit_scales<float>(const Context<Cuda>&, MatrixView<const float>, MatrixView<const float>,
                                   MatrixView<const float>, const std::int32_t*, ScaleType, float*, float*,
                                   MatrixView<float>);
template void sign_planes<float>(const Context<Cuda>&, MatrixView<const std::uint8_t>, const std::int32_t*, int,
                                 MatrixView<float>);
template Index refit_planes<float>(const Context<Cuda>&, MatrixView<const float>, MatrixView<const float>, const float*,
                                   MatrixView<const float>, const RefittedBinary<float>&, MatrixView<float>,
                                   MatrixView<float>);

}  // namespace halftone
