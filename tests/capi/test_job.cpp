// Whole models through the C interface: directories and memory give the same bytes; cancelling, failing and resuming at
// every callback.
#include <cstring>
#include <thread>

#include "halftone/format/checkpoint.hpp"
#include "halftone/format/safetensors.hpp"
#include "pipeline/run_support.hpp"
#include "support.hpp"

namespace halftone {
namespace {

using namespace test;
namespace fs = std::filesystem;

const fs::path model_directory = fs::path(HALFTONE_TEST_DATA) / "models" / "llama_gqa";

struct Fixture {
  TemporaryFolder folder;
  OwnedContext context = new_context(2);
  Matrix<std::int32_t> ids = [] {
    Random random(1);
    Matrix<std::int32_t> made(6, 12);
    for (Index i = 0; i < made.size(); ++i) made.data()[i] = static_cast<std::int32_t>(random.below(64));
    return made;
  }();
  std::string recipe = R"({"method": "gptq", "options": {"bits": 3, "group_size": 8}, "format": "native"})";

  OwnedJob job(const char* text = nullptr) const {
    OwnedJob made;
    INFO((text == nullptr ? recipe : text));
    const ht_status status = ht_job_create(context, text == nullptr ? recipe.c_str() : text, made.out());
    INFO(message(context));
    REQUIRE(status == HT_OK);
    const ht_matrix tokens = matrix_of(ids.data(), ids.rows(), ids.cols(), HT_I32);
    REQUIRE(ht_job_set_tokens(made, &tokens) == HT_OK);
    return made;
  }
  OwnedJob job_into(const fs::path& output) const {
    OwnedJob made = job();
    REQUIRE(ht_job_set(made, "model", model_directory.c_str()) == HT_OK);
    REQUIRE(ht_job_set(made, "output", output.c_str()) == HT_OK);
    return made;
  }
};

/// A model in the memory of the program, and what comes back.
struct Host {
  explicit Host(bool by_reading) : checkpoint(model_directory), config(slurp(model_directory / "config.json")) {
    for (const TensorInfo& info : checkpoint.tensors().tensors()) {
      const auto bytes = checkpoint.tensors().bytes(info.name);
      ht_tensor tensor = {};
      tensor.struct_size = sizeof tensor;
      tensor.dtype = static_cast<std::int32_t>(info.dtype);
      tensor.name = info.name.c_str();
      tensor.shape = info.shape.data();
      tensor.rank = static_cast<std::uint32_t>(info.shape.size());
      tensor.data = by_reading ? nullptr : bytes.data();
      tensor.bytes = bytes.size();
      tensors.push_back(tensor);
    }
    source.struct_size = sizeof source;
    source.config = config.c_str();
    source.tensors = tensors.data();
    source.tensor_count = tensors.size();
    if (by_reading) source.read = read;
    source.user = this;
  }

  static ht_status read(void* user, const char* name, std::uint64_t offset, std::uint64_t size, void* into) {
    auto& self = *static_cast<Host*>(user);
    if (++self.reads == self.fail_read) return HT_IO;
    self.wrong_thread += std::this_thread::get_id() != self.thread;
    const auto bytes = self.checkpoint.tensors().bytes(name);
    std::memcpy(into, bytes.data() + offset, size);
    return HT_OK;
  }
  static ht_status sink(void* user, const ht_tensor* tensor) {
    auto& self = *static_cast<Host*>(user);
    if (++self.sinks == self.fail_sink) return HT_CANCELLED;
    self.wrong_thread += std::this_thread::get_id() != self.thread;
    self.received[tensor->name].assign(static_cast<const char*>(tensor->data), tensor->bytes);
    return HT_OK;
  }
  static std::int32_t progress(void* user, const ht_progress* now) {
    auto& self = *static_cast<Host*>(user);
    self.wrong_thread += std::this_thread::get_id() != self.thread;
    self.solved += now->phase == HT_PHASE_SOLVE && now->module != nullptr && now->relative_error > 0;
    self.tuned += now->phase == HT_PHASE_TUNE && now->loss > 0 && now->tuned_last == now->tuned_first + 1 &&
                  now->step == self.tuned % now->steps + 1;
    return ++self.reports == self.stop_at ? 1 : 0;
  }
  void attach(ht_job* job) {
    REQUIRE(ht_job_set_source(job, &source) == HT_OK);
    REQUIRE(ht_job_set_sink(job, sink, this) == HT_OK);
    REQUIRE(ht_job_set_progress(job, progress, this) == HT_OK);
  }

  Checkpoint checkpoint;
  std::string config;
  std::vector<ht_tensor> tensors;
  ht_source source = {};
  std::thread::id thread = std::this_thread::get_id();
  std::map<std::string, std::string> received;
  int reads = 0, sinks = 0, reports = 0, solved = 0, tuned = 0, wrong_thread = 0;
  int fail_read = -1, fail_sink = -1, stop_at = -1;
};

std::string job_text(ht_job* job, const char* what) {
  return text([&](char* buffer, std::size_t capacity, std::size_t* length) {
    const ht_status status = ht_job_text(job, what, buffer, capacity, length);
    INFO(message(job));
    CHECK(status == HT_OK);
    return status;
  });
}

/// Tensors of a checkpoint directory through the C interface.
std::map<std::string, std::string> tensors_of(ht_context* context, const fs::path& directory) {
  OwnedCheckpoint checkpoint;
  REQUIRE(ht_checkpoint_open(context, directory.c_str(), checkpoint.out()) == HT_OK);
  std::map<std::string, std::string> all;
  ht_tensor tensor = {};
  tensor.struct_size = sizeof tensor;
  for (std::uint32_t i = 0; ht_checkpoint_get(checkpoint, i, &tensor) == HT_OK; ++i) {
    all[tensor.name] = std::string(static_cast<const char*>(tensor.data), tensor.bytes);
    ht_tensor same = tensor;
    REQUIRE(ht_checkpoint_tensor(checkpoint, tensor.name, &same) == HT_OK);
    CHECK(same.data == tensor.data);
  }
  return all;
}

}  // namespace

TEST_CASE("a job writes what the C++ run writes, and its report and plan are JSON") {
  const Fixture fixture;
  const fs::path out = fixture.folder.path() / "out", wanted = fixture.folder.path() / "wanted";
  const OwnedJob job = fixture.job_into(out);
  const auto plan = nlohmann::json::parse(job_text(job, "plan"));
  INFO(message(job));
  REQUIRE(ht_job_run(job) == HT_OK);
  RunOptions options;
  options.ids = fixture.ids.view();
  quantize_model(Context<Cpu>(1), model_directory, wanted, parse_recipe(fixture.recipe, "test"), options);
  CHECK(same_folder(out, wanted));
  const auto report = nlohmann::json::parse(job_text(job, "report"));
  CHECK(report["layers"].size() == plan["layers"].size());
  CHECK(report["format"] == "native");
  CHECK(nlohmann::json::parse(job_text(job, "recipe"))["method"] == "gptq");
  CHECK(ht_job_run(job) == HT_CONFLICT);  // the output is there
  CHECK(message(job).find("out") != std::string::npos);
}

TEST_CASE("a model in memory becomes the tensors that a directory would hold") {
  const Fixture fixture;
  const fs::path out = fixture.folder.path() / "out";
  const OwnedJob filed = fixture.job_into(out);
  REQUIRE(ht_job_run(filed) == HT_OK);
  const auto wanted = tensors_of(fixture.context, out);
  for (const bool by_reading : {false, true}) {
    Host host(by_reading);
    const OwnedJob job = fixture.job();
    host.attach(job);
    INFO(message(job));
    REQUIRE(ht_job_run(job) == HT_OK);
    std::map<std::string, std::string> together = host.received;
    std::string unchanged = job_text(job, "unchanged");
    for (std::size_t end = 0; (end = unchanged.find('\n')) != std::string::npos; unchanged.erase(0, end + 1)) {
      const std::string name = unchanged.substr(0, end);
      const auto bytes = host.checkpoint.tensors().bytes(name);
      CHECK(together.emplace(name, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())).second);
    }
    CHECK(together == wanted);
    CHECK(job_text(job, "config") == slurp(out / "config.json"));
    CHECK(host.wrong_thread == 0);
    CHECK(host.solved > 0);
    CHECK((host.reads > 0) == by_reading);
  }
}

TEST_CASE("a job stops at each of its callbacks, and runs afterwards") {
  const Fixture fixture;
  Host counting(true);
  const OwnedJob job = fixture.job();
  counting.attach(job);
  REQUIRE(ht_job_run(job) == HT_OK);
  const auto each = [&](int count, int Host::*when, ht_status wanted) {
    for (int k = 1; k <= count; ++k) {
      Host host(true);
      host.*when = k;
      host.attach(job);
      INFO("call " << k << " of " << count);
      CHECK(ht_job_run(job) == wanted);
    }
  };
  each(counting.reads, &Host::fail_read, HT_IO);
  CHECK(message(job).find("source") != std::string::npos);
  each(counting.sinks, &Host::fail_sink, HT_CANCELLED);
  each(counting.reports, &Host::stop_at, HT_CANCELLED);
  Host again(true);
  again.attach(job);
  REQUIRE(ht_job_run(job) == HT_OK);
  CHECK(again.received == counting.received);
}

TEST_CASE("a cancelled run into a directory is resumed and ends in the same bytes") {
  const Fixture fixture;
  const fs::path whole = fixture.folder.path() / "whole", parts = fixture.folder.path() / "parts";
  REQUIRE(ht_job_run(fixture.job_into(whole)) == HT_OK);
  const OwnedJob job = fixture.job_into(parts);
  REQUIRE(ht_job_set(job, "resume", "true") == HT_OK);
  struct Stop {
    int calls = 0, at = 0;
  } stop;
  REQUIRE(ht_job_set_progress(
              job,
              [](void* user, const ht_progress*) -> std::int32_t {
                auto& now = *static_cast<Stop*>(user);
                return ++now.calls == now.at ? 7 : 0;
              },
              &stop) == HT_OK);
  int cancelled = 0;
  for (stop.at = 1;; stop.at += 3, stop.calls = 0) {
    const ht_status status = ht_job_run(job);
    if (status == HT_OK) break;
    REQUIRE(status == HT_CANCELLED);
    CHECK(!fs::exists(parts));
    ++cancelled;
  }
  CHECK(cancelled > 2);
  CHECK(same_folder(parts, whole));
}

TEST_CASE("a job that tunes tells its steps and their loss, and can be stopped at one") {
  const Fixture fixture;
  const OwnedJob job = fixture.job(
      R"({"method": "gptq", "options": {"bits": 2, "group_size": 8}, "format": "native", "tune": {"steps": 5}})");
  Host host(false);
  host.attach(job);
  REQUIRE(ht_job_run(job) == HT_OK);
  CHECK(host.tuned == 10);
  CHECK(job_text(job, "report").find("tun") != std::string::npos);
  Host stopped(false);
  stopped.stop_at = host.reports - 3;
  stopped.attach(job);
  CHECK(ht_job_run(job) == HT_CANCELLED);
}

TEST_CASE("ht_job_cancel stops a run from another thread") {
  const Fixture fixture;
  Host host(false);
  const OwnedJob job = fixture.job();
  host.attach(job);
  struct Slow {
    std::atomic<int> reports{0};
    std::atomic<bool> asked{false};
  } slow;
  REQUIRE(ht_job_set_progress(
              job,
              [](void* user, const ht_progress*) -> std::int32_t {
                auto& now = *static_cast<Slow*>(user);
                ++now.reports;
                while (!now.asked) std::this_thread::yield();
                return 0;
              },
              &slow) == HT_OK);
  std::thread other([&] {
    while (slow.reports == 0) std::this_thread::yield();
    CHECK(ht_job_set(job, "resume", "true") == HT_CONFLICT);  // in use
    CHECK(ht_job_cancel(job) == HT_OK);
    slow.asked = true;
  });
  CHECK(ht_job_run(job) == HT_CANCELLED);
  other.join();
  CHECK(slow.reports <= 2);
}

TEST_CASE("a source that is none is refused") {
  const Fixture fixture;
  const OwnedJob job = fixture.job();
  const auto status = [&](auto&& change) {
    Host host(false);
    change(host);
    const ht_status set = ht_job_set_source(job, &host.source);
    if (set != HT_OK) return set;
    REQUIRE(ht_job_set_sink(job, Host::sink, &host) == HT_OK);
    return ht_job_run(job);
  };
  CHECK(status([](Host&) {}) == HT_OK);
  CHECK(status([](Host& h) { h.source.config = nullptr; }) == HT_INVALID_ARGUMENT);
  CHECK(status([](Host& h) { h.source.config = "[1, 2"; }) == HT_INVALID_DATA);
  CHECK(status([](Host& h) { h.source.config = "{}"; }) != HT_OK);
  CHECK(status([](Host& h) { h.source.tensors = nullptr; }) == HT_INVALID_ARGUMENT);
  CHECK(status([](Host& h) { h.source.tensor_count = 0; }) != HT_OK);
  CHECK(status([](Host& h) { h.source.tensor_count = 3; }) != HT_OK);
  CHECK(status([](Host& h) { h.tensors[0].name = nullptr; }) == HT_INVALID_ARGUMENT);
  CHECK(status([](Host& h) { h.tensors[0].name = h.tensors[1].name; }) == HT_INVALID_ARGUMENT);
  CHECK(status([](Host& h) { h.tensors[0].shape = nullptr; }) == HT_INVALID_ARGUMENT);
  CHECK(status([](Host& h) { h.tensors[0].dtype = 77; }) == HT_INVALID_ARGUMENT);
  CHECK(status([](Host& h) { h.tensors[0].bytes = 3; }) == HT_SHAPE_MISMATCH);
  CHECK(status([](Host& h) { h.tensors[0].data = nullptr; }) == HT_INVALID_ARGUMENT);  // and no reader
  CHECK(status([](Host& h) { h.tensors[0].struct_size = 4; }) == HT_INVALID_ARGUMENT);
}

TEST_CASE("a quantised checkpoint gives its matrices") {
  const Fixture fixture;
  const fs::path out = fixture.folder.path() / "out";
  REQUIRE(ht_job_run(fixture.job_into(out)) == HT_OK);
  OwnedCheckpoint checkpoint;
  REQUIRE(ht_checkpoint_open(fixture.context, out.c_str(), checkpoint.out()) == HT_OK);
  const char* const module = "model.layers.1.mlp.down_proj";
  OwnedResult result;
  REQUIRE(ht_checkpoint_matrix(checkpoint, module, result.out()) == HT_OK);
  const auto wanted = Checkpoint(out).quantized(module);
  CHECK(part<std::uint8_t>(result, "codes") == wanted->codes);
  CHECK(part<float>(result, "scales") == wanted->uniform().scales);
  CHECK(number(result, "bits") == 3);
}

}  // namespace halftone
