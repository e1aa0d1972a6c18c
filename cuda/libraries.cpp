#include "libraries.hpp"

#include "check.hpp"
#include "library_loader.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {
namespace {

/// cuBLAS' own work space, given to it once: with one stream it then takes the same way every time.
constexpr Index blas_workspace = Index{32} << 20;

void check_blas(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail(status == CUBLAS_STATUS_ALLOC_FAILED ? Status::OutOfMemory : Status::Device, "cuda: cuBLAS, ", what, ": ",
       load_libraries().blas_status_string(status));
}

void check_solver(cusolverStatus_t status, const char* what) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  fail(status == CUSOLVER_STATUS_ALLOC_FAILED ? Status::OutOfMemory : Status::Device, "cuda: cuSOLVER, ", what,
       ": status ", static_cast<int>(status));
}

cudaDataType data_type(Element element) {
  switch (element) {
    case Element::F32: return CUDA_R_32F;
    case Element::F64: return CUDA_R_64F;
    case Element::F16: return CUDA_R_16F;
    case Element::BF16: return CUDA_R_16BF;
  }
  return CUDA_R_32F;
}

cublasOperation_t operation(bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; }

/// Factors as cuBLAS wants them: of the type that it computes in.
struct Factor {
  float single;
  double twice;
  explicit Factor(double value) : single(static_cast<float>(value)), twice(value) {}
  const void* in(Element results) const { return results == Element::F64 ? static_cast<const void*>(&twice) : &single; }
};

/// Plain float sums: no TF32, no products of 16-bit pieces.
cublasComputeType_t compute_type(Element results) {
  return results == Element::F64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F;
}

}  // namespace

struct CudaLibraries::Handles {
  const LoadedLibraries& call;
  cublasHandle_t blas = nullptr;
  cusolverDnHandle_t solver = nullptr;
  cusolverDnParams_t parameters = nullptr;
  void* workspace = nullptr;

  Handles() : call(load_libraries()) {}
  ~Handles() {
    if (parameters) call.solver_destroy_params(parameters);
    if (solver) call.solver_destroy(solver);
    if (blas) call.blas_destroy(blas);
  }
};

CudaLibraries::CudaLibraries(CudaDevice& device, CudaArena& arena)
    : handles_(std::make_unique<Handles>()), device_(&device), arena_(&arena) {
  Handles& h = *handles_;
  const auto stream = static_cast<cudaStream_t>(device.stream());
  device.make_current();
  check_blas(h.call.blas_create(&h.blas), "making a handle");
  check_blas(h.call.blas_set_stream(h.blas, stream), "setting the stream");
  h.workspace = arena.take(blas_workspace);
  check_blas(h.call.blas_set_workspace(h.blas, h.workspace, static_cast<std::size_t>(blas_workspace)),
             "setting the work space");
  const auto mode = static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
  check_blas(h.call.blas_set_math_mode(h.blas, mode), "setting the mode");
  check_solver(h.call.solver_create(&h.solver), "making a handle");
  check_solver(h.call.solver_set_stream(h.solver, stream), "setting the stream");
  check_solver(h.call.solver_create_params(&h.parameters), "making parameters");
}

CudaLibraries::~CudaLibraries() {
  if (handles_->workspace) arena_->give(handles_->workspace);
}

void CudaLibraries::multiply(const Product& p, const void* A, const void* B, void* C) {
  const Factor alpha(p.alpha), beta(p.beta);
  device_->make_current();
  check_blas(handles_->call.blas_gemm(handles_->blas, operation(p.transpose_a), operation(p.transpose_b), p.m, p.n, p.k,
                                      alpha.in(p.results), A, data_type(p.inputs), p.lda, B, data_type(p.inputs), p.ldb,
                                      beta.in(p.results), C, data_type(p.results), p.ldc, compute_type(p.results),
                                      CUBLAS_GEMM_DEFAULT),
             "a product");
}

void CudaLibraries::multiply_all(const Product& p, const void* const* A, const void* const* B, void* const* C,
                                 Index count) {
  const Factor alpha(p.alpha), beta(p.beta);
  device_->make_current();
  check_blas(handles_->call.blas_gemm_batched(handles_->blas, operation(p.transpose_a), operation(p.transpose_b), p.m,
                                              p.n, p.k, alpha.in(p.results), A, data_type(p.inputs), p.lda, B,
                                              data_type(p.inputs), p.ldb, beta.in(p.results), C, data_type(p.results),
                                              p.ldc, count, compute_type(p.results), CUBLAS_GEMM_DEFAULT),
             "a batch of products");
}

/// Runs a routine of cuSOLVER: query(device bytes, host bytes) asks for the sizes of its work space, call(work, device
/// bytes, host work, host bytes, outcome) runs it. Returns −1, or what it says has failed.
template <class Query, class Call>
Index CudaLibraries::solve(const char* what, Query&& query, Call&& call) {
  device_->make_current();
  std::size_t on_device = 0, on_host = 0;
  check_solver(query(&on_device, &on_host), "asking for work space");
  std::vector<unsigned char> host(on_host);
  struct Taken {  // given back whatever happens
    CudaArena* arena;
    void* memory;
    ~Taken() { arena->give(memory); }
  };
  const Taken work{arena_, arena_->take(std::max<Index>(1, static_cast<Index>(on_device)))};
  const Taken outcome{arena_, arena_->take(static_cast<Index>(sizeof(int)))};
  check_solver(call(work.memory, on_device, host.data(), on_host, static_cast<int*>(outcome.memory)), what);
  int info = 0;
  device_->copy(&info, sizeof info, outcome.memory, sizeof info, sizeof info, 1, Transfer::ToHost);
  require(info >= 0, Status::Internal, "cuda: cuSOLVER refused argument ", -info);
  return static_cast<Index>(info) - 1;
}

Index CudaLibraries::cholesky(Element element, Index n, void* A, Index lda) {
  Handles& h = *handles_;
  const cudaDataType type = data_type(element);
  return solve(
      "a factorisation",
      [&](std::size_t* device_bytes, std::size_t* host_bytes) {
        return h.call.potrf_size(h.solver, h.parameters, CUBLAS_FILL_MODE_UPPER, n, type, A, lda, type, device_bytes,
                                 host_bytes);
      },
      [&](void* work, std::size_t device_bytes, void* host, std::size_t host_bytes, int* outcome) {
        return h.call.potrf(h.solver, h.parameters, CUBLAS_FILL_MODE_UPPER, n, type, A, lda, type, work, device_bytes,
                            host, host_bytes, outcome);
      });
}

Index CudaLibraries::invert_triangle(Element element, Index n, void* A, Index lda) {
  Handles& h = *handles_;
  const cudaDataType type = data_type(element);
  return solve(
      "an inversion",
      [&](std::size_t* device_bytes, std::size_t* host_bytes) {
        return h.call.trtri_size(h.solver, CUBLAS_FILL_MODE_UPPER, CUBLAS_DIAG_NON_UNIT, n, type, A, lda, device_bytes,
                                 host_bytes);
      },
      [&](void* work, std::size_t device_bytes, void* host, std::size_t host_bytes, int* outcome) {
        return h.call.trtri(h.solver, CUBLAS_FILL_MODE_UPPER, CUBLAS_DIAG_NON_UNIT, n, type, A, lda, work, device_bytes,
                            host, host_bytes, outcome);
      });
}

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
