// Ctrl-C, SIGTERM and kill -9 at any moment; the resumed run ends in the same bytes.
#include <chrono>
#include <thread>

#include "cli/command.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> words(const std::filesystem::path& out, bool resume = false) {
  std::vector<std::string> list = {
      "quantize",  novella(),      "-o",     out.string(),    "--bits",
      "3",         "--group-size", "64",     "--calibration", novella_ids("calib_ids.safetensors"),
      "--windows", "24",           "--quiet"};
  if (resume) list.push_back("--resume");
  return list;
}

std::filesystem::path partial_of(const std::filesystem::path& out) { return out.string() + ".partial"; }

/// Waits until the journal of a run has `lines` lines, or the run has ended.
void wait_for_lines(RunningCommand& command, const std::filesystem::path& out, std::ptrdiff_t lines) {
  for (int i = 0; i < 20'000 && command.running(); ++i) {
    const auto journal = partial_of(out) / "journal.jsonl";
    if (std::filesystem::exists(journal)) {
      std::ifstream in(journal);
      const std::string text{std::istreambuf_iterator<char>(in), {}};
      if (std::count(text.begin(), text.end(), '\n') >= lines) return;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
}

}  // namespace

TEST_CASE("kill -9 at any moment, then a resume: the same bytes") {
  const TemporaryFolder folder;
  const auto start = Clock::now();
  REQUIRE(halftone_command(words(folder / "whole")).code == 0);
  const std::chrono::duration<double> whole = Clock::now() - start;
  Random random(20);
  int killed = 0, unfinished = 0;
  for (int trial = 0; trial < 10; ++trial) {
    const auto out = folder / concat("out", trial);
    RunningCommand command(words(out));
    std::this_thread::sleep_for(random.uniform() * whole);
    command.send(SIGKILL);
    killed += command.wait().signal == SIGKILL ? 1 : 0;
    if (std::filesystem::exists(partial_of(out))) ++unfinished;
    if (!std::filesystem::exists(out)) {
      const CommandResult resumed = halftone_command(words(out, true));
      INFO(resumed.err);
      REQUIRE(resumed.code == 0);
    }
    CHECK(same_folder(folder / "whole", out));
    CHECK_FALSE(std::filesystem::exists(partial_of(out)));
    std::filesystem::remove_all(out);
  }
  CHECK(killed > 0);
  CHECK(unfinished > 0);
}

TEST_CASE("kill -9 again and again, at the same run") {
  const TemporaryFolder folder;
  REQUIRE(halftone_command(words(folder / "whole")).code == 0);
  const auto out = folder / "out";
  for (std::ptrdiff_t lines = 2; lines <= 6; lines += 2) {
    RunningCommand command(words(out, true));
    wait_for_lines(command, out, lines);
    command.send(SIGKILL);
    command.wait();
  }
  const CommandResult resumed = halftone_command(words(out, true));
  INFO(resumed.err);
  CHECK((resumed.code == 0 || std::filesystem::exists(out)));
  CHECK(same_folder(folder / "whole", out));
}

TEST_CASE("kill -9 while windows of blocks that overlap are tuned, again and again") {
  const TemporaryFolder folder;
  const auto tuned = [](const std::filesystem::path& out) {
    auto list = words(out, true);
    list.insert(list.end(), {"--windows", "4", "--tune", "steps=3,batch=2,nblocks=2,step=1,lookahead=0"});
    return list;
  };
  REQUIRE(halftone_command(tuned(folder / "whole")).code == 0);
  const auto out = folder / "out";
  int killed = 0;
  for (int window = 0; window < 6; window += 2) {
    RunningCommand command(tuned(out));
    const auto kept = partial_of(out) / concat("window-0000", window, ".safetensors");
    for (int i = 0; i < 20'000 && command.running() && !std::filesystem::exists(kept); ++i)
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    command.send(SIGKILL);
    killed += command.wait().signal == SIGKILL ? 1 : 0;
  }
  CHECK(killed > 0);
  const CommandResult resumed = halftone_command(tuned(out));
  INFO(resumed.err);
  CHECK((resumed.code == 0 || std::filesystem::exists(out)));
  CHECK(same_folder(folder / "whole", out));
}

TEST_CASE("Ctrl-C and SIGTERM stop after the current layer and say how to resume") {
  const TemporaryFolder folder;
  REQUIRE(halftone_command(words(folder / "whole")).code == 0);
  const int signal = GENERATE(SIGINT, SIGTERM);
  const auto out = folder / "out";
  RunningCommand command(words(out));
  wait_for_lines(command, out, 2);
  command.send(signal);
  const CommandResult stopped = command.wait();
  if (stopped.code != 0) {  // a machine that slept may have let it finish
    CHECK(stopped.code == 130);
    CHECK_THAT(stopped.err, Catch::Contains("--resume") && Catch::Contains("of 6 blocks"));
    CHECK(stopped.out.empty());
    CHECK_FALSE(std::filesystem::exists(out));
    CHECK(halftone_command(words(out)).code == 7);
    CHECK(halftone_command(words(out, true)).code == 0);
  }
  CHECK(same_folder(folder / "whole", out));
}

TEST_CASE("a second run of the same output while the first one writes is refused") {
  const TemporaryFolder folder;
  const auto out = folder / "out";
  RunningCommand first(words(out));
  wait_for_lines(first, out, 1);
  const CommandResult second = halftone_command(words(out, true));
  if (first.running()) {
    CHECK(second.code == 7);
    CHECK_THAT(second.err, Catch::Contains("another process"));
  }
  CHECK(first.wait().code == 0);
}
