// What differs between compilers, in one place.
#pragma once

/// Arithmetic that both backends run: a function marked so compiles for host and device. It is always inlined, so that
/// a copy compiled with one instruction set never becomes another's out-of-line definition.
#if defined(__CUDACC__)
#define HALFTONE_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HALFTONE_HOST_DEVICE inline __attribute__((always_inline))
#endif

#define HALFTONE_RESTRICT __restrict__
