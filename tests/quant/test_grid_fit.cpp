#include "halftone/quant/grid_fit.hpp"

#include <catch2/catch.hpp>

#include "random_matrix.hpp"

using namespace halftone;
using halftone::test::random_matrix;

TEST_CASE("fitting all groups is fitting each, on any number of threads") {
  const auto W = random_matrix<float>(130, 50, 1), importance = random_matrix<float>(1, 50, 2);
  Matrix<float> weights = importance;
  for (Index j = 0; j < 50; ++j) weights(0, j) *= weights(0, j);
  for (GridSearch search : {GridSearch::MinMax, GridSearch::L24, GridSearch::Hessian})
    for (std::int64_t group_size : {-1, 1, 16, 64}) {
      GridOptions options;
      options.bits = 3;
      options.group_size = group_size;
      options.search = search;
      const Index groups = options.groups(50), width = options.group_columns(50);
      const Context<Cpu> one(1), two(2);
      UniformGrids<float, Cpu> single(one, options, 130, groups), all = single, again = single;
      for (Index g = 0; g < groups; ++g)
        single.fit(one, g, std::as_const(W).view().middle_cols(g * width, std::min(width, 50 - g * width)),
                   weights.data() + g * width);
      all.fit_all(one, W, weights.data());
      again.fit_all(two, W, weights.data());
      CHECK(all.stored(one, 50).scales == single.stored(one, 50).scales);
      CHECK(all.stored(one, 50).zeros == single.stored(one, 50).zeros);
      CHECK(again.stored(two, 50).scales == all.stored(one, 50).scales);
      CHECK(again.stored(two, 50).zeros == all.stored(one, 50).zeros);
      CHECK(all.stored(one, 50).group_size == width);
    }
}

TEST_CASE("grid options out of bounds are refused by name") {
  const auto message = [](GridOptions options) {
    try {
      check_grid("gptq", options);
    } catch (const Error& error) {
      CHECK(error.status() == Status::InvalidArgument);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message({.bits = 9}) == "gptq: option 'bits' is 9, wanted 2 .. 8");
  CHECK(message({.group_size = 0}) == "gptq: option 'group_size' is 0, wanted -1 or 1 .. 1073741824");
  CHECK(message({.minimum_zero = 2}) == "gptq: option 'minimum_zero' is 2, wanted 0 .. 1");
  CHECK(message({}).empty());
}
