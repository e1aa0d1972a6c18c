// The text or token ids that a model is evaluated on, as `eval` and `compare` take them.
#pragma once

#include <string>

#include "halftone/model/model.hpp"
#include "halftone/text/token_windows.hpp"

namespace halftone::cli {

inline constexpr Index default_eval_windows = 64;

struct EvaluationData {
  std::string file;
  WindowOptions windows;
};

/// load_windows, with 64 windows of text where no number is given.
Matrix<std::int32_t> load_evaluation_windows(const EvaluationData& data, const Model& model);

}  // namespace halftone::cli
