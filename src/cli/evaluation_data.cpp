#include "cli/evaluation_data.hpp"

namespace halftone::cli {

Matrix<std::int32_t> load_evaluation_windows(const EvaluationData& data, const Model& model) {
  WindowOptions windows = data.windows;
  const bool text = !data.file.ends_with(".safetensors");
  if (text && !windows.windows) windows.windows = default_eval_windows;
  return load_windows(data.file, model.checkpoint().directory(), model.vocabulary(), windows);
}

}  // namespace halftone::cli
