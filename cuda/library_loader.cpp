#include "library_loader.hpp"

#include <dlfcn.h>

#include <cstring>  // memcpy

#include "halftone/core/error.hpp"

#define HALFTONE_TEXT_OF(x) #x
#define HALFTONE_TEXT(x) HALFTONE_TEXT_OF(x)

namespace halftone {
namespace {

/// Opens libNAME.so.MAJOR, the version that this library was built against.
void* open_library(const char* file) {
  if (void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL)) return library;
  const char* const problem = dlerror();
  fail(Status::Unsupported, "cuda context: ", problem ? problem : file,
       "; wanted that library of the CUDA toolkit in the loader's path (LD_LIBRARY_PATH)");
}

template <class Function>
void find(void* library, const char* name, Function& function) {
  void* const symbol = dlsym(library, name);
  require(symbol != nullptr, Status::Unsupported, "cuda context: the CUDA libraries here have no ", name);
  std::memcpy(&function, &symbol, sizeof symbol);  // a pointer to an object, for the language
}

LoadedLibraries load() {
  void* const blas = open_library("libcublas.so." HALFTONE_TEXT(CUBLAS_VER_MAJOR));
  void* const solver = open_library("libcusolver.so." HALFTONE_TEXT(CUSOLVER_VER_MAJOR));
  LoadedLibraries libraries{};
  find(blas, "cublasCreate_v2", libraries.blas_create);
  find(blas, "cublasDestroy_v2", libraries.blas_destroy);
  find(blas, "cublasSetStream_v2", libraries.blas_set_stream);
  find(blas, "cublasSetWorkspace_v2", libraries.blas_set_workspace);
  find(blas, "cublasSetMathMode", libraries.blas_set_math_mode);
  find(blas, "cublasGemmEx_64", libraries.blas_gemm);
  find(blas, "cublasGemmBatchedEx_64", libraries.blas_gemm_batched);
  find(blas, "cublasGetStatusString", libraries.blas_status_string);
  find(solver, "cusolverDnCreate", libraries.solver_create);
  find(solver, "cusolverDnDestroy", libraries.solver_destroy);
  find(solver, "cusolverDnSetStream", libraries.solver_set_stream);
  find(solver, "cusolverDnCreateParams", libraries.solver_create_params);
  find(solver, "cusolverDnDestroyParams", libraries.solver_destroy_params);
  find(solver, "cusolverDnXpotrf_bufferSize", libraries.potrf_size);
  find(solver, "cusolverDnXpotrf", libraries.potrf);
  find(solver, "cusolverDnXtrtri_bufferSize", libraries.trtri_size);
  find(solver, "cusolverDnXtrtri", libraries.trtri);
  return libraries;
}

}  // namespace

const LoadedLibraries& load_libraries() {
  static const LoadedLibraries libraries = load();  // tried again by the next context where it failed
  return libraries;
}

}  // namespace halftone
