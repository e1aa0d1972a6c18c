// The solver on the CPU backend, compiled once.
#include "halftone/solver/diffusion_solver.hpp"

#include "halftone/solver/diffusion_solver.impl.hpp"

namespace halftone {

template class DiffusionSolver<float, Cpu>;
template class DiffusionSolver<double, Cpu>;

}  // namespace halftone
