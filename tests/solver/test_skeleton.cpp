// The solver to copy (examples/skeleton_solver.hpp) is a solver, and GPTQ; a program can wrap one of its own.
#include "skeleton_solver.hpp"

#include <catch2/catch.hpp>

#include "halftone/solver/quantizer_of.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("the skeleton is GPTQ with its defaults, in both precisions") {
  const Layer<float> layer(9, 50, 90, 1);
  const Method method = method_of<SkeletonSolver<float, Cpu>>();
  const auto quantizer = method.make(layer.context, {{"bits", "3"}, {"group_size", "16"}});
  CHECK(quantizer->name() == "skeleton");
  CHECK_FALSE(quantizer->act_order());
  CHECK(same_codes(quantizer->quantize(layer.W, layer.statistics), layer.gptq(gptq_options(3, 16))));

  const Layer<double> exact(9, 50, 90, 1);
  SkeletonOptions options;
  options.grid = gptq_options(3, 16).grid;
  const SkeletonSolver<double, Cpu> solver(exact.context, options);
  CHECK(same_codes(solver.quantize(exact.W, solver.prepare(exact.statistics)), exact.gptq(gptq_options(3, 16))));
}

TEST_CASE("what is no solver is none") {
  struct Empty {};
  STATIC_REQUIRE(Solver<SkeletonSolver<float, Cpu>>);
  STATIC_REQUIRE(SolverFor<SkeletonSolver<double, Cpu>, double, Cpu>);
  STATIC_REQUIRE_FALSE(Solver<SkeletonSolver<double, Cpu>>);
  STATIC_REQUIRE_FALSE(Solver<Empty>);
}
