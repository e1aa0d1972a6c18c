// A program's signal handlers may run on threads that compute: nothing of the products is lost. (oneDNN's kernels use
// the stack pointer as a register; without care a handler's frame lands in their data.)
#include <sys/time.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>

#include "halftone/backend/linear_algebra.hpp"
#include "random_matrix.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

volatile std::sig_atomic_t handled = 0;

/// Writes all over a frame of its own.
void scribble(int) {
  volatile char frame[2048];
  for (volatile char& byte : frame) byte = 0x5a;
  handled = handled + 1;
}

/// Sends itself SIGALRM every 200 µs while it lives.
class Alarms {
 public:
  Alarms() {
    struct sigaction action = {};
    action.sa_handler = scribble;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, &before_);
    const itimerval often = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Alarms() {
    const itimerval never = {};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_ = {};
};

}  // namespace

TEST_CASE("products survive the signals of the program") {
  const Context<Cpu> context(2);
  const Matrix<float> A = random_matrix<float>(192, 256, 1), B = random_matrix<float>(256, 160, 2);
  const Matrix<BFloat16> A16 = rounded_to_bfloat(context, A), B16 = rounded_to_bfloat(context, B);
  const bool halves = GENERATE(false, true);
  const auto product = [&] {
    Matrix<float> C(192, 160, 0.0f);
    if (halves)
      gemm<BFloat16>(context, Transpose::No, Transpose::No, A16, B16, false, C);
    else
      gemm<float>(context, Transpose::No, Transpose::No, 1, A.view(), B.view(), 0, C.view());
    return C;
  };
  const Matrix<float> wanted = product();
  handled = 0;
  int wrong = 0, products = 0;
  {
    const Alarms alarms;
    for (; products < 4000 && (products < 500 || handled < 20); ++products) wrong += !(product() == wanted);
  }
  CHECK(wrong == 0);
  CHECK(handled > 0);
}
