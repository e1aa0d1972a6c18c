#include "halftone/pipeline/export_model.hpp"

#include <algorithm>  // sort
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "format/file.hpp"
#include "format/packed.hpp"
#include "halftone/format/inspect.hpp"
#include "halftone/format/safetensors_writer.hpp"
#include "pipeline/output_folder.hpp"
#include "pipeline/written_tensors.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

/// The type that config.json names for the weights, today as `dtype`, formerly as `torch_dtype`.
DType original_dtype(const Json& config, DType otherwise) {
  constexpr std::pair<std::string_view, DType> known[] = {
      {"float32", DType::F32}, {"float16", DType::F16}, {"bfloat16", DType::BF16}};
  for (const char* key : {"dtype", "torch_dtype"})
    if (const Json* word = detail::find_key(config, key))
      for (const auto& [name, type] : known)
        if (*word == name) return type;
  return otherwise;
}

/// What will be decoded, what will be copied, and the tensors of both by name.
struct ExportPlan {
  std::vector<MatrixPlan> matrices;
  std::vector<std::string> copied;
  std::vector<TensorInfo> tensors;
};

ExportPlan plan_export(const Checkpoint& checkpoint, DType& dtype) {
  const Inspection found = inspect(checkpoint);
  ExportPlan plan;
  std::set<std::string> modules;
  for (const StoredMatrix& stored : found.matrices) {
    if (!stored.quantized()) continue;
    if (modules.empty()) dtype = original_dtype(checkpoint.config(), stored.dtype);
    MatrixPlan matrix;
    matrix.module = stored.module;
    matrix.rows = stored.rows;
    matrix.cols = stored.cols;
    matrix.dtype = dtype;
    modules.insert(stored.module);
    plan.tensors.push_back({stored.module + ".weight", dtype, {stored.rows, stored.cols}});
    plan.matrices.push_back(std::move(matrix));
  }
  require(!modules.empty(), Status::Unsupported, checkpoint.name(),
          ": no matrix of it is quantised, wanted a quantised checkpoint");
  for (const TensorInfo& tensor : found.tensors) {
    const bool part_of_matrix =
        modules.count(tensor.name.substr(0, tensor.name.rfind('.'))) != 0 && !tensor.name.ends_with(".bias");
    if (part_of_matrix) continue;
    plan.tensors.push_back(tensor);
    plan.copied.push_back(tensor.name);
  }
  std::sort(plan.tensors.begin(), plan.tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return plan;
}

/// Writes weights, config.json and small files into `folder`.
void fill_folder(const Checkpoint& checkpoint, const ExportPlan& plan, const ExportOptions& options,
                 const fs::path& folder) {
  const TensorSource& source = checkpoint.tensors();
  const Format& dense = find_format("dense");
  ShardedWriter writer(folder, plan.tensors, WriteMode::Create, options.shard_bytes);
  const WrittenTensors written(folder, writer.files());
  const auto go_on = [&](std::size_t done) {
    const bool wanted =
        !options.progress || options.progress(static_cast<double>(done) / static_cast<double>(plan.matrices.size()));
    require(wanted, Status::Cancelled, "export: stopped; nothing is left of it");
  };
  for (const std::string& name : plan.copied) {
    writer.write(name, source.bytes(name));
    source.release(name);
    go_on(0);
  }
  for (std::size_t i = 0; i < plan.matrices.size(); ++i) {
    const MatrixPlan& matrix = plan.matrices[i];
    const auto decoded = checkpoint.quantized(matrix.module);
    const auto sink = [&](std::string_view name, std::span<const std::byte> bytes) { writer.write(name, bytes); };
    detail::send(sink, matrix.module + ".weight", dequantize(*decoded), matrix.dtype);
    dense.verify(matrix, *decoded, written, checkpoint.config());
    written.release(matrix.module + ".weight");
    source.release_module(matrix.module);
    go_on(i + 1);
  }
  writer.finish();
  Json config = checkpoint.config();
  dense.describe(config, plan.matrices, std::span<const std::string>());
  write_file(folder / "config.json", json_text(config));
  for (const fs::path& file : checkpoint.side_files()) copy_small_file(file, folder / file.filename());
  const Checkpoint result(folder);
  require(result.format() == nullptr && result.tensors().tensors().size() == plan.tensors.size(), Status::Internal,
          folder.string(), ": does not read as the dense checkpoint that was written");
}

}  // namespace

ExportReport export_dense(const fs::path& model, const fs::path& out, const ExportOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const OutputFolder folder(out, false);
  const Checkpoint checkpoint(model);
  ExportReport report;
  const ExportPlan plan = plan_export(checkpoint, report.dtype);
  folder.create();
  try {
    fill_folder(checkpoint, plan, options, folder.staging());
  } catch (...) {
    folder.discard();
    throw;
  }
  folder.publish();
  report.model = checkpoint.directory();
  report.output = folder.final_path();
  report.format = checkpoint.format()->name();
  report.matrices = static_cast<std::int64_t>(plan.matrices.size());
  report.output_bytes = folder_bytes(folder.final_path());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace halftone
