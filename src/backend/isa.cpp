#include "isa.hpp"

#include <cstdlib>  // getenv

#include "halftone/core/error.hpp"

namespace halftone::detail {

std::vector<const CpuKernels*> runnable_kernels() {
  std::vector<const CpuKernels*> tables;
#if defined(HALFTONE_X86_LEAVES)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) tables.push_back(&kernels_avx512());
  if (avx2) tables.push_back(&kernels_avx2());
#endif
  tables.push_back(&kernels_baseline());
  return tables;
}

CpuKernels chosen_kernels(std::string_view wanted) {
  const auto tables = runnable_kernels();
  const CpuKernels* found = wanted.empty() ? tables.front() : wanted == "baseline" ? tables.back() : nullptr;
  for (const CpuKernels* table : tables)
    if (wanted == table->isa) found = table;
  if (!found) {
    std::string have;
    for (const CpuKernels* table : tables) have += std::string(have.empty() ? "" : ", ") + table->isa;
    if (tables.back()->isa != std::string_view("baseline")) have += ", baseline";
    const bool known = wanted == "avx2" || wanted == "avx512" || wanted == "neon";
    fail(known ? Status::Unsupported : Status::InvalidArgument, "cpu context: HALFTONE_ISA is '", wanted,
         known ? "', which this processor or build lacks; wanted one of " : "', wanted one of ", have);
  }
  CpuKernels chosen = *found;
#if defined(HALFTONE_HAS_ONEDNN)
  if (found == tables.front()) {
    chosen.products = "onednn";
    chosen.linear_f32.gemm = gemm_onednn;
    chosen.half.units = half_units_onednn();
    if (*chosen.half.units != '\0') chosen.half.gemm = gemm_half_onednn;
  }
#endif
  return chosen;
}

const CpuKernels& cpu_kernels() {
  static const CpuKernels kernels = [] {
    const char* wanted = std::getenv("HALFTONE_ISA");
    return chosen_kernels(wanted ? wanted : "");
  }();
  return kernels;
}

}  // namespace halftone::detail
