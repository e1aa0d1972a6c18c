// Leaf kernels of the CPU: the innermost loops, on one thread, for one instruction set.
//
// They are reached only through tables of plain function pointers, so that one binary holds several copies. The generic
// bodies are in leaf/*.hpp. Compiled, src/backend builds them once per instruction set, each copy in a namespace of its
// own, and Context<Cpu> takes the best table that the processor can run. Header-only, there is one copy, built with the
// user's flags.
//
// To add a kernel: a function pointer in one of the structs below (or a struct of your own in CpuKernels), its body in
// a header leaf/<room>.hpp inside namespace HALFTONE_LEAF, and one line in leaf/table.hpp. Rules for bodies:
//   - plain pointers and numbers; of the library call only HALFTONE_HOST_DEVICE functions, of std nothing that is not
//     always inlined (a weak copy compiled for AVX-512 could be the one that the linker keeps for everybody);
//   - loops that vectorise have a fixed number of lanes, so that sums have the same order with every instruction set;
//   - single-threaded; work is cut outside, by shapes alone.
#pragma once

#include "halftone/backend/binary_kernels.hpp"
#include "halftone/backend/cells.hpp"
#include "halftone/backend/nn_backward_kernels.hpp"
#include "halftone/backend/nn_kernels.hpp"
#include "halftone/backend/refine_kernels.hpp"
#include "halftone/core/float16.hpp"

namespace halftone::detail {

/// Rows that a kernel of rows takes at a time (two registers of AVX-512): buffers named `tile` hold
/// [columns][row_lanes].
template <class S>
inline constexpr Index row_lanes = 128 / static_cast<Index>(sizeof(S));

/// Products and factorisation in S, float or double. Row-major; ld*: elements from one row to the next.
template <class S>
struct LinearKernels {
  /// C [m, n] = alpha · op(A) [m, k] · op(B) [k, n] + beta · C. beta = 0 does not read C. k > 0.
  void (*gemm)(bool transpose_a, bool transpose_b, Index m, Index n, Index k, S alpha, const S* A, Index lda,
               const S* B, Index ldb, S beta, S* C, Index ldc);

  /// Reversed Cholesky of one diagonal block: the upper triangle of A [n, n] becomes R with A = R Rᵀ, R upper. Returns
  /// −1, or the index of the pivot that was not positive and finite. `column`: n numbers of work space.
  Index (*factor)(Index n, S* A, Index lda, S* column);

  /// W [rows, n] := W R⁻¹, or W R⁻ᵀ if `transposed`, for upper R [n, n], by substitution. `tile`: n · row_lanes<S>
  /// numbers, 64-byte aligned.
  void (*solve_rows)(bool transposed, Index n, const S* R, Index ldr, Index rows, S* W, Index ldw, S* tile);

  /// Σ a_i · b_i over n numbers, in double, in an order that depends on n alone.
  double (*inner_product)(Index n, const S* a, const S* b);
  /// True if none of n numbers is NaN or infinite.
  bool (*all_finite)(Index n, const S* x);
};

/// Products of 16-bit matrices with sums in float, and runs of numbers from one width to the other.
struct HalfKernels {
  const char* units;  ///< of the processor that `gemm` runs on: "amx" or "avx512_bf16"; "" where it is null
  /// C [m, n] = op(A) [m, k] · op(B) [k, n], plus C if `add`. Row-major as in LinearKernels. Null: none, widen first.
  void (*gemm)(bool transpose_a, bool transpose_b, Index m, Index n, Index k, const BFloat16* A, Index lda,
               const BFloat16* B, Index ldb, bool add, float* C, Index ldc);
  void (*narrow)(Index n, const float* x, BFloat16* y);  ///< y = x rounded, half to even
  void (*widen_bf16)(Index n, const BFloat16* x, float* y);
  void (*widen_f16)(Index n, const Float16* x, float* y);

  void widen(Index n, const BFloat16* x, float* y) const { widen_bf16(n, x, y); }
  void widen(Index n, const Float16* x, float* y) const { widen_f16(n, x, y); }
};

/// One block of columns in which diffuse_block (quantize.hpp) rounds and diffuses; its matrices start at the first row
/// of the piece. U null: rounding only. E may be null. T null: no second update, `second` and `before` are not read.
template <class S>
struct DiffusionBlock {
  Index width;
  const S *U, *T;  ///< [width, width], upper and strictly upper
  Index ldu, ldt;
  S *W, *E, *before;  ///< [rows, width]
  Index ldw, lde, ldbefore;
  const S* second;  ///< [rows, width]
  Index ldsecond;
  S strength;           ///< of the second update
  std::uint8_t* codes;  ///< [rows, width]
  Index ldcodes;
};

/// Grids in S, float or double.
template <class S>
struct QuantizeKernels {
  /// diffuse_block and round_block on `rows` rows, cells from the first of them on. `workspace`: 5 · width ·
  /// row_lanes<S> numbers, 64-byte aligned.
  void (*diffuse)(const DiffusionBlock<S>& block, const UniformCells<S>& cells, Index rows, S* workspace);
  void (*diffuse_binary)(const DiffusionBlock<S>& block, const BinaryCells<S>& cells, Index rows, S* workspace);

  /// fit_uniform_grid on the rows of W [rows, columns].
  void (*fit_grid)(MatrixView<const S> W, const S* importance, const GridOptions& options, S* scales, S* zeros);
};

struct CpuKernels {
  const char* isa;       ///< "baseline", "avx2", "avx512"; "user" in header-only mode
  const char* products;  ///< who multiplies matrices of float: "onednn" or "eigen"
  LinearKernels<float> linear_f32;
  LinearKernels<double> linear_f64;
  HalfKernels half;
  QuantizeKernels<float> quantize_f32;
  QuantizeKernels<double> quantize_f64;
  NnKernels<float> nn_f32;
  NnKernels<double> nn_f64;
  NnBackwardKernels<float> nn_backward_f32;
  NnBackwardKernels<double> nn_backward_f64;
  BinaryKernels binary;
  RefineKernels<float> refine_f32;
  RefineKernels<double> refine_f64;

  template <class S>
  constexpr const LinearKernels<S>& linear() const {
    if constexpr (sizeof(S) == sizeof(float))
      return linear_f32;
    else
      return linear_f64;
  }
  template <class S>
  constexpr const QuantizeKernels<S>& quantize() const {
    if constexpr (sizeof(S) == sizeof(float))
      return quantize_f32;
    else
      return quantize_f64;
  }
  template <class S>
  constexpr const NnKernels<S>& nn() const {
    if constexpr (sizeof(S) == sizeof(float))
      return nn_f32;
    else
      return nn_f64;
  }
  template <class S>
  constexpr const NnBackwardKernels<S>& nn_backward() const {
    if constexpr (sizeof(S) == sizeof(float))
      return nn_backward_f32;
    else
      return nn_backward_f64;
  }
  template <class S>
  constexpr const RefineKernels<S>& refine() const {
    if constexpr (sizeof(S) == sizeof(float))
      return refine_f32;
    else
      return refine_f64;
  }
};

/// The table that new contexts take: of the best instruction set that this processor runs and this build has, or of the
/// one named by the environment variable HALFTONE_ISA (baseline, avx2, avx512). Throws Status::InvalidArgument where
/// that names an unknown one, Status::Unsupported where processor or build lack it.
const CpuKernels& cpu_kernels();

}  // namespace halftone::detail

#if !defined(HALFTONE_COMPILED)
#include "halftone/backend/leaf/table.hpp"
namespace halftone::detail {
inline const CpuKernels& cpu_kernels() { return HALFTONE_LEAF::table; }
}  // namespace halftone::detail
#endif
