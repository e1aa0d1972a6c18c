#include "halftone/pipeline/quantize_model.hpp"

#include <nlohmann/json.hpp>

#include "pipeline/fingerprint.hpp"
#include "pipeline/folder_output.hpp"
#include "pipeline/output_folder.hpp"
#include "pipeline/process_memory.hpp"
#include "pipeline/run_setup.hpp"
#include "pipeline/write_behind.hpp"
#include "pipeline/xxh64.hpp"

namespace halftone {
namespace {

/// Blocks of the journal whose bytes are still what was recorded. After a crash of the whole machine a disk may have
/// kept the journal's line and lost the tensors'.
std::size_t intact_blocks(const RunPlan& plan, const OutputModel& output, const Journal& journal) {
  for (const JournalBlock& block : journal.blocks()) {
    std::uint64_t hash = 0;
    for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block.block)])
      for (const PlannedMatrix& planned : stage.matrices) hash = output.stored_hash(planned, hash);
    if (hex(hash) != block.hash) return static_cast<std::size_t>(block.block);
  }
  return journal.blocks().size();
}

struct Run {
  const Context<Cpu>& context;
  const Model& model;
  const RunPlan& plan;
  MatrixView<const std::int32_t> ids;
  const RunOptions& options;
  const WalkDevice* device;
};

/// Writes everything that the output will hold into the staging folder. The journal is unlocked when this returns.
void fill_folder(const Run& run, const OutputFolder& folder, const nlohmann::json& fingerprint, ProgressMeter& meter,
                 RunReport& report) {
  Journal journal(folder.journal(), fingerprint);
  const bool fresh = journal.blocks().empty();
  if (fresh) folder.clear_staging();
  OutputModel output(run.plan, run.model.checkpoint(), folder.staging(), fresh ? WriteMode::Create : WriteMode::Resume,
                     run.options.shard_bytes, meter.trace());
  const std::size_t intact = intact_blocks(run.plan, output, journal);
  if (intact < journal.blocks().size())
    report.notes.push_back(concat("block ", intact, " of the unfinished run was damaged and is solved again"));
  journal.keep_first(intact);
  report.blocks_resumed = static_cast<Index>(intact);
  output.copy_rest([&] { return meter.report(Phase::Open); });
  meter.check();
  WindowStore windows(run.plan, folder.partial(), fingerprint);
  if (!windows.note().empty()) report.notes.push_back(windows.note());
  FolderOutput target(run.plan, output, journal, windows, folder.staging(), meter.trace());
  WriteBehind behind(target, run.plan, meter.trace());
  walk_model(run.context, run.model, run.plan, run.ids, Reading::Ahead, behind, meter, run.device);
  report.layers = finished_layers(journal);
  output.finish();
}

}  // namespace

RunPlan plan_model(const Context<Cpu>& context, const std::filesystem::path& model, const Recipe& recipe,
                   const ComputeDevice& device) {
  const auto opened_device = open_walk_device(device);
  const Checkpoint checkpoint(model);
  const Model opened(checkpoint);
  return plan_over(context, opened, recipe, 0, 0, opened_device.get());
}

RunReport quantize_model(const Context<Cpu>& context, const std::filesystem::path& model,
                         const std::filesystem::path& out, const Recipe& recipe, const RunOptions& options) {
  const Span whole(options.trace, "run");
  const KeepMemory keep;
  const auto device = open_walk_device(options.device);
  const OutputFolder folder(out, options.resume);
  const Checkpoint checkpoint(model);
  const Model opened(checkpoint);
  const RunPlan plan = plan_over(context, opened, recipe, options.ids.rows, options.ids.cols, device.get());
  ProgressMeter meter(plan, options.progress, "those are kept; repeat the command with --resume to go on",
                      options.trace);
  meter.step(Phase::Open);
  const CalibrationIds calibration(opened, recipe, plan, options.ids);
  const nlohmann::json fingerprint = [&] {
    const Span span(options.trace, "hash");
    return run_fingerprint(context, opened, plan, options.shard_bytes, calibration.view());
  }();
  meter.step(Phase::Open);

  RunReport report = begin_report(plan, checkpoint);
  report.output = folder.final_path();
  if (folder.complete()) {
    report.layers = finished_layers(Journal(folder.journal(), fingerprint));
    report.blocks_resumed = static_cast<Index>(plan.blocks.size());
    folder.remove_partial();
  } else {
    folder.create();
    try {
      fill_folder({context, opened, plan, calibration.view(), options, device.get()}, folder, fingerprint, meter,
                  report);
    } catch (const Error& error) {
      const bool worthless = !folder.resumed() && meter.blocks_done() == 0 && error.status() != Status::Cancelled &&
                             !WindowStore::any_in(folder.partial());
      if (worthless) folder.discard();
      throw;
    }
    const Span span(options.trace, "publish");
    folder.publish();
  }
  report.output_bytes = folder_bytes(folder.final_path());
  report.seconds = meter.seconds();
  report.peak_bytes = peak_resident_bytes();
  return report;
}

}  // namespace halftone
