// Traces: spans of one thread and of many, and those of whole runs, finished and stopped.
#include <thread>

#include "halftone/pipeline/quantize_tensors.hpp"
#include "pipeline/run_support.hpp"
#include "pipeline/trace_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

double sum_of(const std::vector<TracePhase>& phases) {
  double seconds = 0;
  for (const TracePhase& phase : phases) seconds += phase.seconds;
  return seconds;
}

/// Phases add up to the run, and none is negative.
void check_phases(const Trace& trace) {
  const TracedSpan run = whole_run(spans_of(trace.json()));
  const auto phases = trace.phases();
  for (const TracePhase& phase : phases) {
    CHECK(phase.seconds >= 0);
    CHECK(phase.background >= 0);
    CHECK(phase.spans > 0);
  }
  CHECK(sum_of(phases) == Approx((run.end - run.begin) / 1e6).epsilon(1e-6).margin(1e-8));
}

struct Scene {
  TemporaryFolder folder;
  Context<Cpu> context{2};
  Recipe recipe = small_recipe("gptqv2", write_ids(folder / "ids.safetensors", 8, 32, 90));

  RunReport run(const std::string& out, Trace* trace, ProgressCallback progress = {}, bool resume = false) const {
    RunOptions options;
    options.resume = resume;
    options.trace = trace;
    options.progress = std::move(progress);
    return quantize_model(context, model_folder("llama_gqa"), folder / out, recipe, options);
  }
};

}  // namespace

TEST_CASE("spans nest, carry what is said of them, and are valid JSON whatever it is") {
  Trace trace;
  CHECK(spans_of(trace.json()).empty());
  {
    Span outer(&trace, "outer");
    outer.note("text", "a \"quote\", a \\ and \n \x01 \xff").note("count", Index{-3}).note("ratio", 0.5);
    { const Span inner(&trace, "inner"); }
    { const Span inner(&trace, "inner"); }
    CHECK(counted(spans_of(trace.json())) == std::map<std::string, int>{{"inner", 2}});
  }
  const auto spans = spans_of(trace.json());
  CHECK(spans_nest(spans));
  REQUIRE(spans.size() == 3);
  CHECK(spans[2].name == "outer");
  CHECK(spans[2].arguments["count"] == -3);
  CHECK(spans[2].arguments["ratio"] == 0.5);
  CHECK(spans[2].arguments["text"].get<std::string>().find("a \"quote\", a \\ and \n \x01 ") == 0);
  CHECK(sum_of(trace.phases()) == Approx((spans[2].end - spans[2].begin) / 1e6).margin(1e-8));
}

TEST_CASE("a span without a trace is nothing") {
  Span span(nullptr, "nothing");
  CHECK(&span.note("text", "x").note("count", Index{1}).note("ratio", 1.0) == &span);
}

TEST_CASE("an exception ends the spans that it leaves") {
  Trace trace;
  CHECK_THROWS_AS(
      [&] {
        const Span outer(&trace, "outer");
        const Span inner(&trace, "inner");
        fail(Status::Io, "test");
      }(),
      Error);
  CHECK(counted(spans_of(trace.json())) == std::map<std::string, int>{{"inner", 1}, {"outer", 1}});
}

TEST_CASE("threads have tracks of their own, which are the background") {
  Trace trace;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&trace, i] {
      if (i == 0) trace.name_track("reader");
      for (int k = 0; k < 500; ++k) {
        Span outer(&trace, "outer");
        outer.note("thread", Index{i});
        const Span inner(&trace, "inner");
      }
    });
  for (int k = 0; k < 500; ++k) static_cast<void>(trace.json().size() + trace.phases().size());
  for (std::thread& thread : threads) thread.join();
  const auto spans = spans_of(trace.json());
  CHECK(spans.size() == 4000);
  CHECK(spans_nest(spans));
  std::map<Index, std::set<Index>> threads_of_track;
  for (const TracedSpan& span : spans)
    if (span.name == "outer") threads_of_track[span.track].insert(span.arguments["thread"].get<Index>());
  CHECK(threads_of_track.size() == 4);
  for (const auto& [track, of] : threads_of_track) CHECK(of.size() == 1);
  CHECK(threads_of_track.count(0) == 0);  // the thread that made the trace
  CHECK_THAT(trace.json(), Catch::Contains("\"reader\"") && Catch::Contains("\"run\"") && Catch::Contains("\"thread "));
  for (const TracePhase& phase : trace.phases()) CHECK(phase.seconds == 0);
}

TEST_CASE("a run leaves a span for every piece of its work") {
  const Scene scene;
  Trace trace;
  scene.run("out", &trace);
  const auto spans = spans_of(trace.json());
  CHECK(spans_nest(spans));
  check_phases(trace);
  auto counts = counted(spans);
  CHECK(counts["solve"] == 14);
  CHECK(counts["encode"] == 14);
  CHECK(counts["verify"] == 14);
  CHECK(counts["prepare"] == 8);
  CHECK(counts["statistics"] == 8);
  CHECK(counts["read"] == 2);
  CHECK(counts["flush"] == 2);
  CHECK(counts["journal"] == 2);
  CHECK(counts["embed"] == 2);
  CHECK(counts["forward"] == 2 * (4 + 4 + 1));  // two streams to four stages each; out of the first block alone
  std::set<std::string> modules;
  for (const TracedSpan& span : spans) {
    if (span.name == "solve") modules.insert(span.arguments.at("module").get<std::string>());
    if (span.name == "solve" || span.name == "prepare" || span.name == "statistics")
      CHECK(span.arguments.at("flops").get<double>() > 0);
  }
  CHECK(modules.size() == 14);
  std::map<std::string, std::set<Index>> tracks;
  for (const TracedSpan& span : spans) tracks[span.name].insert(span.track);
  CHECK(tracks["solve"] == std::set<Index>{0});
  CHECK(tracks["journal"].count(0) == 0);
  CHECK(tracks["encode"] == tracks["journal"]);
  CHECK(tracks["read"].size() == 2);  // the first block has to be waited for
  CHECK_THAT(trace.json(), Catch::Contains("\"reader\"") && Catch::Contains("\"writer\""));
}

TEST_CASE("forward passes and statistics of a trace take the flops of the plan") {
  const Scene scene;
  Trace trace;
  scene.run("out", &trace);
  double flops = 0;
  for (const TracedSpan& span : spans_of(trace.json()))
    if (span.arguments.contains("flops")) flops += span.arguments["flops"].get<double>();
  const RunPlan plan = plan_model(scene.context, model_folder("llama_gqa"), scene.recipe);
  CHECK(flops > 0.5 * plan.flops);  // the last block is not left, so that its last operations are not run
  CHECK(flops <= plan.flops);
}

TEST_CASE("a run that is stopped anywhere leaves a whole trace; one that goes on says what it replays") {
  const Scene scene;
  Index calls = 0;
  scene.run("whole", nullptr, [&](const Progress&) { return ++calls > 0; });
  for (Index stop = 1; stop <= calls; stop += 5) {
    Trace trace;
    const auto out = concat("out", stop);
    expect_error(Status::Cancelled, {},
                 [&] { scene.run(out, &trace, [left = stop](const Progress&) mutable { return --left > 0; }); });
    CHECK(spans_nest(spans_of(trace.json())));
    check_phases(trace);
    Trace second;
    const RunReport report = scene.run(out, &second, {}, true);
    CHECK(counted(spans_of(second.json()))["replay"] == report.blocks_resumed);
    CHECK(same_folder(scene.folder / "whole", scene.folder / out));
  }
}

TEST_CASE("a run that tunes has a span for every window and step") {
  Scene scene;
  scene.recipe.tune = parse_tune("steps=7,batch=3,nblocks=2,step=1");
  Trace trace;
  scene.run("out", &trace);
  auto counts = counted(spans_of(trace.json()));
  CHECK(counts["tune"] == 3);  // [0, 1) [0, 2) [1, 2)
  CHECK(counts["step"] == 3 * 7);
  CHECK(spans_nest(spans_of(trace.json())));
  check_phases(trace);
}

TEST_CASE("a run in memory has a trace too") {
  const Scene scene;
  const Checkpoint model(model_folder("llama_gqa"));
  Trace trace;
  quantize_tensors(
      scene.context, model, scene.recipe, {}, [](const TensorInfo&, std::span<const std::byte>) {}, {}, &trace);
  const auto spans = spans_of(trace.json());
  CHECK(counted(spans)["encode"] == 14);
  for (const TracedSpan& span : spans) CHECK(span.track == 0);  // everything on the caller's thread
  check_phases(trace);
}

TEST_CASE("the table of phases has a row for each and the sum") {
  const Scene scene;
  Trace trace;
  scene.run("out", &trace);
  const std::string table = phase_table(trace);
  for (const TracePhase& phase : trace.phases()) CHECK_THAT(table, Catch::Contains(phase.name));
  CHECK_THAT(table, Catch::Contains("100.0 %") && Catch::Contains("share"));
  CHECK_THAT(phase_table(Trace()), Catch::Contains("0.0 %"));
}
