// A whole model, from the memory of a program to the memory of a program: no file is written.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "halftone/backend/compute_device.hpp"
#include "halftone/format/checkpoint.hpp"
#include "halftone/pipeline/plan.hpp"
#include "halftone/pipeline/progress.hpp"
#include "halftone/pipeline/report.hpp"
#include "halftone/pipeline/trace.hpp"

namespace halftone {

/// Takes one finished tensor. Called on the thread that runs the job; the bytes (little-endian, row-major) are valid
/// during the call. May throw: the run ends there, and the exception comes out of it.
using TensorReceiver = std::function<void(const TensorInfo& info, std::span<const std::byte> bytes)>;

/// What a run leaves beside the tensors that it sent.
struct TensorsResult {
  RunReport
      report;  ///< `model` is Checkpoint::name(), `output` empty; `output_bytes` counts the tensors that were sent
  std::string config;                  ///< text of the new config.json
  std::vector<std::string> unchanged;  ///< tensors that stay as they are, by name: not sent, the program has them
  std::vector<std::pair<std::string, std::string>> side_files;  ///< further small files of the format, name and text
};

/// Quantises `model`, from whatever source its tensors come (host_tensors.hpp, a directory), and sends the tensors of
/// each matrix as soon as it is solved and has been read back through the reader of its format. They replace the
/// matrix's <module>.weight; sent and unchanged ones together are the new model. The same bytes as quantize_model has
/// for the same model, recipe and ids, and for any number of threads.
///
/// ids [windows, length]: the calibration data, used as it is. Without rows, that of the recipe is loaded where a
/// method needs data: from a file of token ids, or of text where the model is a directory with a tokenizer.
///
/// Tensors are read, `receive` and `progress` are called on the calling thread, outside of parallel work and under no
/// lock. What was read of the model is released, so that the run holds one block of it. There is no resume: what was
/// sent before an exception is whole matrices, and belongs to the receiver (a matrix whose tensors it refused in the
/// midst may be there in part).
///
/// `trace`, if it is not null, gets the run's spans. `device`: as RunOptions::device.
///
/// Throws Status::Cancelled if `progress` returned false; Status::InvalidArgument for an empty `receive`, and for
/// methods that need calibration data that is missing; Status::Unsupported for calibration text and a model without a
/// directory; Status::InvalidData for ids outside the vocabulary; what `receive` and the model's source throw; what
/// make_plan and the solvers throw.
TensorsResult quantize_tensors(const Context<Cpu>& context, const Checkpoint& model, const Recipe& recipe,
                               MatrixView<const std::int32_t> ids, const TensorReceiver& receive,
                               const ProgressCallback& progress = {}, Trace* trace = nullptr,
                               const ComputeDevice& device = {});

/// The plan of the same run over `windows` windows of `length` tokens; both 0: the recipe's calibration data, as there.
/// Reads no tensor's bytes.
RunPlan plan_tensors(const Context<Cpu>& context, const Checkpoint& model, const Recipe& recipe, Index windows,
                     Index length, const ComputeDevice& device = {});

}  // namespace halftone
