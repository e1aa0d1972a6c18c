#include "model/tensor_check.hpp"

#include <set>

#include "halftone/core/error.hpp"

namespace halftone::detail {
namespace {

std::string shape_text(const std::vector<Index>& shape) {
  std::string text = "[";
  for (const Index size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

}  // namespace

void require_tensor(const Checkpoint& checkpoint, const std::string& name, const std::vector<Index>& shape) {
  const TensorInfo* info = checkpoint.tensors().find(name);
  require(info != nullptr, Status::NotFound, checkpoint.name(), ": no tensor '", name, "', wanted one of shape ",
          shape_text(shape));
  require(info->shape == shape, Status::InvalidData, checkpoint.tensors().origin(name), ": tensor '", name,
          "' has shape ", shape_text(info->shape), ", wanted ", shape_text(shape), " as config.json says");
  require(is_floating(info->dtype), Status::InvalidData, checkpoint.tensors().origin(name), ": tensor '", name,
          "' is of type ", dtype_name(info->dtype), ", wanted floating-point numbers");
}

void require_linear(const Checkpoint& checkpoint, const std::string& module, Index rows, Index cols) {
  const auto stored = checkpoint.stored(module);
  if (!stored || !stored->quantized()) return require_tensor(checkpoint, module + ".weight", {rows, cols});
  require(stored->rows == rows && stored->cols == cols, Status::InvalidData, checkpoint.name(), ": '", module,
          "' is stored as a quantised matrix of shape ", shape_text({stored->rows, stored->cols}), ", wanted ",
          shape_text({rows, cols}), " as config.json says");
}

void require_block_tensors(const Checkpoint& checkpoint, const BlockProgram& program) {
  for (const LinearInfo& linear : program.linears) {
    require_linear(checkpoint, linear.module, linear.rows, linear.cols);
    for (const auto& piece : linear.bias_pieces) require_tensor(checkpoint, piece.name, {piece.rows});
    if (linear.bias && linear.bias_pieces.empty()) require_tensor(checkpoint, linear.module + ".bias", {linear.rows});
  }
  for (const ParameterInfo& parameter : program.parameters)
    require_tensor(checkpoint, parameter.name, {parameter.width});
}

void require_known_tensors(const Checkpoint& checkpoint, const Architecture& architecture, const std::string& blocks,
                           const std::vector<BlockProgram>& programs) {
  std::set<std::string, std::less<>> modules;  // a tensor is <module>.<suffix>
  std::set<std::string, std::less<>> names;    // or has a name of its own
  for (const BlockProgram& program : programs) {
    for (const LinearInfo& linear : program.linears) {
      modules.insert(linear.module);
      for (const auto& piece : linear.bias_pieces) names.insert(piece.name);
    }
    for (const ParameterInfo& parameter : program.parameters)
      modules.insert(parameter.name.substr(0, parameter.name.rfind('.')));
  }
  for (const TensorInfo& tensor : checkpoint.tensors().tensors()) {
    const std::string_view name = tensor.name, module = name.substr(0, name.rfind('.'));
    if (!name.starts_with(blocks) || name.ends_with(".rotary_emb.inv_freq")) continue;  // old files store frequencies
    require(modules.contains(module) || names.contains(name), Status::Unsupported, checkpoint.tensors().origin(name),
            ": tensor '", name, "' is unknown to a ", architecture.model_type, " model of ", programs.size(),
            " blocks; without it the model would be another one");
  }
}

void require_ids(MatrixView<const std::int32_t> ids, Index vocabulary) {
  for (Index i = 0; i < ids.rows; ++i)
    for (Index j = 0; j < ids.cols; ++j)
      require(ids(i, j) >= 0 && ids(i, j) < vocabulary, Status::InvalidData, "token ids: window ", i, ", token ", j,
              " is ", ids(i, j), ", wanted 0 .. ", vocabulary - 1, "; are they of another tokenizer?");
}

}  // namespace halftone::detail
