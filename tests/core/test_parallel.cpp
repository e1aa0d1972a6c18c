#include "halftone/core/parallel.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

#include "halftone/core/random.hpp"

using namespace halftone;

TEST_CASE("each index runs once on any number of threads") {
  for (int threads : {1, 2, 5})
    for (Index count : {0, 1, 2, 97}) {
      std::vector<int> seen(static_cast<std::size_t>(count), 0);
      parallel_for(threads, count, [&](Index i) { ++seen[static_cast<std::size_t>(i)]; });
      CHECK(seen == std::vector<int>(static_cast<std::size_t>(count), 1));
    }
}

TEST_CASE("pieces cover the range and do not depend on the threads") {
  std::vector<int> seen(10, 0);
  parallel_pieces(2, 10, 4, [&](Index first, Index last) {
    CHECK(first % 4 == 0);
    for (Index i = first; i < last; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  CHECK(seen == std::vector<int>(10, 1));
}

TEST_CASE("the first exception leaves a parallel loop, also a nested one") {
  for (int threads : {1, 2})
    CHECK_THROWS_AS(parallel_for(threads, 50,
                                 [](Index i) {
                                   if (i % 7 == 3) throw std::domain_error("no");
                                 }),
                    std::domain_error);
  CHECK_THROWS_AS(parallel_for(2, 2, [](Index) { parallel_for(2, 3, [](Index) { throw std::range_error("no"); }); }),
                  std::range_error);
}

TEST_CASE("shuffles are the same everywhere and lose nothing") {
  std::vector<int> items{0, 1, 2, 3, 4, 5, 6, 7};
  Random random(7);
  shuffle(std::span(items), random);
  CHECK(items != std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
  std::vector<int> again{0, 1, 2, 3, 4, 5, 6, 7};
  Random same(7);
  shuffle(std::span(again), same);
  CHECK(items == again);
  std::sort(items.begin(), items.end());
  CHECK(items == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
}
