// Grids and the column loop, against the CPU's.
#include <algorithm>

#include "halftone/quant/binary_fit.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);

/// An upper factor whose diagonal is about 1 and whose rows do not make errors grow.
Matrix<float> factor(Index n, std::uint64_t seed) {
  Matrix<float> U = random_matrix<float>(n, n, seed, 0.03);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j <= i; ++j) U(i, j) = i == j ? 0.6f + 0.1f * static_cast<float>(i % 7) : 0.0f;
  return U;
}

/// What diffuse_block leaves behind.
struct Diffused {
  Matrix<float> W, E, before;
  Matrix<std::uint8_t> codes;
};

template <class Backend, template <class, class> class Grids, class... Given>
Diffused diffuse(const Context<Backend>& context, const Matrix<float>& W, const Matrix<float>& U,
                 const Matrix<float>* T, const GridOptions& options, const Given&... given) {
  Grids<float, Backend> grids(context, given..., options, W.rows(), options.groups(W.cols()));
  auto values = context.upload(W.view()), errors = context.upload(W.view()), before = context.upload(W.view());
  const auto weights = context.upload(W.view()), there = context.upload(U.view());
  grids.fit_all(context, weights.view(), nullptr);
  auto codes = context.template allocate<std::uint8_t>(W.rows(), W.cols());
  const auto groups = groups_of_columns(W.cols(), options.group_columns(W.cols()));
  SecondUpdate<float> second;
  typename Backend::template Matrix<float> moves, sums;
  if (T != nullptr) {
    moves = context.upload(T->view());
    const auto before_block = random_matrix<float>(W.rows(), W.cols(), 77, 0.01);
    sums = context.upload(before_block.view());
    second = {moves.view(), 0.5f, sums.view(), before.view()};
  }
  diffuse_block(context, grids.cells(groups.data()), there.view(), values.view(), errors.view(), codes.view(), second);
  return {context.download(std::as_const(values).view()), context.download(std::as_const(errors).view()),
          context.download(std::as_const(before).view()), context.download(std::as_const(codes).view())};
}

/// The first code of a row in which the two differ must come from a number within 1e-3 steps of a tie; what follows in
/// that row is another path. Returns the rows that differ.
Index rows_beyond_ties(const Diffused& here, const Diffused& there, const Matrix<float>& U, bool second,
                       Index& differing) {
  Index unexplained = 0;
  for (Index r = 0; r < here.W.rows(); ++r)
    for (Index j = 0; j < here.W.cols(); ++j) {
      if (here.codes(r, j) == there.codes(r, j)) continue;
      ++differing;
      const float w = second ? here.before(r, j) : here.W(r, j) + here.E(r, j) * U(j, j);
      const float a = here.W(r, j), b = there.W(r, j), step = std::abs(a - b), off = std::abs(w - 0.5f * (a + b));
      if (off > 1e-3f * step) ++unexplained;
      break;
    }
  return unexplained;
}

}  // namespace

TEST_CASE("uniform grids are fitted as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  struct {
    Index rows, cols;
    std::int64_t group;
  } const shapes[] = {{1, 1, -1}, {5, 40, 16}, {33, 200, 128}, {70, 37, -1}};
  for (const auto& shape : shapes)
    for (const GridSearch search : {GridSearch::MinMax, GridSearch::L24, GridSearch::Hessian, GridSearch::Owq})
      for (const bool symmetric : {false, true})
        for (const ScaleType type : {ScaleType::F16, ScaleType::F32}) {
          Matrix<float> W = random_matrix<float>(shape.rows, shape.cols, 3, 0.05);
          for (Index j = 0; j < shape.cols; ++j) W(0, j) = 0;  // a row of zeros
          for (Index j = 0; shape.rows > 2 && j < shape.cols; ++j)
            W(1, j) = std::abs(W(1, j));  // one without negatives
          Matrix<float> importance = random_matrix<float>(1, shape.cols, 4);
          for (Index j = 0; j < shape.cols; ++j) importance(0, j) = std::abs(importance(0, j));
          const GridOptions options{.bits = 3,
                                    .group_size = shape.group,
                                    .symmetric = symmetric,
                                    .search = search,
                                    .scale_type = type,
                                    .search_steps = 30};
          const Index groups = options.groups(shape.cols);
          UniformGrids<float, Cpu> here(cpu, options, shape.rows, groups);
          UniformGrids<float, Cuda> there(context, options, shape.rows, groups),
              single(context, options, shape.rows, groups);
          here.fit_all(cpu, W, importance.data());
          const auto weights = on_device(context, W), diagonal = on_device(context, importance);
          there.fit_all(context, weights.view(), diagonal.data());
          const UniformGrid a = here.stored(cpu, shape.cols), b = there.stored(context, shape.cols);
          Index differing = 0;
          for (Index i = 0; i < a.scales.size(); ++i)
            differing += a.scales.data()[i] != b.scales.data()[i] || a.zeros.data()[i] != b.zeros.data()[i] ? 1 : 0;
          INFO(static_cast<int>(search) << ' ' << symmetric << ' ' << shape.cols << ": " << differing << " of "
                                        << a.scales.size());
          CHECK(differing <=
                (search == GridSearch::MinMax ? 0 : a.scales.size() / 50));  // equal errors but for rounding
          const Index width = options.group_columns(shape.cols);
          for (Index g = 0; g < groups; ++g) {
            const Index count = std::min(width, shape.cols - g * width);
            single.fit(context, g, weights.view().middle_cols(g * width, count), diagonal.data() + g * width);
          }
          CHECK(single.stored(context, shape.cols).scales == b.scales);
          CHECK(single.stored(context, shape.cols).zeros == b.zeros);
        }
}

TEST_CASE("columns are rounded and their errors diffused as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  Index differing = 0, codes = 0;
  for (const Index width : {1, 7, 16, 100, 128, 129, 300})
    for (const int bits : {2, 3, 4})
      for (const bool second : {false, true}) {
        const Index rows = 37;
        const auto W = random_matrix<float>(rows, width, 5, 0.05), U = factor(width, 6);
        Matrix<float> T = random_matrix<float>(width, width, 7, 0.02);
        clear_lower(cpu, T.view());
        const GridOptions options{.bits = bits, .group_size = 48};
        const auto check = [&](const Diffused& here, const Diffused& there, const Diffused& again) {
          CHECK(rows_beyond_ties(here, there, U, second, differing) == 0);
          CHECK(there.codes == again.codes);
          CHECK(there.W == again.W);
          CHECK(there.E == again.E);
          codes += rows * width;
          if (here.codes == there.codes) {
            CHECK(relative_difference(there.E, here.E) <= 2e-4);
            CHECK(relative_difference(there.W, here.W) <= 1e-6);
            if (second) CHECK(relative_difference(there.before, here.before) <= 1e-4);
          }
        };
        const Matrix<float>* const twice = second ? &T : nullptr;
        check(diffuse<Cpu, UniformGrids>(cpu, W, U, twice, options),
              diffuse<Cuda, UniformGrids>(context, W, U, twice, options),
              diffuse<Cuda, UniformGrids>(context, W, U, twice, options));
        const BinaryCandidates candidates("test", options, BinaryOptions{.step1_bits = std::min(bits + 1, 4)});
        check(diffuse<Cpu, BinaryGrids>(cpu, W, U, twice, options, candidates),
              diffuse<Cuda, BinaryGrids>(context, W, U, twice, options, candidates),
              diffuse<Cuda, BinaryGrids>(context, W, U, twice, options, candidates));
      }
  std::printf("diffuse_block: %lld rows of %lld codes began to differ, each at a tie\n",
              static_cast<long long>(differing), static_cast<long long>(codes));
  CHECK(differing * 1000 <= codes);
}

TEST_CASE("rounding and clamping are the CPU's, bit for bit") {
  HALFTONE_DEVICE_CASE(context);
  const GridOptions options{.bits = 3, .group_size = 32};
  const auto W = random_matrix<float>(40, 100, 8, 0.05), other = random_matrix<float>(40, 100, 9, 0.3);
  const auto groups = groups_of_columns(100, 32);
  const auto check = [&](auto here, auto there) {
    here.fit_all(cpu, W, nullptr);
    const auto weights = on_device(context, W);
    there.fit_all(context, weights.view(), nullptr);
    for (const bool clamp : {false, true}) {
      Matrix<float> a = other;
      auto b = on_device(context, other);
      Matrix<std::uint8_t> codes(40, 100, 0);
      auto there_codes = on_device(context, codes);
      if (clamp) {
        clamp_block(cpu, here.cells(groups.data()), a.view());
        clamp_block(context, there.cells(groups.data()), b.view());
      } else {
        round_block(cpu, here.cells(groups.data()), a.view(), codes.view());
        round_block(context, there.cells(groups.data()), b.view(), there_codes.view());
      }
      CHECK(on_host(context, b) == a);
      CHECK(on_host(context, there_codes) == codes);
    }
  };
  check(UniformGrids<float, Cpu>(cpu, options, 40, 4), UniformGrids<float, Cuda>(context, options, 40, 4));
  const BinaryCandidates candidates("test", options, {});
  check(BinaryGrids<float, Cpu>(cpu, candidates, options, 40, 4),
        BinaryGrids<float, Cuda>(context, candidates, options, 40, 4));
}

TEST_CASE("binary-coded grids are fitted as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  struct {
    Index rows, cols;
    std::int64_t group;
    int bits, step1_bits;
  } const cases[] = {{1, 1, -1, 3, 5}, {9, 70, 32, 2, 4}, {12, 128, -1, 3, 5}, {3, 40, 20, 4, 5}};
  for (const auto& task : cases)
    for (const bool strict : {false, true})
      for (const bool weighted : {false, true}) {
        Matrix<float> W = random_matrix<float>(task.rows, task.cols, 10, 0.05);
        if (task.cols > 1)
          for (Index j = 0; j < task.cols; ++j) W(0, j) = 0.25f;  // a constant row
        Matrix<float> importance = random_matrix<float>(1, task.cols, 11);
        for (Index j = 0; j < task.cols; ++j) importance(0, j) = j < task.group ? 0.0f : std::abs(importance(0, j));
        const GridOptions options{.bits = task.bits, .group_size = task.group};
        const BinaryCandidates candidates("test", options, {.step1_bits = task.step1_bits, .strict = strict});
        const Index groups = options.groups(task.cols);
        BinaryGrids<float, Cpu> here(cpu, candidates, options, task.rows, groups);
        BinaryGrids<float, Cuda> there(context, candidates, options, task.rows, groups);
        const auto weights = on_device(context, W), diagonal = on_device(context, importance);
        here.fit_all(cpu, W, weighted ? importance.data() : nullptr);
        there.fit_all(context, weights.view(), weighted ? diagonal.data() : nullptr);
        const BinaryGrid a = here.stored(cpu, task.cols), b = there.stored(context, task.cols);
        CHECK(relative_difference(b.alphas, a.alphas) == 0);
        CHECK(relative_difference(b.biases, a.biases) == 0);
      }
}

TEST_CASE("where memory is short grids are fitted in smaller pieces, to the same bytes") {
  HALFTONE_DEVICE_CASE(context);
  const Index rows = 60, cols = 2000;
  const auto W = random_matrix<float>(rows, cols, 12, 0.05);
  const GridOptions options{.bits = 2, .group_size = -1};
  const BinaryCandidates candidates("test", options, {.shapes = BinaryShapes::Fast});
  const auto fit = [&](const Context<Cuda>& on) {
    BinaryGrids<float, Cuda> grids(on, candidates, options, rows, 1);
    const auto weights = on_device(on, W);
    grids.fit_all(on, weights.view(), nullptr);
    return grids.stored(on, cols);
  };
  const auto small = device_context({.memory_limit = context.memory_in_use() + (Index{9} << 18)});  // 2.25 MiB
  const BinaryGrid a = fit(context), b = fit(*small);
  CHECK(context.memory_peak() - context.memory_in_use() > Index{3} << 20);
  CHECK(a.alphas == b.alphas);
  CHECK(a.biases == b.biases);
  const auto none = device_context({.memory_limit = context.memory_in_use() + (Index{1} << 19)});
  CHECK(error_of([&] { fit(*none); }).find("out_of_memory: cuda context: ") == 0);
}
