// What a fuzzer does with the bytes of a config.json: read it, and build blocks of what was read. Only an Error may
// come out.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "halftone/core/error.hpp"
#include "halftone/core/matrix.hpp"
#include "halftone/format/json.hpp"
#include "halftone/model/block_program.hpp"

namespace halftone::test {

/// Throws Status::Internal for a config that was read and should not have been.
inline void check_model_config(const ModelConfig& c) {
  const bool sizes = c.hidden > 0 && c.inner > 0 && c.blocks > 0 && c.heads > 0 && c.kv_heads > 0 && c.head_dim > 0 &&
                     c.vocabulary > 0 && c.embedding_width > 0 && c.heads % c.kv_heads == 0;
  require(sizes && c.windows.size() == static_cast<std::size_t>(c.blocks), Status::Internal, "sizes");
  for (const Index block : {Index{0}, c.blocks - 1}) {
    const BlockProgram program = build_block_program(c, block);
    require(program.stages.size() == 4, Status::Internal, "stages");
    for (const LinearInfo& linear : program.linears) checked_product(linear.rows, linear.cols);
  }
  for (const double frequency : rotary_frequencies(c)) require(frequency > 0, Status::Internal, "frequency");
}

inline void try_model_config(std::string_view bytes) {
  try {
    check_model_config(read_model_config(parse_json(bytes, "fuzz")));
  } catch (const Error& error) {
    if (error.status() == Status::Internal) throw;
  }
}

}  // namespace halftone::test
