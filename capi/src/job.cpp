#include <charconv>
#include <nlohmann/json.hpp>

#include "context.hpp"
#include "convert.hpp"
#include "halftone/format/host_tensors.hpp"
#include "halftone/pipeline/quantize_model.hpp"
#include "halftone/pipeline/quantize_tensors.hpp"

using namespace halftone;
using namespace halftone::capi;

struct ht_job final : MadeFromContext {
  ht_job(std::shared_ptr<Shared> shared, const char* text)
      : MadeFromContext(std::move(shared)), recipe(parse_recipe(text, "ht_job_create: recipe")) {}

  Recipe recipe;
  std::string model, output;
  RunOptions options;
  std::optional<Checkpoint> held;  ///< the model, where the program holds it
  Matrix<std::int32_t> ids;
  ht_tensor_fn sink = nullptr;
  void* sink_user = nullptr;
  ht_progress_fn progress = nullptr;
  void* progress_user = nullptr;
  std::atomic<bool> cancelled{false};

  std::string plan;  ///< as text, until a setting changes
  std::string report;
  std::optional<TensorsResult> sent;
};

namespace {

/// The model of the job: the one that the program holds, or the directory opened.
class JobModel {
 public:
  explicit JobModel(const ht_job& job) {
    if (job.held) return;
    require(!job.model.empty(), Status::InvalidArgument,
            "the job has no model: neither ht_job_set(job, \"model\", directory) nor ht_job_set_source was called");
    opened_.emplace(job.model);
  }
  const Checkpoint& of(const ht_job& job) const { return job.held ? *job.held : *opened_; }

 private:
  std::optional<Checkpoint> opened_;
};

ht_progress progress_of(const Progress& now) {
  ht_progress out{};
  out.struct_size = sizeof out;
  out.phase = static_cast<std::int32_t>(now.phase);
  out.blocks_done = now.blocks_done;
  out.blocks = now.blocks;
  out.matrices_done = now.matrices_done;
  out.matrices = now.matrices;
  out.seconds = now.seconds;
  out.seconds_left = now.seconds_left;
  if (now.report != nullptr) out.relative_error = now.report->relative_error;
  if (now.tuning != nullptr) {
    out.tuned_first = now.tuning->first;
    out.tuned_last = now.tuning->last;
    out.step = now.tuning->step;
    out.steps = now.tuning->steps;
    out.loss = now.tuning->loss;
  }
  return out;
}

void log_progress(const ht_job& job, const Progress& now) {
  if (now.report == nullptr) return;
  const std::string layer(now.module);
  job.log(HT_LOG_INFO, concat(layer, ": relative error ", now.report->relative_error).c_str());
  for (const std::string& note : now.report->notes) job.log(HT_LOG_WARNING, (layer + ": " + note).c_str());
}

/// Tells the program, and whether to go on.
ProgressCallback reporter(ht_job& job) {
  return [&job](const Progress& now) {
    log_progress(job, now);
    if (job.progress != nullptr) {
      ht_progress out = progress_of(now);
      const std::string module(now.module);
      if (now.report != nullptr) out.module = module.c_str();
      if (job.progress(job.progress_user, &out) != 0) job.cancelled = true;
    }
    return !job.cancelled;
  };
}

TensorReceiver receiver(ht_job& job) {
  return [&job](const TensorInfo& info, std::span<const std::byte> bytes) {
    const ht_tensor tensor = tensor_of(info, bytes);
    require_ok(job.sink(job.sink_user, &tensor), "sink");
  };
}

void run(ht_job& job) {
  RunReport report;
  std::optional<TensorsResult> sent;
  if (job.sink != nullptr) {
    const JobModel model(job);
    sent = quantize_tensors(job.context(), model.of(job), job.recipe, job.ids.view(), receiver(job), reporter(job),
                            nullptr, job.device());
    report = sent->report;
  } else {
    require(!job.held, Status::InvalidArgument,
            "the job has a source but no sink: call ht_job_set_sink, or give the model as a directory");
    require(!job.model.empty() && !job.output.empty(), Status::InvalidArgument, "the job has no ",
            job.model.empty() ? "model" : "output", ": call ht_job_set");
    RunOptions options = job.options;
    options.progress = reporter(job);
    options.ids = job.ids.view();
    options.device = job.device();
    report = quantize_model(job.context(), job.model, job.output, job.recipe, options);
  }
  job.report = report_json(report).dump();
  job.sent = std::move(sent);
  for (const std::string& note : report.notes) job.log(HT_LOG_WARNING, note.c_str());
}

std::string plan_text(const ht_job& job) {
  const JobModel model(job);
  const RunPlan plan =
      plan_tensors(job.context(), model.of(job), job.recipe, job.ids.rows(), job.ids.cols(), job.device());
  return plan_json(plan, job.device().cuda ? 0 : estimated_seconds(job.context(), plan)).dump();
}

std::string text_of(ht_job& job, std::string_view what) {
  if (what == "recipe") return recipe_json(job.recipe).dump();
  if (what == "plan") return job.plan.empty() ? job.plan = plan_text(job) : job.plan;
  if (what == "report") {
    require(!job.report.empty(), Status::NotFound, "ht_job_text: no run has ended well yet, so there is no report");
    return job.report;
  }
  require(what == "config" || what == "unchanged", Status::NotFound, "ht_job_text: there is no '", what,
          "', wanted recipe, plan, report, config or unchanged");
  require(job.sent.has_value(), Status::NotFound,
          "ht_job_text: no run into a sink has ended well yet, so there is no '", what, "'");
  if (what == "config") return job.sent->config;
  std::string lines;
  for (const std::string& name : job.sent->unchanged) lines += name + "\n";
  return lines;
}

void set(ht_job& job, std::string_view name, std::string_view value) {
  if (name == "model") {
    job.model = value;
    job.held.reset();
  } else if (name == "output") {
    job.output = value;
  } else if (name == "resume") {
    require(value == "true" || value == "false", Status::InvalidArgument, "ht_job_set: resume is '", value,
            "', wanted true or false");
    job.options.resume = value == "true";
  } else if (name == "shard_bytes") {
    std::int64_t bytes = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
    require(error == std::errc() && end == value.data() + value.size() && bytes > 0, Status::InvalidArgument,
            "ht_job_set: shard_bytes is '", value, "', wanted a number above 0");
    job.options.shard_bytes = bytes;
  } else {
    fail(Status::NotFound, "ht_job_set: there is no '", name, "', wanted model, output, resume or shard_bytes");
  }
}

HostTensor host_tensor(const ht_tensor* given) {
  const char* const what = "ht_job_set_source: a tensor";
  const ht_tensor tensor = read_struct(given, tensor_size, what);
  require(tensor.name != nullptr && (tensor.shape != nullptr || tensor.rank == 0), Status::InvalidArgument, what,
          tensor.name == nullptr ? " has no name" : " has a rank and no shape");
  HostTensor out;
  out.info.name = tensor.name;
  out.info.dtype = dtype_from(tensor.dtype, what);
  out.info.shape.assign(tensor.shape, tensor.shape + tensor.rank);
  out.data = tensor.data;
  require(tensor.bytes == 0 || tensor.bytes == static_cast<std::uint64_t>(out.info.bytes()), Status::ShapeMismatch,
          what, " '", tensor.name, "' has ", tensor.bytes, " bytes, wanted ", out.info.bytes(), " or 0");
  return out;
}

Checkpoint checkpoint_of(const ht_source& source) {
  const char* const what = "ht_job_set_source: source";
  require_given(source.config, "ht_job_set_source: config");
  require(source.tensor_count == 0 || source.tensors != nullptr, Status::InvalidArgument, what, ".tensors is NULL");
  std::vector<HostTensor> tensors;
  const auto* at = reinterpret_cast<const std::byte*>(source.tensors);
  for (std::uint64_t i = 0; i < source.tensor_count; ++i, at += source.tensors->struct_size)
    tensors.push_back(host_tensor(reinterpret_cast<const ht_tensor*>(at)));
  TensorReader reader;
  if (source.read != nullptr)
    reader = [read = source.read, user = source.user](std::string_view name, std::int64_t offset,
                                                      std::span<std::byte> into) {
      require_ok(read(user, std::string(name).c_str(), static_cast<std::uint64_t>(offset), into.size(), into.data()),
                 "source");
    };
  return Checkpoint(parse_json(source.config, what),
                    std::make_unique<HostTensors>(std::move(tensors), std::move(reader)), "the program's model");
}

}  // namespace

ht_status ht_job_create(ht_context* context, const char* recipe, ht_job** job) {
  return on_handle(context, Use::Read, "ht_job_create: context", [&](ht_context& self) {
    require_given(recipe, "ht_job_create: recipe");
    require_given(job, "ht_job_create: job");
    give_out(job, self.shared(), recipe);
  });
}

void ht_job_destroy(ht_job* job) { dismiss(job); }

ht_status ht_job_set(ht_job* job, const char* name, const char* value) {
  return on_handle(job, Use::Change, "ht_job_set: job", [&](ht_job& self) {
    require_given(name, "ht_job_set: name");
    require_given(value, "ht_job_set: value");
    self.plan.clear();
    set(self, name, value);
  });
}

ht_status ht_job_set_source(ht_job* job, const ht_source* source) {
  return on_handle(job, Use::Change, "ht_job_set_source: job", [&](ht_job& self) {
    Checkpoint checkpoint = checkpoint_of(read_struct(source, source_size, "ht_job_set_source: source"));
    self.plan.clear();
    self.model.clear();
    self.held.reset();
    self.held.emplace(std::move(checkpoint));
  });
}

ht_status ht_job_set_sink(ht_job* job, ht_tensor_fn sink, void* user) {
  return on_handle(job, Use::Change, "ht_job_set_sink: job", [&](ht_job& self) {
    self.sink = sink;
    self.sink_user = user;
  });
}

ht_status ht_job_set_tokens(ht_job* job, const ht_matrix* ids) {
  return on_handle(job, Use::Change, "ht_job_set_tokens: job",
                   [&](ht_job& self) { self.ids = Matrix<std::int32_t>(integers(ids, "ht_job_set_tokens: ids")); });
}

ht_status ht_job_set_progress(ht_job* job, ht_progress_fn progress, void* user) {
  return on_handle(job, Use::Change, "ht_job_set_progress: job", [&](ht_job& self) {
    self.progress = progress;
    self.progress_user = user;
  });
}

ht_status ht_job_run(ht_job* job) {
  return on_handle(job, Use::Change, "ht_job_run: job", [&](ht_job& self) {
    self.cancelled = false;
    run(self);
  });
}

ht_status ht_job_cancel(ht_job* job) {
  return guarded(nullptr, [&] { live(job, "ht_job_cancel: job")->cancelled = true; });
}

ht_status ht_job_text(ht_job* job, const char* what, char* buffer, size_t capacity, size_t* length) {
  return on_handle(job, Use::Change, "ht_job_text: job", [&](ht_job& self) {
    require_given(what, "ht_job_text: what");
    write_text(text_of(self, what), buffer, capacity, length);
  });
}
