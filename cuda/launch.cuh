// How kernels are written and launched here. There are two shapes:
//
//   each_element   f(row, column) for every element of a matrix, each on its own
//   each_row       body(team, row): `T` lanes share one row; a team's lanes agree through `team` alone
//
// No kernel has more cooperation than a team's, so each runs as it is on the host too: a team is then a loop over its
// lanes. That is how tests check the very bodies without a GPU (HALFTONE_HOST_PLAYS_DEVICE: a plain C++ compiler).
#pragma once

#include "engine.hpp"
#include "halftone/core/platform.hpp"

#if defined(__CUDACC__)
#include <cuda_runtime.h>

#include "check.hpp"
#define HALFTONE_LAMBDA [=] __host__ __device__
#define HALFTONE_UNROLL _Pragma("unroll")
#else
#define HALFTONE_LAMBDA [=]
#define HALFTONE_UNROLL
#endif

namespace halftone {
inline namespace HALFTONE_DEVICE {

#if defined(__CUDACC__)

/// T neighbouring threads of a warp, T a power of two up to 32, and what they hold.
template <int T>
class Team {
 public:
  static constexpr int size = T;

  /// `Slots` numbers in every lane, in registers: (slot, lane).
  template <class S, int Slots = 1>
  struct Lanes {
    S value[Slots];
    __device__ __forceinline__ S& operator()(int slot, int) { return value[slot]; }
    __device__ __forceinline__ const S& operator()(int slot, int) const { return value[slot]; }
  };

  /// body(lane) on every lane.
  template <class Body>
  __device__ __forceinline__ void each_lane(Body&& body) const {
    body(static_cast<int>(threadIdx.x) & (T - 1));
  }
  /// What `lane` holds, for all.
  template <class S, int Slots>
  __device__ __forceinline__ S get(const Lanes<S, Slots>& lanes, int slot, int lane) const {
    return __shfl_sync(mask(), lanes.value[slot], lane, T);
  }
  /// combine(a, b) of all lanes: halves onto halves, in one order; for all.
  template <class S, int Slots, class Combine>
  __device__ __forceinline__ S fold(const Lanes<S, Slots>& lanes, int slot, Combine&& combine) const {
    S value = lanes.value[slot];
    HALFTONE_UNROLL
    for (int half = T / 2; half > 0; half /= 2) value = combine(value, __shfl_down_sync(mask(), value, half, T));
    return __shfl_sync(mask(), value, 0, T);
  }
  /// *target = min(*target, value), by any team at any time.
  __device__ __forceinline__ void lower(unsigned long long* target, unsigned long long value) const {
    atomicMin(target, value);
  }
  /// *target += value, likewise: of integers, whose order changes nothing.
  __device__ __forceinline__ void add(unsigned long long* target, unsigned long long value) const {
    atomicAdd(target, value);
  }

 private:
  __device__ __forceinline__ static unsigned mask() {
    return T == 32 ? 0xffffffffu : ((1u << (T & 31)) - 1u) << (threadIdx.x & 31u & ~static_cast<unsigned>(T - 1));
  }
};

template <class Body>
__global__ void __launch_bounds__(256) element_kernel(Index rows, Index cols, Body body) {
  const Index column = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= cols) return;
  for (Index row = blockIdx.y; row < rows; row += gridDim.y) body(row, column);
}

template <class Body>
__global__ void __launch_bounds__(128) row_kernel(Index rows, Body body) {
  constexpr int T = Body::lanes;
  const Index row = (static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x) / T;
  if (row < rows) body(Team<T>(), row);
}

/// f(row, column) for every element of [rows, cols].
template <class Body>
void each_element(const Context<Cuda>& context, Index rows, Index cols, const Body& body) {
  if (rows == 0 || cols == 0) return;
  context.engine().device().make_current();
  const auto stream = static_cast<cudaStream_t>(context.engine().device().stream());
  const unsigned threads = cols >= 256 ? 256 : static_cast<unsigned>((cols + 31) / 32 * 32);
  const dim3 blocks(static_cast<unsigned>((cols + threads - 1) / threads),
                    static_cast<unsigned>(rows < 65535 ? rows : 65535));
  element_kernel<<<blocks, threads, 0, stream>>>(rows, cols, body);
  check_cuda(cudaGetLastError(), "cuda: launching a kernel of elements");
}

/// body(team, row) for every row. Body: `lanes`, the size of its teams, and the call, const.
template <class Body>
void each_row(const Context<Cuda>& context, Index rows, const Body& body) {
  if (rows == 0) return;
  context.engine().device().make_current();
  const auto stream = static_cast<cudaStream_t>(context.engine().device().stream());
  constexpr Index together = 128 / Body::lanes;
  row_kernel<<<static_cast<unsigned>((rows + together - 1) / together), 128, 0, stream>>>(rows, body);
  check_cuda(cudaGetLastError(), "cuda: launching a kernel of rows");
}

#else

template <int T>
class Team {
 public:
  static constexpr int size = T;

  template <class S, int Slots = 1>
  struct Lanes {
    S value[Slots][T];
    S& operator()(int slot, int lane) { return value[slot][lane]; }
    const S& operator()(int slot, int lane) const { return value[slot][lane]; }
  };

  template <class Body>
  void each_lane(Body&& body) const {
    for (int i = 0; i < T; ++i) body(order_ ? T - 1 - i : i);
  }
  template <class S, int Slots>
  S get(const Lanes<S, Slots>& lanes, int slot, int lane) const {
    return lanes.value[slot][lane];
  }
  template <class S, int Slots, class Combine>
  S fold(const Lanes<S, Slots>& lanes, int slot, Combine&& combine) const {
    S value[T];
    for (int l = 0; l < T; ++l) value[l] = lanes.value[slot][l];
    for (int half = T / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) value[l] = combine(value[l], value[l + half]);
    return value[0];
  }
  void lower(unsigned long long* target, unsigned long long value) const {
    *target = value < *target ? value : *target;
  }

  void add(unsigned long long* target, unsigned long long value) const { *target += value; }

  explicit Team(bool backwards) : order_(backwards) {}

 private:
  bool order_;  ///< lanes run in either order: none may see what another does in the same step
};

template <class Body>
void each_element(const Context<Cuda>&, Index rows, Index cols, const Body& body) {
  for (Index row = rows; row-- > 0;)
    for (Index column = 0; column < cols; ++column) body(row, column);
}

template <class Body>
void each_row(const Context<Cuda>&, Index rows, const Body& body) {
  for (Index row = 0; row < rows; ++row) body(Team<Body::lanes>(row % 2 != 0), row);
}

#endif

/// Σ_t term(t), t in [0, count), for all lanes.
template <class T, class Term>
HALFTONE_HOST_DEVICE double team_sum(const T& team, Index count, Term&& term) {
  typename T::template Lanes<double> sum;
  team.each_lane([&](int lane) {
    sum(0, lane) = 0;
    for (Index t = lane; t < count; t += T::size) sum(0, lane) += term(t);
  });
  return team.fold(sum, 0, [](double a, double b) { return a + b; });
}

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
