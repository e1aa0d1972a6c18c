// Moves of codes and refits, against the CPU's, on one solved layer.
#include <algorithm>

#include "halftone/quant/binary_fit.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);
constexpr Index rows = 60, width = 144;

/// A rounded layer, its target and moments, and G = (Q − T) H, as all refinement starts.
struct Layer {
  Matrix<float> target, H, Q, G;
  Matrix<std::uint8_t> codes;
};

template <class Grids>
Layer layer_of(const Grids& grids) {
  Layer layer{random_matrix<float>(rows, width, 1, 0.05),
              Matrix<float>(width, width),
              {},
              Matrix<float>(rows, width),
              Matrix<std::uint8_t>(rows, width)};
  const auto X = random_inputs<float>(300, width, 2);
  gemm<float>(cpu, Transpose::Yes, Transpose::No, 1.0f / 300, X, X, 0, layer.H);
  mirror_upper(cpu, layer.H.view());
  for (Index i = 0; i < width; ++i) layer.H(i, i) += 0.1f;
  layer.Q = layer.target;
  const auto groups = groups_of_columns(width, 48);
  round_block(cpu, grids.cells(groups.data()), layer.Q.view(), layer.codes.view());
  Matrix<float> difference = layer.Q;
  add_scaled(cpu, difference.view(), -1.0f, layer.target.view());
  gemm<float>(cpu, Transpose::No, Transpose::No, 1, difference, layer.H, 0, layer.G);
  return layer;
}

/// One pass over the columns 3, 8, ..., 100 of them, the last two kept.
template <class Backend, class Grids>
Layer moved(const Context<Backend>& context, const Grids& grids, const Layer& layer, bool search, Index& moves,
            Matrix<float>& E) {
  std::vector<std::int32_t> columns;
  std::vector<std::uint8_t> kept(width, 0);
  for (Index i = 0; i < 100; ++i) columns.push_back(static_cast<std::int32_t>((3 + 5 * i) % width));
  if (!search) kept[static_cast<std::size_t>(columns[98])] = kept[static_cast<std::size_t>(columns[99])] = 1;
  const auto groups = groups_of_columns(width, 48);
  Matrix<float> own(100, 100);
  for (Index i = 0; i < 100; ++i)
    for (Index j = 0; j < 100; ++j)
      own(i, j) = layer.H(columns[static_cast<std::size_t>(i)], columns[static_cast<std::size_t>(j)]);
  const auto H = context.upload(std::as_const(own).view());
  const auto G = context.upload(layer.G.view());
  auto Q = context.upload(layer.Q.view());
  auto codes = context.upload(layer.codes.view());
  auto errors = context.template allocate<float>(rows, 100);
  const RefinedColumns<float> block{columns.data(), 100,          H.view(),      G.view(),
                                    Q.view(),       codes.view(), errors.view(), search ? nullptr : kept.data(),
                                    ScaleType::F16};
  const auto cells = grids.cells(groups.data());
  moves = search ? search_columns(context, cells, block) : descend_columns(context, cells, block);
  E = context.download(std::as_const(errors).view());
  return {layer.target, layer.H, context.download(std::as_const(Q).view()), layer.G,
          context.download(std::as_const(codes).view())};
}

double objective(const Layer& layer) {
  Matrix<float> difference = layer.Q, G(rows, width);
  add_scaled(cpu, difference.view(), -1.0f, layer.target.view());
  gemm<float>(cpu, Transpose::No, Transpose::No, 1, difference, layer.H, 0, G);
  return residual_product<float>(cpu, layer.Q, layer.target, G);
}

template <class Here, class There>
void check_moves(const Context<Cuda>& context, Here& here, There& there) {
  Matrix<float> importance(1, width, 1.0f);
  const auto target = random_matrix<float>(rows, width, 1, 0.05);
  const auto weights = on_device(context, target);
  here.fit_all(cpu, target, nullptr);
  there.fit_all(context, weights.view(), nullptr);
  const Layer layer = layer_of(here);
  for (const bool search : {false, true}) {
    Index moves = 0, moves_there = 0, differing = 0;
    Matrix<float> E, E_there;
    const Layer a = moved(cpu, here, layer, search, moves, E);
    const Layer b = moved(context, there, layer, search, moves_there, E_there);
    for (Index r = 0; r < rows; ++r)
      differing += std::equal(a.codes.row(r), a.codes.row(r) + width, b.codes.row(r)) ? 0 : 1;
    INFO((search ? "search: " : "descent: ")
         << differing << " of " << rows << " rows differ, " << moves << " and " << moves_there << " moves");
    CHECK(moves > rows);
    CHECK(differing <= 3);  // a tie between two moves
    CHECK(std::abs(static_cast<double>(moves - moves_there)) <= 20.0 * static_cast<double>(differing));
    CHECK(objective(b) == Approx(objective(a)).epsilon(differing == 0 ? 1e-5 : 1e-2));
    CHECK(objective(b) < objective(layer));
    if (differing > 0) continue;
    CHECK(relative_difference(E_there, E) <= 1e-6);
    CHECK(relative_difference(b.Q, a.Q) <= 1e-6);
  }
}

}  // namespace

TEST_CASE("codes descend and search as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  for (const int bits : {2, 3, 4}) {
    const GridOptions options{.bits = bits, .group_size = 48};
    UniformGrids<float, Cpu> here(cpu, options, rows, 3);
    UniformGrids<float, Cuda> there(context, options, rows, 3);
    check_moves(context, here, there);
    const BinaryCandidates candidates("test", options, {.step1_bits = std::min(bits + 1, 4)});
    BinaryGrids<float, Cpu> binary_here(cpu, candidates, options, rows, 3);
    BinaryGrids<float, Cuda> binary_there(context, candidates, options, rows, 3);
    check_moves(context, binary_here, binary_there);
  }
}

TEST_CASE("scales and planes are refitted as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  const GridOptions options{.bits = 3, .group_size = 48};
  const auto check = [&](auto& here, auto& there, auto&& parameters) {
    const auto target = random_matrix<float>(rows, width, 1, 0.05);
    const auto weights = on_device(context, target);
    here.fit_all(cpu, target, nullptr);
    there.fit_all(context, weights.view(), nullptr);
    Layer layer = layer_of(here);
    auto Q = on_device(context, layer.Q), G = on_device(context, layer.G);
    auto codes = on_device(context, layer.codes);
    const auto H = on_device(context, layer.H);
    for (const Index group : {0, 2}) {
      std::vector<std::int32_t> columns;
      for (Index j = group * 48; j < (group + 1) * 48; ++j) columns.push_back(static_cast<std::int32_t>(j));
      const Index a = here.refit(cpu, group,
                                 RefitTask<float>{columns.data(), 48, layer.H.view().middle_rows(group * 48, 48),
                                                  layer.Q, layer.G, layer.codes});
      const Index b = there.refit(
          context, group, RefitTask<float>{columns.data(), 48, H.view().middle_rows(group * 48, 48), Q, G, codes});
      CHECK(a == b);
      CHECK(a > rows / 2);
    }
    CHECK(on_host(context, codes) == layer.codes);
    CHECK(relative_difference(on_host(context, Q), layer.Q) <= 1e-6);
    CHECK(relative_difference(on_host(context, G), layer.G) <= 1e-4);
    parameters(here.stored(cpu, width), there.stored(context, width));
  };
  UniformGrids<float, Cpu> here(cpu, options, rows, 3);
  UniformGrids<float, Cuda> there(context, options, rows, 3);
  check(here, there, [](const UniformGrid& a, const UniformGrid& b) { CHECK(a.scales == b.scales); });
  const BinaryCandidates candidates("test", options, {});
  BinaryGrids<float, Cpu> binary_here(cpu, candidates, options, rows, 3);
  BinaryGrids<float, Cuda> binary_there(context, candidates, options, rows, 3);
  check(binary_here, binary_there, [](const BinaryGrid& a, const BinaryGrid& b) {
    CHECK(a.alphas == b.alphas);
    CHECK(a.biases == b.biases);
  });
}

TEST_CASE("rows are gathered, scaled and added as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  const auto A = random_matrix<float>(9, 70, 3), B = random_matrix<float>(9, 70, 4),
             factors = random_matrix<float>(1, 9, 5);
  const auto there_A = on_device(context, A), there_B = on_device(context, B),
             there_factors = on_device(context, factors);
  const std::int32_t list[] = {8, 0, 3, 3};
  Matrix<float> out(4, 70);
  auto there_out = context.allocate<float>(4, 70);
  gather_rows<float>(cpu, A, list, out.view());
  gather_rows<float>(context, there_A, list, there_out.view());
  CHECK(on_host(context, there_out) == out);
  Matrix<float> scaled = A;
  auto there_scaled = context.copy(there_A.view());
  scale_rows(cpu, scaled.view(), factors.data());
  scale_rows(context, there_scaled.view(), there_factors.data());
  CHECK(on_host(context, there_scaled) == scaled);
  add_scaled_rows<float>(cpu, scaled, factors.data(), B);
  add_scaled_rows<float>(context, there_scaled, there_factors.data(), there_B);
  CHECK(relative_difference(on_host(context, there_scaled), scaled) <= 1e-6);
  CHECK(residual_product<float>(context, there_A, there_B, there_A) ==
        Approx(residual_product<float>(cpu, A, B, A)).epsilon(1e-12));
  const RefinedColumns<float> wide{list, 129, {}, {}, {}, {}, {}, nullptr, ScaleType::F16};
  CHECK(error_of([&] { descend_columns(context, UniformCells<float>{}, wide); }).find("unsupported: descend_columns") ==
        0);
}
