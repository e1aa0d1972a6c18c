#include "pipeline/receiver_output.hpp"

#include "halftone/core/error.hpp"
#include "halftone/format/host_tensors.hpp"
#include "pipeline/output_model.hpp"

namespace halftone {
namespace {

/// What encode sends, in the order in which the format announced it.
std::vector<std::vector<std::byte>> encoded(const Format& format, const std::vector<TensorInfo>& announced,
                                            const MatrixPlan& plan, const QuantizedMatrix& matrix) {
  std::vector<std::vector<std::byte>> sent;
  format.encode(plan, matrix, [&](std::string_view name, std::span<const std::byte> bytes) {
    const TensorInfo* wanted = sent.size() < announced.size() ? &announced[sent.size()] : nullptr;
    require(wanted != nullptr && wanted->name == name && wanted->bytes() == static_cast<std::int64_t>(bytes.size()),
            Status::Internal, plan.module, ": format ", format.name(), " encodes ", bytes.size(), " bytes of '", name,
            "', which it did not announce");
    sent.emplace_back(bytes.begin(), bytes.end());
  });
  require(sent.size() == announced.size(), Status::Internal, plan.module, ": format ", format.name(), " encodes ",
          sent.size(), " tensors, wanted ", announced.size());
  return sent;
}

}  // namespace

ReceiverOutput::ReceiverOutput(const RunPlan& plan, const Checkpoint& source, const TensorReceiver& receive,
                               Trace* trace)
    : format_(find_format(plan.format)), receive_(receive), trace_(trace), config_(described_config(plan, source)) {}

Matrix<float> ReceiverOutput::stored_values(const PlannedMatrix& planned) const {
  fail(Status::Internal, planned.matrix.module, ": a run in memory has no finished blocks");
}

void ReceiverOutput::write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport& layer) {
  const std::vector<TensorInfo> announced = format_.tensors(planned.matrix);
  const auto bytes = [&] {
    Span span(trace_, "encode");
    span.note("module", planned.matrix.module).note("bytes", planned.stored_bytes);
    return encoded(format_, announced, planned.matrix, solved);
  }();
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < announced.size(); ++i) tensors.push_back({announced[i], bytes[i].data()});
  {
    Span span(trace_, "verify");
    span.note("module", planned.matrix.module).note("bytes", planned.stored_bytes);
    format_.verify(planned.matrix, solved, HostTensors(std::move(tensors), {}, "tensors in memory"), config_);
  }
  for (std::size_t i = 0; i < announced.size(); ++i) {
    Span span(trace_, "send");
    span.note("tensor", announced[i].name).note("bytes", static_cast<Index>(announced[i].bytes()));
    receive_(announced[i], bytes[i]);
    bytes_ += announced[i].bytes();
  }
  layers_.push_back(layer);
}

}  // namespace halftone
