#include "halftone/pipeline/trace.hpp"

#include <fmt/format.h>

#include <algorithm>  // sort
#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>  // move

namespace halftone {
namespace {

using nlohmann::json;

std::string text_of(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

struct Event {
  std::string_view name;
  std::size_t track;
  std::int64_t begin, end;  // nanoseconds
  std::string arguments;
};

/// Time of each event outside of those inside it, by its place in the list. An event that begins with another and is
/// not longer is inside of it.
std::vector<std::int64_t> own_times(const std::vector<Event>& events) {
  std::vector<std::size_t> order(events.size());
  std::vector<std::int64_t> own(events.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = i;
    own[i] = events[i].end - events[i].begin;
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const Event &x = events[a], &y = events[b];
    if (x.track != y.track) return x.track < y.track;
    if (x.begin != y.begin) return x.begin < y.begin;
    return x.end != y.end ? x.end > y.end : a > b;  // of equal ones the inner one ended, and was added, first
  });
  std::vector<std::size_t> open;  // around the event that is looked at, the outermost first
  for (const std::size_t i : order) {
    const Event& event = events[i];
    while (!open.empty() && (events[open.back()].track != event.track || events[open.back()].end <= event.begin))
      open.pop_back();
    if (!open.empty()) own[open.back()] -= event.end - event.begin;
    open.push_back(i);
  }
  return own;
}

}  // namespace

struct Trace::State {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  mutable std::mutex mutex;  // guards what follows
  std::vector<Event> events;
  std::map<std::thread::id, std::size_t> tracks;
  std::vector<std::string> names;  // of the tracks

  std::size_t own_track() {
    const auto [place, fresh] = tracks.emplace(std::this_thread::get_id(), names.size());
    if (fresh) names.push_back("thread " + std::to_string(names.size()));
    return place->second;
  }
};

Trace::Trace() : state_(std::make_unique<State>()) { name_track("run"); }
Trace::~Trace() = default;

void Trace::name_track(std::string_view name) {
  const std::lock_guard lock(state_->mutex);
  state_->names[state_->own_track()] = name;
}

std::int64_t Trace::now() const noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - state_->start).count();
}

void Trace::add(std::string_view name, std::int64_t begin, std::int64_t end, std::string arguments) noexcept try {
  const std::lock_guard lock(state_->mutex);
  state_->events.push_back({name, state_->own_track(), begin, end, std::move(arguments)});
} catch (...) {  // no memory for it: a span is missing, the run goes on
}

std::string Trace::json() const {
  const std::lock_guard lock(state_->mutex);
  std::string text = R"({"displayTimeUnit":"ms","traceEvents":[)"
                     R"({"ph":"M","name":"process_name","pid":1,"tid":0,"args":{"name":"halftone"}})";
  for (std::size_t track = 0; track < state_->names.size(); ++track)
    text += fmt::format(R"(,{{"ph":"M","name":"thread_name","pid":1,"tid":{},"args":{{"name":{}}}}})", track,
                        text_of(state_->names[track]));
  for (const Event& event : state_->events) {
    const std::string_view arguments = std::string_view(event.arguments).substr(event.arguments.empty() ? 0 : 1);
    text += fmt::format(
        ",\n"
        R"({{"ph":"X","name":{},"pid":1,"tid":{},"ts":{:.3f},"dur":{:.3f},"args":{{{}}}}})",
        text_of(event.name), event.track, static_cast<double>(event.begin) / 1000,
        static_cast<double>(event.end - event.begin) / 1000, arguments);
  }
  return text + "\n]}\n";
}

std::vector<TracePhase> Trace::phases() const {
  const std::lock_guard lock(state_->mutex);
  const std::vector<std::int64_t> own = own_times(state_->events);
  std::map<std::string_view, TracePhase> by_name;
  for (std::size_t i = 0; i < own.size(); ++i) {
    const Event& event = state_->events[i];
    TracePhase& phase = by_name[event.name];
    (event.track == 0 ? phase.seconds : phase.background) += static_cast<double>(own[i]) / 1e9;
    ++phase.spans;
  }
  std::vector<TracePhase> list;
  for (auto& [name, phase] : by_name) {
    phase.name = name;
    list.push_back(std::move(phase));
  }
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
  return list;
}

template <class T>
Span& Span::add(std::string_view key, const T& value) {
  arguments_ += "," + text_of(key) + ":" + text_of(value);
  return *this;
}
template Span& Span::add(std::string_view, const std::string_view&);
template Span& Span::add(std::string_view, const Index&);
template Span& Span::add(std::string_view, const double&);

std::string phase_table(const Trace& trace) {
  const std::vector<TracePhase> phases = trace.phases();
  double whole = 0, background = 0;
  for (const TracePhase& phase : phases) {
    whole += phase.seconds;
    background += phase.background;
  }
  const auto row = [&](std::string_view name, double seconds, double beside, const std::string& spans) {
    return fmt::format("{:<12} {:>10.3f} {:>6.1f} %{:>12.3f} {:>8}\n", name, seconds,
                       whole > 0 ? 100 * seconds / whole : 0, beside, spans);
  };
  std::string table =
      fmt::format("{:<12} {:>10} {:>8}{:>12} {:>8}\n", "phase", "seconds", "share", "background", "spans");
  for (const TracePhase& phase : phases)
    table += row(phase.name, phase.seconds, phase.background, std::to_string(phase.spans));
  return table + row("all", whole, background, "");
}

}  // namespace halftone
