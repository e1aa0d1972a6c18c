// A trace of what a run did when: spans of time on tracks, one track a thread, nested as the calls were. Written in the
// Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.
// (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU, complete events, "ph": "X")
//
// Cost: a span with a trace is two looks at the clock and an entry of some hundred bytes; without one it is a
// comparison with null.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>  // move
#include <vector>

#include "halftone/core/view.hpp"

namespace halftone {

/// What a run spent in spans of one name.
struct TracePhase {
  std::string name;
  double seconds = 0;     ///< outside of spans inside them: on one track they add up to what is covered
  double background = 0;  ///< the same, on other threads than the one that made the trace
  Index spans = 0;
};

/// Collects spans. From any thread.
class Trace {
 public:
  /// The calling thread gets the first track, called "run".
  Trace();
  ~Trace();

  /// Calls the calling thread's track `name`; without it, it is "thread N".
  void name_track(std::string_view name);
  /// The document: {"traceEvents": [...]}, times in microseconds since the trace was made. Spans that have ended.
  std::string json() const;
  /// By what was spent outside of the background, most first.
  std::vector<TracePhase> phases() const;

 private:
  friend class Span;
  struct State;
  std::int64_t now() const noexcept;  ///< nanoseconds
  void add(std::string_view name, std::int64_t begin, std::int64_t end, std::string arguments) noexcept;
  std::unique_ptr<State> state_;
};

/// From its construction to its end, one entry of a trace; nothing where there is no trace.
///
///   Span span(trace, "solve");
///   span.note("module", name).note("rows", rows);
class Span {
 public:
  /// `name` must outlive the trace: a literal. `trace` may be null, or must outlive the span.
  Span(Trace* trace, std::string_view name) noexcept
      : trace_(trace), name_(name), begin_(trace == nullptr ? 0 : trace->now()) {}
  ~Span() {
    if (trace_ != nullptr) trace_->add(name_, begin_, trace_->now(), std::move(arguments_));
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

  /// Says more of the span, under a key.
  Span& note(std::string_view key, std::string_view value) { return trace_ == nullptr ? *this : add(key, value); }
  Span& note(std::string_view key, Index value) { return trace_ == nullptr ? *this : add(key, value); }
  Span& note(std::string_view key, double value) { return trace_ == nullptr ? *this : add(key, value); }

 private:
  template <class T>
  Span& add(std::string_view key, const T& value);

  Trace* trace_;
  std::string_view name_;
  std::int64_t begin_;
  std::string arguments_;  ///< members of a JSON object, each with a comma before it
};

/// For people: what each phase took, its share of the whole, and what ran beside it.
std::string phase_table(const Trace& trace);

}  // namespace halftone
