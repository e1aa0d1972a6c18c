#include "halftone/format/inspect.hpp"

#include <algorithm>  // find_if_not, min
#include <set>

namespace halftone {
namespace {

double bits_of(std::int64_t bytes, std::int64_t weights) {
  return weights == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

/// "a.b" of "a.b.weight"; a name without a dot has no module.
std::string module_of(const std::string& tensor) {
  const auto dot = tensor.rfind('.');
  return dot == std::string::npos ? std::string() : tensor.substr(0, dot);
}

/// What sorts names with numbers by their value, "layers.2" before "layers.10": each number behind its length.
std::string sort_key(const std::string& name) {
  std::string key;
  for (auto at = name.begin(); at != name.end();) {
    const auto end = std::find_if_not(at, name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (end != at) key += static_cast<char>(std::min<std::ptrdiff_t>(end - at, 127));
    key.append(at, end == at ? at + 1 : end);
    at = end == at ? at + 1 : end;
  }
  return key;
}

}  // namespace

double Inspection::bits_per_weight() const { return bits_of(quantized_bytes, quantized_weights); }
double Inspection::model_bits_per_weight() const { return bits_of(bytes, weights); }

Inspection inspect(const Checkpoint& checkpoint) {
  Inspection result;
  result.format = checkpoint.format() == nullptr ? "dense" : checkpoint.format()->name();
  result.tensors = checkpoint.tensors().tensors();
  std::set<std::pair<std::string, std::string>> modules;  // sort key, name
  std::set<std::string> quantized;
  for (const TensorInfo& tensor : result.tensors) {
    const std::string module = module_of(tensor.name);
    modules.emplace(sort_key(module), module);
    result.bytes += tensor.bytes();
  }
  for (const auto& [key, module] : modules) {
    auto matrix = checkpoint.stored(module);
    if (!matrix) continue;
    if (matrix->quantized()) {
      quantized.insert(module);
      result.quantized_weights += matrix->rows * matrix->cols;
      result.quantized_bytes += matrix->bytes;
    }
    result.matrices.push_back(std::move(*matrix));
  }
  result.weights = result.quantized_weights;
  for (const TensorInfo& tensor : result.tensors)
    if (!quantized.contains(module_of(tensor.name)) || tensor.name.ends_with(".bias"))
      result.weights += tensor.elements();
  return result;
}

}  // namespace halftone
