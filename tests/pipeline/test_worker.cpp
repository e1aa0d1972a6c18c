// What goes on beside a walk: the worker, and an output that is written behind.
#include "pipeline/worker.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <future>
#include <numeric>
#include <set>
#include <vector>

#include "halftone/core/parallel.hpp"
#include "pipeline/run_support.hpp"
#include "pipeline/write_behind.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("a worker does its tasks in order, on one other thread") {
  std::vector<int> done;
  std::set<std::thread::id> threads;
  {
    Worker worker("worker", 10, nullptr);
    for (int i = 0; i < 100; ++i)
      CHECK(worker.submit(i % 4, [&, i] {
        done.push_back(i);
        threads.insert(std::this_thread::get_id());
      }) == i);
    worker.wait(49);
    CHECK(worker.done(49));
    CHECK_FALSE(worker.done(100));
  }  // the rest is done at its end
  std::vector<int> all(100);
  std::iota(all.begin(), all.end(), 0);
  CHECK(done == all);
  CHECK(threads.size() == 1);
  CHECK(threads.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("a worker's tasks have one thread each") {
  Worker worker("worker", 1, nullptr);
  int available = 0;
  worker.wait(worker.submit(0, [&] { available = available_threads(); }));
  CHECK(available == 1);
}

TEST_CASE("what waits for a worker is bounded") {
  std::promise<void> gate;
  const std::shared_future<void> opened = gate.get_future().share();
  Worker worker("worker", 10, nullptr);
  worker.submit(0, [opened] { opened.wait(); });
  worker.submit(4, [] {});
  worker.submit(6, [] {});  // all the room there is
  bool empty = false;
  std::future<void> more = std::async(std::launch::async, [&] {
    worker.submit(1, [] {});
    worker.wait(worker.submit(25, [&] { empty = true; }));  // larger than all: alone
  });
  CHECK(more.wait_for(std::chrono::milliseconds(30)) == std::future_status::timeout);
  CHECK_FALSE(empty);
  gate.set_value();
  more.get();
  CHECK(empty);
}

TEST_CASE("what a task throws comes out of the next call, and the tasks behind it are passed over") {
  for (const int call : {0, 1, 2}) {
    std::atomic<int> later{0};
    Worker worker("worker", 1, nullptr);
    const Index bad = worker.submit(1, [] { fail(Status::Io, "the disk is full"); });
    const auto throws = [&](auto&& body) { expect_error(Status::Io, {"the disk is full"}, body); };
    throws([&] { worker.wait(bad); });
    if (call == 0) throws([&] { worker.submit(1, [&] { ++later; }); });
    if (call == 1) throws([&] { static_cast<void>(worker.done(bad)); });
    if (call == 2) throws([&] { worker.wait(bad + 1); });
    CHECK(later == 0);
  }
  Worker worker("worker", 1, nullptr);
  worker.submit(0, [] { throw std::domain_error("not an Error"); });
  CHECK_THROWS_AS(worker.wait(0), std::domain_error);
}

TEST_CASE("a worker whose owner never asks ends quietly") {
  int done = 0;
  {
    Worker worker("worker", 5, nullptr);
    worker.submit(1, [&] { ++done; });
    worker.submit(1, [] { fail(Status::Io, "nobody hears"); });
  }
  CHECK(done == 1);
  { const Worker idle("worker", 5, nullptr); }
}

namespace {

/// An output that is slow, or fails, where it is told to.
class SlowOutput final : public WalkOutput {
 public:
  Index finished_blocks() const override { return 0; }
  Matrix<float> stored_values(const PlannedMatrix&) const override { return {}; }
  void write(const PlannedMatrix& planned, const QuantizedMatrix&, const LayerReport& layer) override {
    opened.wait();
    written.push_back(planned.matrix.module + layer.module);
  }
  void block_done(Index block) override {
    require(block != bad_block, Status::Io, "block ", block, " cannot be recorded");
    written.push_back(concat("block ", block));
  }

  std::promise<void> gate;
  std::shared_future<void> opened = gate.get_future().share();
  std::vector<std::string> written;
  Index bad_block = -1;
};

RunPlan two_blocks() {
  RunPlan plan;
  for (const char* module : {"a", "b"}) {
    PlannedMatrix planned;
    planned.matrix.module = module;
    planned.matrix.rows = planned.matrix.cols = 1;
    PlannedStage stage;
    stage.matrices.push_back(planned);
    plan.blocks.push_back({stage});
  }
  return plan;
}

}  // namespace

TEST_CASE("an output written behind gets everything in order, and blocks are recorded when they are") {
  const RunPlan plan = two_blocks();
  SlowOutput output;
  WriteBehind behind(output, plan, nullptr);
  LayerReport layer;
  layer.module = " is a";
  behind.write(plan.blocks[0][0].matrices[0], {}, layer);
  behind.block_done(0);
  CHECK_FALSE(behind.recorded(0));  // the output waits at its gate
  CHECK_FALSE(behind.recorded(1));
  output.gate.set_value();
  behind.wait_recorded(0);
  CHECK(behind.recorded(0));
  CHECK_FALSE(behind.recorded(1));
  CHECK(output.written == std::vector<std::string>{"a is a", "block 0"});
}

TEST_CASE("a block that cannot be recorded is not, and says why") {
  const RunPlan plan = two_blocks();
  SlowOutput output;
  output.bad_block = 0;
  WriteBehind behind(output, plan, nullptr);
  behind.block_done(0);
  expect_error(Status::Io, {"block 0 cannot be recorded"}, [&] { behind.wait_recorded(0); });
  expect_error(Status::Io, {"block 0"}, [&] { static_cast<void>(behind.recorded(0)); });
  expect_error(Status::Io, {"block 0"}, [&] { behind.block_done(1); });
  CHECK(output.written.empty());
}
