// Parallel loops whose results do not depend on the number of threads: the body of index i does the same work whoever
// runs it, and nothing is summed across indices.
#pragma once

#include <algorithm>  // min, max
#include <atomic>
#include <exception>

#include "halftone/core/view.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace halftone {

/// Threads that the machine offers this process, or fewer if OMP_NUM_THREADS says so; 1 where the library is built
/// without OpenMP.
inline int available_threads() noexcept {
#if defined(_OPENMP)
  return std::min(omp_get_num_procs(), omp_get_max_threads());
#else
  return 1;
#endif
}

/// Calls body(i) for i in [0, count) on up to `threads` threads, each index once, in any order. Inside the body any
/// library that asks OpenMP for its number of threads gets one. The first exception is carried out; the rest of the
/// indices are then skipped. Nested calls run on the calling thread.
template <class Body>
void parallel_for(int threads, Index count, Body&& body) {
#if defined(_OPENMP)
  const bool nested = omp_in_parallel() != 0;
  const int team = static_cast<int>(std::min<Index>(std::max(threads, 1), std::max<Index>(count, 1)));
  std::exception_ptr first;
  std::atomic<bool> failed{false};
  auto guarded = [&](Index i) noexcept {
    if (failed.load(std::memory_order_relaxed)) return;
    try {
      body(i);
    } catch (...) {
      if (!failed.exchange(true)) first = std::current_exception();
    }
  };
  if (nested) {
    for (Index i = 0; i < count; ++i) guarded(i);
  } else {
#pragma omp parallel num_threads(team)
    {
      omp_set_num_threads(
          1);  // of this implicit task only: libraries called below must not split their sums by threads
#pragma omp for schedule(dynamic, 1)
      for (Index i = 0; i < count; ++i) guarded(i);
    }
  }
  if (first) std::rethrow_exception(first);
#else
  (void)threads;
  for (Index i = 0; i < count; ++i) body(i);
#endif
}

/// parallel_for over [0, size) in pieces of `grain`: body(first, last). The pieces do not depend on `threads`.
template <class Body>
void parallel_pieces(int threads, Index size, Index grain, Body&& body) {
  const Index pieces = (size + grain - 1) / grain;
  parallel_for(threads, pieces, [&](Index p) { body(p * grain, std::min(size, (p + 1) * grain)); });
}

}  // namespace halftone
