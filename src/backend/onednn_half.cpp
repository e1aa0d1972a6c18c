// Products of bfloat16 matrices by oneDNN's matmul, on the processor's units for them.
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <vector>

#include "halftone/core/error.hpp"
#include "isa.hpp"
#include "signals_held_back.hpp"

namespace halftone::detail {
namespace {

/// What a matmul is made for.
struct HalfProduct {
  bool transpose_a, transpose_b, add;
  Index m, n, k, lda, ldb, ldc;

  auto key() const { return std::tie(transpose_a, transpose_b, add, m, n, k, lda, ldb, ldc); }
  friend bool operator<(const HalfProduct& a, const HalfProduct& b) { return a.key() < b.key(); }
};

struct Matmul {
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
};

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

/// One thread's primitives, and the work space that they share.
class Products {
 public:
  void run(const HalfProduct& product, const BFloat16* A, const BFloat16* B, float* C) {
    const Matmul& matmul = matmul_for(product);
    const auto scratch = matmul.description.scratchpad_desc();
    if (scratch.get_size() > scratch_.size()) scratch_.resize(scratch.get_size());
    const auto memory = [](const dnnl::memory::desc& desc, const void* data) {
      return dnnl::memory(desc, engine(), const_cast<void*>(data));
    };
    matmul.primitive.execute(stream_, {{DNNL_ARG_SRC, memory(matmul.description.src_desc(), A)},
                                       {DNNL_ARG_WEIGHTS, memory(matmul.description.weights_desc(), B)},
                                       {DNNL_ARG_DST, memory(matmul.description.dst_desc(), C)},
                                       {DNNL_ARG_SCRATCHPAD, memory(scratch, scratch_.data())}});
    stream_.wait();
  }

 private:
  const Matmul& matmul_for(const HalfProduct& product) {
    constexpr std::size_t most = 256;  // shapes of a run are few; a caller with many pays for making them again
    const auto found = matmuls_.find(product);
    if (found != matmuls_.end()) return found->second;
    if (matmuls_.size() >= most) matmuls_.clear();
    using Memory = dnnl::memory;
    const auto desc = [](Index rows, Index cols, Memory::data_type type, bool transposed, Index ld) {
      return Memory::desc(Memory::dims{rows, cols}, type, transposed ? Memory::dims{1, ld} : Memory::dims{ld, 1});
    };
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (product.add) {
      dnnl::post_ops sum;
      sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::primitive_desc description(
        dnnl::matmul::desc(desc(product.m, product.k, Memory::data_type::bf16, product.transpose_a, product.lda),
                           desc(product.k, product.n, Memory::data_type::bf16, product.transpose_b, product.ldb),
                           desc(product.m, product.n, Memory::data_type::f32, false, product.ldc)),
        attributes, engine());
    return matmuls_.emplace(product, Matmul{description, dnnl::matmul(description)}).first->second;
  }

  dnnl::stream stream_{engine()};
  std::map<HalfProduct, Matmul> matmuls_;
  std::vector<std::byte> scratch_;
};

}  // namespace

const char* half_units_onednn() noexcept {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx512_core_amx: return "amx";
    case dnnl::cpu_isa::avx512_core_bf16: return "avx512_bf16";
    default: return "";
  }
}

void gemm_half_onednn(bool transpose_a, bool transpose_b, Index m, Index n, Index k, const BFloat16* A, Index lda,
                      const BFloat16* B, Index ldb, bool add, float* C, Index ldc) {
  const SignalsHeldBack quiet;
  thread_local Products products;
  try {
    products.run({transpose_a, transpose_b, add, m, n, k, lda, ldb, ldc}, A, B, C);
  } catch (const dnnl::error& error) {
    fail(error.status == dnnl_out_of_memory ? Status::OutOfMemory : Status::Internal,
         "gemm of 16-bit numbers: oneDNN says '", error.what(), "' for m, n, k = ", m, ", ", n, ", ", k);
  }
}

}  // namespace halftone::detail
