// What the tests of traces share: a document's spans, and whether they nest.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace halftone::test {

struct TracedSpan {
  std::string name;
  Index track = 0;
  double begin = 0, end = 0;  ///< microseconds
  nlohmann::json arguments;
};

/// The spans of a trace; checks what the format asks of every entry.
inline std::vector<TracedSpan> spans_of(const std::string& text) {
  const auto document = nlohmann::json::parse(text);
  std::vector<TracedSpan> spans;
  std::set<Index> named;
  for (const auto& event : document.at("traceEvents")) {
    REQUIRE(event.at("pid").is_number_integer());
    const Index track = event.at("tid").get<Index>();
    if (event.at("ph") == "M") {
      REQUIRE(event.at("args").at("name").is_string());
      if (event.at("name") == "thread_name") REQUIRE(named.insert(track).second);
      continue;
    }
    REQUIRE(event.at("ph") == "X");
    REQUIRE(event.at("args").is_object());
    const double begin = event.at("ts").get<double>(), duration = event.at("dur").get<double>();
    REQUIRE(begin >= 0);
    REQUIRE(duration >= 0);
    REQUIRE(named.count(track) == 1);
    spans.push_back({event.at("name").get<std::string>(), track, begin, begin + duration, event.at("args")});
  }
  return spans;
}

inline constexpr double clock_step = 0.002;  ///< microseconds: both ends are rounded to nanoseconds

/// True if no two spans of a track overlap without one lying inside the other.
inline bool spans_nest(const std::vector<TracedSpan>& spans) {
  for (const TracedSpan& a : spans)
    for (const TracedSpan& b : spans)
      if (a.track == b.track && a.begin < b.begin - clock_step && b.begin < a.end - clock_step &&
          b.end > a.end + clock_step)
        return false;
  return true;
}

inline std::map<std::string, int> counted(const std::vector<TracedSpan>& spans) {
  std::map<std::string, int> counts;
  for (const TracedSpan& span : spans) ++counts[span.name];
  return counts;
}

/// The outermost span of a run: there is one, and all others of its track lie inside of it.
inline TracedSpan whole_run(const std::vector<TracedSpan>& spans) {
  const auto run = std::find_if(spans.begin(), spans.end(), [](const TracedSpan& s) { return s.name == "run"; });
  REQUIRE(run != spans.end());
  REQUIRE(counted(spans).at("run") == 1);
  for (const TracedSpan& span : spans) {
    REQUIRE(span.begin >= run->begin - clock_step);
    REQUIRE(span.end <= run->end + clock_step);
  }
  return *run;
}

}  // namespace halftone::test
