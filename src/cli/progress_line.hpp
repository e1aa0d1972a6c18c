// One line on the terminal that follows a run. Silent where stderr is no terminal.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "halftone/pipeline/progress.hpp"

namespace halftone::cli {

class ProgressLine {
 public:
  explicit ProgressLine(bool wanted);
  ~ProgressLine() { clear(); }

  void show(const Progress& progress);
  /// Share of the work, 0 .. 1, of something without layers.
  void show(std::string_view what, double done);
  void clear();

 private:
  void draw(const std::string& text, bool at_once);

  bool on_;
  bool drawn_ = false;
  std::string what_;  ///< last heard of
  std::chrono::steady_clock::time_point last_ = {};
};

}  // namespace halftone::cli
