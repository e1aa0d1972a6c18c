// Products of float matrices by oneDNN's single-threaded sgemm, which is row-major like ours.
#include <oneapi/dnnl/dnnl.h>

#include "halftone/core/error.hpp"
#include "isa.hpp"
#include "signals_held_back.hpp"

namespace halftone::detail {
void gemm_onednn(bool transpose_a, bool transpose_b, Index m, Index n, Index k, float alpha, const float* A, Index lda,
                 const float* B, Index ldb, float beta, float* C, Index ldc) {
  const SignalsHeldBack quiet;
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, A, lda, B, ldb, beta, C, ldc);
  require(status == dnnl_success, status == dnnl_out_of_memory ? Status::OutOfMemory : Status::Internal,
          "gemm: oneDNN returned status ", static_cast<int>(status), " for m, n, k = ", m, ", ", n, ", ", k);
}

}  // namespace halftone::detail
