#include "pipeline/window_store.hpp"

#include <fmt/format.h>

#include <algorithm>  // sort
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>  // move
#include <vector>

#include "halftone/format/safetensors.hpp"
#include "halftone/format/safetensors_writer.hpp"
#include "pipeline/journal.hpp"
#include "pipeline/quantised_stream.hpp"
#include "pipeline/xxh64.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* state_tensor = "state";

const Format& native() { return find_format("native"); }

std::string file_name(std::size_t window) { return fmt::format("window-{:05}.safetensors", window); }

/// Files of a folder that this or an earlier run kept or began, the newest window's first.
std::vector<fs::path> kept_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(folder, absent))
    if (entry.path().filename().string().starts_with("window-")) files.push_back(entry.path());
  std::sort(files.rbegin(), files.rend());
  return files;
}

/// Hash of all tensors of a file but the state, in the order of their names.
std::uint64_t hash_of_tensors(const TensorSource& source) {
  std::uint64_t hash = 0;
  for (const TensorInfo& tensor : source.tensors())
    if (tensor.name != state_tensor) hash = xxh64(source.bytes(tensor.name), hash);
  return hash;
}

}  // namespace

bool WindowStore::any_in(const fs::path& folder) { return !kept_files(folder).empty(); }

WindowStore::WindowStore(const RunPlan& plan, fs::path folder, const json& fingerprint)
    : plan_(plan), folder_(std::move(folder)), run_(hex(hash_of(std::span<const char>(fingerprint.dump())))) {
  for (const fs::path& file : kept_files(folder_)) {
    if (file.extension() != ".safetensors") continue;  // one that a run did not finish
    try {
      found_ = load(file);
    } catch (const Error&) {  // what was damaged may say anything
    } catch (const json::exception&) {
    }
    if (found_) return;
    note_ = "what was kept of a window of tuning was damaged: windows before it are tuned again";
  }
}

std::optional<KeptWindow> WindowStore::load(const fs::path& file) const {
  const SafetensorsFile source(file);
  const auto text = source.bytes(state_tensor);
  const auto state = parse_checked_line({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!state || state->at("run") != run_ || state->at("hash") != hex(hash_of_tensors(source))) return std::nullopt;
  KeptWindow kept{state->at("window").get<std::size_t>(), {}};
  std::map<std::string, SolveReport, std::less<>> reports;
  for (const json& object : state->at("layers")) {
    const LayerReport layer = parse_layer(object);
    reports.emplace(layer.module, layer.solve);
  }
  for (const auto& stages : plan_.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) {
        const auto report = reports.find(planned.matrix.module);
        if (report == reports.end()) continue;
        Json config = Json::object();
        native().describe(config, std::span(&planned.matrix, 1), {});
        const auto matrix = native().decode(source, config, planned.matrix.module);
        if (!matrix) return std::nullopt;
        matrix->report = report->second;
        kept.matrices.emplace(planned.matrix.module, std::move(*matrix));
      }
  return kept;
}

void WindowStore::keep(std::size_t window, const SolvedMatrices& matrices) {
  const fs::path file = folder_ / file_name(window);
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::vector<std::byte>> encoded;  // by name, which is the order of the hash
  json layers = json::array();
  for (const auto& [planned, matrix] : matrices) {
    for (TensorInfo& tensor : native().tensors(planned->matrix)) tensors.push_back(std::move(tensor));
    native().encode(planned->matrix, *matrix, [&](std::string_view name, std::span<const std::byte> bytes) {
      encoded.emplace(name, std::vector<std::byte>(bytes.begin(), bytes.end()));
    });
    layers.push_back(layer_json(layer_report(*planned, matrix->report)));
  }
  std::uint64_t hash = 0;
  for (const auto& [name, bytes] : encoded) hash = xxh64(bytes, hash);
  const std::string state =
      checked_line({{"run", run_}, {"window", window}, {"hash", hex(hash)}, {"layers", std::move(layers)}});
  tensors.push_back({state_tensor, DType::U8, {static_cast<std::int64_t>(state.size())}});

  std::error_code ignored;
  fs::remove(file, ignored);  // a damaged one of that window
  SafetensorsWriter writer(file, std::move(tensors), WriteMode::Create);
  for (const auto& [name, bytes] : encoded) writer.write(name, bytes);
  writer.write(state_tensor, std::as_bytes(std::span<const char>(state)));
  writer.finish();
  for (const fs::path& other : kept_files(folder_))
    if (other != file) fs::remove(other, ignored);
}

}  // namespace halftone
