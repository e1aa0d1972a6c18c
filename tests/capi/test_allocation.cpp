// Memory fails at each allocation in turn, once or from then on: a status comes back, and nothing leaks. (Of one
// matrix: a whole model goes through documents of nlohmann-json, whose destructor needs memory.)
#include <atomic>
#include <cstdlib>
#include <new>

#include "halftone/core/platform.hpp"
#include "support.hpp"

namespace {

std::atomic<long> until_failure{-1};  // allocations that still succeed; negative: all
std::atomic<bool> for_good{false};    // whether those after the one that fails do too
std::atomic<bool> failed{false};
std::atomic<long> alive{0};

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (until_failure.load() >= 0 && until_failure.fetch_sub(1) == 0) {
    if (for_good) until_failure = 0;
    failed = true;
    throw std::bad_alloc();
  }
  const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  ++alive;
  return memory;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  --alive;
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new[](std::size_t bytes) { return allocate(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return allocate(bytes, alignof(std::max_align_t));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

namespace halftone {
namespace {

using namespace test;

/// A matrix from context to packed bytes; the first status that is not HT_OK. No Catch inside: it allocates.
ht_status small_job(const char* method, const ht_matrix& W, const ht_matrix& X) {
  ht_context* context = nullptr;
  ht_statistics* statistics = nullptr;
  ht_quantizer* quantizer = nullptr;
  ht_result* result = nullptr;
  std::int32_t moments = 0;
  char report[64];
  const auto sink = [](void*, const ht_tensor*) -> ht_status { return HT_OK; };
  ht_status status = ht_context_create(2, &context);
  if (status == HT_OK) status = ht_quantizer_create(context, method, &quantizer);
  if (status == HT_OK) status = ht_quantizer_set(quantizer, "group_size", "16");
  if (status == HT_OK) status = ht_quantizer_moments(quantizer, &moments);
  if (status == HT_OK) status = ht_statistics_create(context, X.cols, moments, &statistics);
  if (status == HT_OK) status = ht_statistics_add(statistics, &X, &X, 0);
  if (status == HT_OK) status = ht_quantizer_run(quantizer, &W, statistics, &result);
  if (status == HT_OK) status = ht_result_text(result, "report", report, sizeof report, nullptr);
  if (status == HT_OK) status = ht_result_pack(result, "native", "m", sink, nullptr);
  ht_result_destroy(result);
  ht_quantizer_destroy(quantizer);
  ht_statistics_destroy(statistics);
  ht_context_destroy(context);
  return status;
}

/// Runs job() with the n-th allocation failing, n = 0, 1, ..., until none does.
template <class Job>
void fail_each_allocation(Job&& job, bool persistently) {
  REQUIRE(job() == HT_OK);  // whatever is made once and kept is there now
  const long before = alive;
  REQUIRE(job() == HT_OK);
  CHECK(alive == before);
  long n = 0;
  for (;; ++n) {
    const long at_start = alive;
    failed = false;
    for_good = persistently;
    until_failure = n;
    const ht_status status = job();
    until_failure = -1;
    if (!failed) {
      CHECK(status == HT_OK);
      break;
    }
    const long left = alive - at_start;
    // A sort, say, does without the buffer that it asked for.
    const bool good = status == HT_OUT_OF_MEMORY || (status == HT_OK && !persistently);
    if (good && left == 0) continue;  // Catch allocates: only when there is something to say
    INFO("allocation " << n << ", " << left << " left behind");
    CHECK(good);
    REQUIRE(left == 0);
  }
  CHECK(n > 20);
}

}  // namespace

TEST_CASE("each allocation of a small job fails: a status, and no leak") {
  const Matrix<float> W = random_matrix<float>(6, 32, 1), X = random_matrix<float>(48, 32, 2);
  const ht_matrix weights = matrix_of(W), batch = matrix_of(X);
  for (const char* method : {"rtn", "gptq", "gptqv2", "owq", "gptqt", "best"})
    for (const bool persistently : {false, true}) {
      INFO(method << (persistently ? ", from then on" : ", once"));
      fail_each_allocation([&] { return small_job(method, weights, batch); }, persistently);
    }
}

}  // namespace halftone
