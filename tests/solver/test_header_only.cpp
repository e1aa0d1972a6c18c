// The solvers without the library: this program links halftone::headers alone.
#include <catch2/catch.hpp>

#include "halftone/solver/gptq.hpp"
#include "halftone/solver/rtn.hpp"
#include "random_matrix.hpp"
#include "skeleton_solver.hpp"

#if defined(HALFTONE_COMPILED)
#error "this test must not see the compiled library"
#endif

using namespace halftone;

namespace {

template <class S, class Solver>
double error_of(const Context<Cpu>& context, typename Solver::Options options) {
  const auto X = test::random_inputs<S>(80, 30, 1);
  InputStatistics<S> statistics(context, 30, Moments::Second);
  statistics.add(X);
  options.grid.bits = 3;
  const Solver solver(context, options);
  return solver.quantize(test::random_matrix<S>(6, 30, 2), solver.prepare(statistics)).report.relative_error;
}

}  // namespace

TEST_CASE("header-only: RTN, GPTQ and the skeleton solve a layer") {
  const Context<Cpu> context(2);
  const double solved = error_of<float, GptqSolver<float, Cpu>>(context, {});
  CHECK(solved < 0.8 * error_of<float, RtnSolver<float, Cpu>>(context, {}));
  CHECK(error_of<double, GptqSolver<double, Cpu>>(context, {}) == Approx(solved).epsilon(0.02));
  CHECK(error_of<float, SkeletonSolver<float, Cpu>>(context, {}) == Approx(solved).epsilon(1e-3));
}
