// Context<Backend>: where the work is done, and the only long-lived state of the library.
//
// A backend is a tag type and a short list of primitives: free functions whose first argument is its context. Solvers
// and models are templates over the backend and call nothing else; they know neither Eigen nor CUDA. The CPU's list:
//
//   linear_algebra.hpp   gemm, gemm_upper, mirror_upper, inverse_factor
//   quantize.hpp         fit_uniform_grid, diffuse_block
//   nn.hpp               norms, rotary embedding, attention, activations
//   nn_backward.hpp      their gradients, squared error
//
// Every primitive gives the same bytes for any number of threads.
#pragma once

#include <concepts>

#include "halftone/core/matrix.hpp"

namespace halftone {

template <class Backend>
class Context;

/// Which side of a copy is the host's; within: both are the backend's.
enum class Transfer { FromHost, ToHost, Within };

/// The memory verbs that every context has. A `Backend::template Matrix<T>` owns memory where the backend computes, a
/// `Backend::template HostMatrix<T>` memory of the host that it copies from and to fastest.
template <class Backend>
concept BackendTag = requires(const Context<Backend>& context, MatrixView<const float> view, MatrixView<float> to) {
  { context.template allocate<float>(Index{1}, Index{1}) } -> std::same_as<typename Backend::template Matrix<float>>;
  { context.upload(view) } -> std::same_as<typename Backend::template Matrix<float>>;
  { context.copy(view) } -> std::same_as<typename Backend::template Matrix<float>>;
  { context.download(view) } -> std::same_as<Matrix<float>>;
  requires std::same_as<decltype(context.template allocate_host<float>(Index{1}, Index{1})),
                        typename Backend::template HostMatrix<float>>;
  context.transfer(view, to, Transfer::ToHost);
};

}  // namespace halftone
