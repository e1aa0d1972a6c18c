// What a run did: one row a layer, and the totals.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "halftone/quant/quantized_matrix.hpp"

namespace halftone {

struct LayerReport {
  std::string module;
  std::string method;
  int bits = 0;
  Index group_size = 0;  ///< −1: the whole row
  Index rows = 0, cols = 0;
  double bits_per_weight = 0;  ///< bytes that the format stores for it
  SolveReport solve;
  Index outlier_columns = 0;        ///< columns that stay in 16 bit
  double code_bits_per_weight = 0;  ///< codes, scales, zeros, group index and outlier columns, without a gap
};

struct RunReport {
  std::filesystem::path model, output;
  std::string format;
  double bits_per_weight = 0;        ///< of the quantised matrices: every byte that the format stores for them
  double code_bits_per_weight = 0;   ///< of the same: codes, scales, zeros and group index, packed without a gap
  double model_bits_per_weight = 0;  ///< of the whole model: all tensors of the output over all its parameters
  Index output_bytes = 0;            ///< all files of the output
  double seconds = 0;                ///< of this run
  Index peak_bytes = 0;              ///< largest resident size of this process; 0 where the system does not say
  Index blocks_resumed = 0;          ///< blocks that an earlier run had finished
  std::vector<std::string> notes;    ///< about the run as a whole
  std::vector<LayerReport> layers;   ///< in the order in which they were solved
};

/// One JSON object with `bits_per_weight seconds peak_bytes layers[]` and the rest of RunReport.
nlohmann::json report_json(const RunReport& report);
/// A row as JSON. `with_clock`: seconds included, which differ from run to run.
nlohmann::json layer_json(const LayerReport& layer, bool with_clock = true);
/// Inverse of layer_json. Throws Status::InvalidData.
LayerReport parse_layer(const nlohmann::json& object);
/// A table for people: a line a layer, then the totals.
std::string report_table(const RunReport& report);

}  // namespace halftone
