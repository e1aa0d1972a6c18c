// Shared libraries of CUDA, loaded when the first context is made: a program that never makes one needs neither them
// nor a driver.
#pragma once

#include <cublas_v2.h>
#include <cusolverDn.h>

namespace halftone {

/// The functions that are used, with the types of their own headers.
struct LoadedLibraries {
  decltype(&cublasCreate_v2) blas_create;
  decltype(&cublasDestroy_v2) blas_destroy;
  decltype(&cublasSetStream_v2) blas_set_stream;
  decltype(&cublasSetWorkspace_v2) blas_set_workspace;
  decltype(&cublasSetMathMode) blas_set_math_mode;
  decltype(&cublasGemmEx_64) blas_gemm;
  decltype(&cublasGemmBatchedEx_64) blas_gemm_batched;
  decltype(&cublasGetStatusString) blas_status_string;
  decltype(&cusolverDnCreate) solver_create;
  decltype(&cusolverDnDestroy) solver_destroy;
  decltype(&cusolverDnSetStream) solver_set_stream;
  decltype(&cusolverDnCreateParams) solver_create_params;
  decltype(&cusolverDnDestroyParams) solver_destroy_params;
  decltype(&cusolverDnXpotrf_bufferSize) potrf_size;
  decltype(&cusolverDnXpotrf) potrf;
  decltype(&cusolverDnXtrtri_bufferSize) trtri_size;
  decltype(&cusolverDnXtrtri) trtri;
};

/// Loaded once and kept. Throws Status::Unsupported, naming the library or function that is missing.
const LoadedLibraries& load_libraries();

}  // namespace halftone
