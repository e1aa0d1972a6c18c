#include "cli/signals.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

namespace halftone::cli {
namespace {

std::atomic<bool> stop{false};

/// Takes the signals one after the other; the second ends the process as if nobody had taken it.
void wait_for_signals(sigset_t signals) {
  for (;;) {
    int number = 0;
    if (sigwait(&signals, &number) != 0) return;
    if (stop.exchange(true)) {
      std::signal(number, SIG_DFL);
      pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
      std::raise(number);
    }
    constexpr char message[] = "\nhalftone: stopping after the current layer; again to stop at once\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message, sizeof message - 1);
  }
}

}  // namespace

// A thread of their own takes the signals, and all others block them: what it does needs no care for what a handler may
// call, and no thread that computes is interrupted.
void install_signal_handlers() noexcept {
  std::signal(SIGXFSZ, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) return;  // threads made from here on inherit it
  try {
    std::thread(wait_for_signals, signals).detach();
  } catch (...) {  // no thread to be had: the signals end the process as they do by default
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  }
}

bool stop_requested() noexcept { return stop; }

}  // namespace halftone::cli
