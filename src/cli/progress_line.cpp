#include "cli/progress_line.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

namespace halftone::cli {
namespace {

std::size_t terminal_columns() {
  struct winsize size {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string clock_text(double seconds) {
  if (seconds < 0) return "?";
  const auto whole = static_cast<long>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02} h", whole / 3600, whole / 60 % 60);
}

/// "3", "3-5"
std::string blocks_text(const TuningStep& tuning) {
  return tuning.last - tuning.first > 1 ? fmt::format("{}-{}", tuning.first, tuning.last - 1)
                                        : fmt::format("{}", tuning.first);
}

}  // namespace

ProgressLine::ProgressLine(bool wanted) : on_(wanted && ::isatty(STDERR_FILENO) != 0) {}

void ProgressLine::show(const Progress& progress) {
  if (!on_) return;
  if (progress.report != nullptr)
    what_ = fmt::format("{} error {:.3g}", progress.module, progress.report->relative_error);
  if (const TuningStep* tuning = progress.tuning)
    what_ = fmt::format("tuning block{} {} step {}/{} loss {:.3g}", tuning->last - tuning->first > 1 ? "s" : "",
                        blocks_text(*tuning), tuning->step, tuning->steps, tuning->loss);
  draw(fmt::format("block {}/{}  layer {}/{}  {} left  {}", progress.blocks_done, progress.blocks,
                   progress.matrices_done, progress.matrices, clock_text(progress.seconds_left), what_),
       progress.phase == Phase::Write);
}

void ProgressLine::show(std::string_view what, double done) {
  if (on_) draw(fmt::format("{} {:.0f} %", what, 100 * done), done >= 1);
}

/// At most twenty times a second.
void ProgressLine::draw(const std::string& text, bool at_once) {
  const auto now = std::chrono::steady_clock::now();
  if (!at_once && now - last_ < std::chrono::milliseconds(50)) return;
  last_ = now;
  const std::string line = "\r\x1b[K" + text.substr(0, terminal_columns() - 1);
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressLine::clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

}  // namespace halftone::cli
