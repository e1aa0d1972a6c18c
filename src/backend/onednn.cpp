// Products of float matrices by oneDNN's single-threaded sgemm, which is row-major like ours.
#include <oneapi/dnnl/dnnl.h>

#include <csignal>

#include "halftone/core/error.hpp"
#include "isa.hpp"

namespace halftone::detail {
namespace {

/// No signal handler runs on this thread while it lives. oneDNN's kernels use the stack pointer as one register more,
/// so that a handler's frame would land in their data. Costs two system calls, some 0.2 µs.
class SignalsHeldBack {
 public:
  SignalsHeldBack() noexcept {
    sigset_t signals;
    sigfillset(&signals);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&signals, fault);
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
  }
  ~SignalsHeldBack() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

void gemm_onednn(bool transpose_a, bool transpose_b, Index m, Index n, Index k, float alpha, const float* A, Index lda,
                 const float* B, Index ldb, float beta, float* C, Index ldc) {
  const SignalsHeldBack quiet;
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, A, lda, B, ldb, beta, C, ldc);
  require(status == dnnl_success, status == dnnl_out_of_memory ? Status::OutOfMemory : Status::Internal,
          "gemm: oneDNN returned status ", static_cast<int>(status), " for m, n, k = ", m, ", ", n, ", ", k);
}

}  // namespace halftone::detail
