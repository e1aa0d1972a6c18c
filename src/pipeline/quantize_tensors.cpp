#include "halftone/pipeline/quantize_tensors.hpp"

#include "halftone/core/error.hpp"
#include "pipeline/process_memory.hpp"
#include "pipeline/receiver_output.hpp"
#include "pipeline/run_setup.hpp"

namespace halftone {

RunPlan plan_tensors(const Context<Cpu>& context, const Checkpoint& model, const Recipe& recipe, Index windows,
                     Index length, const ComputeDevice& device) {
  return plan_over(context, Model(model), recipe, windows, length, open_walk_device(device).get());
}

TensorsResult quantize_tensors(const Context<Cpu>& context, const Checkpoint& checkpoint, const Recipe& recipe,
                               MatrixView<const std::int32_t> ids, const TensorReceiver& receive,
                               const ProgressCallback& progress, Trace* trace, const ComputeDevice& device) {
  require(static_cast<bool>(receive), Status::InvalidArgument, "quantize: nobody receives the tensors");
  const Span whole(trace, "run");
  const KeepMemory keep;
  const auto opened_device = open_walk_device(device);
  const Model model(checkpoint);
  const RunPlan plan = plan_over(context, model, recipe, ids.rows, ids.cols, opened_device.get());
  ProgressMeter meter(plan, progress, "what was sent is whole, the rest is left out", trace);
  meter.step(Phase::Open);
  const CalibrationIds calibration(model, recipe, plan, ids);
  meter.step(Phase::Open);
  ReceiverOutput output(plan, checkpoint, receive, trace);
  walk_model(context, model, plan, calibration.view(), Reading::WhenAsked, output, meter, opened_device.get());

  TensorsResult result;
  result.report = begin_report(plan, checkpoint);
  result.report.layers = output.layers();
  result.report.output_bytes = output.bytes();
  result.config = json_text(output.config());
  result.unchanged = plan.copied;
  result.side_files = find_format(plan.format).side_files(output.config());
  result.report.seconds = meter.seconds();
  result.report.peak_bytes = peak_resident_bytes();
  return result;
}

}  // namespace halftone
