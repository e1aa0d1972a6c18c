#include "cli/signals.hpp"

#include <unistd.h>

#include <csignal>

namespace halftone::cli {
namespace {

volatile std::sig_atomic_t stop = 0;

void on_signal(int number) {
  if (stop != 0) {
    std::signal(number, SIG_DFL);
    std::raise(number);
    return;
  }
  stop = 1;
  constexpr char message[] = "\nhalftone: stopping after the current layer; again to stop at once\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message, sizeof message - 1);
}

}  // namespace

void install_signal_handlers() noexcept {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool stop_requested() noexcept { return stop != 0; }

}  // namespace halftone::cli
