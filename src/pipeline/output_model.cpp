#include "pipeline/output_model.hpp"

#include <nlohmann/json.hpp>

#include "format/file.hpp"
#include "pipeline/output_folder.hpp"
#include "pipeline/xxh64.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

std::vector<MatrixPlan> matrix_plans(const RunPlan& plan) {
  std::vector<MatrixPlan> list;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) list.push_back(planned.matrix);
  return list;
}

}  // namespace

Json described_config(const RunPlan& plan, const Checkpoint& source) {
  Json config = source.config();
  find_format(plan.format).describe(config, matrix_plans(plan), plan.kept);
  return config;
}

OutputModel::OutputModel(const RunPlan& plan, const Checkpoint& source, const fs::path& folder, WriteMode mode,
                         std::int64_t shard_bytes, Trace* trace)
    : plan_(plan),
      source_(source),
      format_(find_format(plan.format)),
      trace_(trace),
      folder_(folder),
      config_(described_config(plan, source)),
      writer_(folder, plan.tensors, mode, shard_bytes),
      written_(folder, writer_.files()) {}

void OutputModel::copy_rest(const std::function<bool()>& go_on) {
  const Span span(trace_, "copy");
  for (const fs::path& file : source_.side_files()) copy_small_file(file, folder_ / file.filename());
  for (const std::string& name : plan_.copied) {
    writer_.write(name, source_.tensors().bytes(name));
    source_.tensors().release(name);
    if (!go_on()) return;
  }
}

std::uint64_t OutputModel::write(const PlannedMatrix& planned, const QuantizedMatrix& matrix, std::uint64_t seed) {
  {
    Span encode(trace_, "encode");
    encode.note("module", planned.matrix.module).note("bytes", planned.stored_bytes);
    format_.encode(planned.matrix, matrix, [&](std::string_view name, std::span<const std::byte> bytes) {
      Span write(trace_, "write");
      write.note("tensor", name).note("bytes", static_cast<Index>(bytes.size()));
      writer_.write(name, bytes);
      seed = xxh64(bytes, seed);
    });
  }
  Span verify(trace_, "verify");
  verify.note("module", planned.matrix.module).note("bytes", planned.stored_bytes);
  format_.verify(planned.matrix, matrix, written_, config_);
  for (const TensorInfo& tensor : format_.tensors(planned.matrix)) written_.release(tensor.name);
  return seed;
}

std::uint64_t OutputModel::stored_hash(const PlannedMatrix& planned, std::uint64_t seed) const {
  for (const TensorInfo& tensor : format_.tensors(planned.matrix)) {
    seed = xxh64(written_.bytes(tensor.name), seed);
    written_.release(tensor.name);
  }
  return seed;
}

void OutputModel::mark_written(const PlannedMatrix& planned) {
  for (const TensorInfo& tensor : format_.tensors(planned.matrix)) writer_.mark_written(tensor.name);
}

Matrix<float> OutputModel::stored_values(const PlannedMatrix& planned) const {
  const auto matrix = format_.decode(written_, config_, planned.matrix.module);
  if (matrix) return format_.stored_values(planned.matrix, *matrix);
  return written_.matrix(planned.matrix.module + ".weight");  // a format that stores plain values
}

void OutputModel::sync() {
  const Span span(trace_, "flush");
  writer_.sync();
}

void OutputModel::finish() {
  const Span span(trace_, "finish");
  writer_.finish();
  write_file(folder_ / "config.json", json_text(config_));
  for (const auto& [name, text] : format_.side_files(config_)) write_file(folder_ / name, text);
  check_result();
}

void OutputModel::check_result() const {
  const Checkpoint result(folder_);
  const Format* format = result.format();
  const std::string_view read = format == nullptr ? "dense" : format->name();
  require(plan_.weights == 0 || read == plan_.format, Status::Internal, folder_.string(), ": reads as format ", read,
          ", wanted ", plan_.format);
  require(result.tensors().tensors().size() == plan_.tensors.size(), Status::Internal, folder_.string(), ": holds ",
          result.tensors().tensors().size(), " tensors, wanted ", plan_.tensors.size());
  for (const TensorInfo& wanted : plan_.tensors) {
    const TensorInfo& got = result.tensors().info(wanted.name);
    require(got.dtype == wanted.dtype && got.shape == wanted.shape, Status::Internal, folder_.string(), ": tensor '",
            wanted.name, "' has another type or shape than was planned");
  }
  const Model model(result);  // every tensor that the architecture needs, with its shape
}

}  // namespace halftone
