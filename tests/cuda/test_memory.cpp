// Device memory: copies, views, the arena's limit.
#include "halftone/backend/cuda_copier.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("what goes up comes down, whole and in blocks") {
  HALFTONE_DEVICE_CASE(context);
  const auto A = random_matrix<float>(7, 13, 1);
  const auto there = on_device(context, A);
  CHECK(on_host(context, there) == A);
  CHECK(context.download(there.view().block(2, 3, 4, 5)) == Matrix<float>(A.view().block(2, 3, 4, 5)));
  const auto block = context.upload(A.view().block(1, 2, 3, 4));
  CHECK(on_host(context, block) == Matrix<float>(A.view().block(1, 2, 3, 4)));
  auto copy = context.copy(there.view().middle_cols(5, 6));
  CHECK(on_host(context, copy) == Matrix<float>(A.view().middle_cols(5, 6)));
  CudaMatrix<float> moved = std::move(copy);
  CHECK(copy.empty());
  CHECK(moved.rows() == 7);
  CHECK(on_host(context, context.allocate<float>(0, 5)).empty());
}

TEST_CASE("memory that is given back is handed out again, and the peak is known") {
  HALFTONE_DEVICE_CASE(context);
  const Index before = context.memory_in_use();
  const float* place = nullptr;
  {
    const auto A = context.allocate<float>(1000, 1000);
    place = A.data();
    CHECK(context.memory_in_use() >= before + 4000000);
  }
  CHECK(context.memory_in_use() == before);
  CHECK(context.allocate<float>(990, 1000).data() == place);
  CHECK(context.memory_peak() >= before + 4000000);
  CHECK(context.memory_peak() < before + 8000000);
}

TEST_CASE("beyond the limit memory is refused with figures, and what was idle is given up first") {
  const auto held = device_context({.device = 0, .memory_limit = Index{80} << 20});
  if (!held) return;
  const Context<Cuda>& context = *held;
  { const auto small = context.allocate<float>(1000, 2000); }
  const auto large =
      context.allocate<float>(1000, 11000);  // 44 MB: beside what cuBLAS holds it fits once the 8 MB are given up
  CHECK(error_of([&] { context.allocate<float>(1000, 11000); }).find("out_of_memory: cuda context: ") == 0);
  CHECK(error_of([&] { context.allocate<float>(100000, 1000); }).find("the limit is 83886080") != std::string::npos);
  CHECK(error_of([&] { context.allocate<float>(Index{1} << 40, Index{1} << 40); }).find("out_of_memory") == 0);
  CHECK(context.download(large.view().block(0, 0, 1, 1)).size() == 1);  // and the context goes on
}

TEST_CASE("a copier brings up what the host has, piece by piece") {
  HALFTONE_DEVICE_CASE(context);
  Copier<Cuda> copier(context);
  for (const Index rows : {0, 1, 3, 40}) {
    const auto A = random_matrix<float>(rows, 333, 1);
    auto there = context.allocate<float>(rows, 333);
    copier.upload(A.view(), there.view());
    CHECK(on_host(context, there) == A);
    auto pinned = context.allocate_host<float>(rows, 333);
    std::copy_n(A.data(), A.size(), pinned.data());
    auto other = context.allocate<float>(rows, 333);
    copier.upload_pinned(pinned.view(), other.view());
    CHECK(on_host(context, other) == A);
    auto back = context.allocate_host<float>(rows, 333);
    context.synchronize();
    copier.download_pinned(std::as_const(other).view(), back.view());
    CHECK(Matrix<float>(std::as_const(back).view()) == A);
    const Matrix<BFloat16> half = rounded_to_bfloat(Context<Cpu>(1), A);
    auto half_there = context.allocate<BFloat16>(rows, 333);
    copier.upload(half.view(), half_there.view());
    CHECK(on_host(context, half_there) == half);
  }
  auto there = context.allocate<float>(3, 4);
  const auto A = random_matrix<float>(3, 5, 1);
  CHECK(error_of([&] { copier.upload(A.view(), there.view()); }).find("shape_mismatch: cuda copier: 3 x 5") == 0);
  CHECK(error_of([&] { copier.upload(A.view().middle_cols(0, 4), there.view()); }).find("shape_mismatch") == 0);
}

TEST_CASE("devices that there are not are refused by number") {
  if (!device_context()) return;
  CHECK(error_of([] {
          Context<Cuda> context({.device = 4096});
        }).find("invalid_argument: cuda context: device is 4096") == 0);
  CHECK(error_of([] { Context<Cuda> context({.memory_limit = -1}); }).find("invalid_argument") == 0);
}
