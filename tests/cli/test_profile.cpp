// quantize --profile: the file of a run that ends, of one that is stopped, and what is refused.
#include "cli/command.hpp"
#include "pipeline/trace_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

std::vector<std::string> words(const TemporaryFolder& folder, const std::string& trace,
                               const std::vector<std::string>& more = {}) {
  std::vector<std::string> list = {"quantize",
                                   novella(),
                                   "-o",
                                   (folder / "out").string(),
                                   "--bits",
                                   "3",
                                   "--group-size",
                                   "64",
                                   "--calibration",
                                   novella_ids("calib_ids.safetensors"),
                                   "--windows",
                                   "24",
                                   "--profile",
                                   trace};
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

}  // namespace

TEST_CASE("a profile is a trace on the disk and a table on stderr") {
  const TemporaryFolder folder;
  const auto file = folder / "trace.json";
  put(file, std::string(1'000'000, ' ') + "an old file that is longer");
  const CommandResult run = halftone_command(words(folder, file.string(), {"--json"}));
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK(run.json()["layers"].size() == 42);
  for (const char* word : {"phase", "share", "solve", "forward", "statistics", "all"})
    CHECK_THAT(run.err, Catch::Contains(word));
  const auto spans = spans_of(slurp(file));
  CHECK(counted(spans)["solve"] == 42);
  CHECK(spans_nest(spans));
  whole_run(spans);
}

TEST_CASE("a profile of a quiet run prints nothing") {
  const TemporaryFolder folder;
  const CommandResult run = halftone_command(words(folder, (folder / "trace.json").string(), {"--quiet"}));
  CHECK(run.code == 0);
  CHECK(run.err.empty());
  CHECK(run.out.empty());
  CHECK(counted(spans_of(slurp(folder / "trace.json")))["run"] == 1);
}

TEST_CASE("a run that is stopped leaves its profile") {
  const TemporaryFolder folder;
  const auto file = folder / "trace.json";
  RunningCommand command(words(folder, file.string()));
  for (int i = 0; i < 20'000 && command.running(); ++i) {
    if (std::filesystem::exists(folder / "out.partial/journal.jsonl")) break;
    ::usleep(500);
  }
  command.send(SIGINT);
  const CommandResult stopped = command.wait();
  CHECK((stopped.code == 130 || stopped.code == 0));  // a machine that slept may have let it finish
  CHECK_THAT(stopped.err, Catch::Contains("share"));
  const auto spans = spans_of(slurp(file));
  CHECK(spans_nest(spans));
  whole_run(spans);
}

TEST_CASE("a run that fails leaves its profile and says why it failed") {
  const TemporaryFolder folder;
  put(folder / "out", "in the way");
  const auto file = folder / "trace.json";
  const CommandResult failed = halftone_command(words(folder, file.string()));
  CHECK(failed.code == 7);
  CHECK_THAT(failed.err, Catch::Contains("not empty"));
  CHECK(counted(spans_of(slurp(file))) == std::map<std::string, int>{{"run", 1}});
}

TEST_CASE("a profile that cannot be written is refused before the run begins") {
  const TemporaryFolder folder;
  for (const std::string& file : {(folder / "no/such/folder/trace.json").string(), folder.path().string()}) {
    const CommandResult refused = halftone_command(words(folder, file));
    CHECK(refused.code == 4);
    CHECK_THAT(refused.err, Catch::Contains("profile") && Catch::Contains(file));
    CHECK_FALSE(std::filesystem::exists(folder / "out"));
    CHECK_FALSE(std::filesystem::exists(folder / "out.partial"));
  }
  const CommandResult dry = halftone_command(words(folder, (folder / "trace.json").string(), {"--dry-run"}));
  CHECK(dry.code == 2);
  CHECK_THAT(dry.err, Catch::Contains("--dry-run"));
  CHECK_FALSE(std::filesystem::exists(folder / "trace.json"));
  if (std::filesystem::exists("/dev/full")) {
    const CommandResult full = halftone_command(words(folder, "/dev/full"));
    CHECK(full.code == 4);
    CHECK_THAT(full.err, Catch::Contains("/dev/full"));
    CHECK(std::filesystem::exists(folder / "out"));  // the run itself was not at fault
  }
}
