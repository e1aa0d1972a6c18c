// Every method by its class: the one list that the registries of all backends are made of.
// To add one: its header, its test, a line here. See docs/adding_a_solver.md.
#pragma once

#include <type_traits>

#include "halftone/solver/best.hpp"
#include "halftone/solver/gptq.hpp"
#include "halftone/solver/gptqt.hpp"
#include "halftone/solver/gptqv2.hpp"
#include "halftone/solver/owq.hpp"
#include "halftone/solver/rtn.hpp"

namespace halftone {

/// visit(std::type_identity<Solver>()) for every method on a backend, in the order in which --help lists them.
template <class Backend, class Visit>
void each_method(Visit&& visit) {
  visit(std::type_identity<RtnSolver<float, Backend>>());
  visit(std::type_identity<GptqSolver<float, Backend>>());
  visit(std::type_identity<GptqV2Solver<float, Backend>>());
  visit(std::type_identity<OwqSolver<float, Backend>>());
  visit(std::type_identity<GptqtSolver<float, Backend>>());
  visit(std::type_identity<BestSolver<float, Backend>>());
}

}  // namespace halftone
