#include "model/block_bytes.hpp"

#include <algorithm>  // clamp, max, set_union
#include <iterator>   // back_inserter

namespace halftone {
namespace {

Index width_of(const BlockProgram& program, const std::vector<int>& slots) {
  Index width = 0;
  for (const int slot : slots) width += program.slot_widths[static_cast<std::size_t>(slot)];
  return width;
}

}  // namespace

Index parameter_bytes(const BlockProgram& program) {
  Index elements = 0;
  for (const LinearInfo& linear : program.linears)
    elements += linear.rows * linear.cols + (linear.bias ? linear.rows : 0);
  for (const ParameterInfo& parameter : program.parameters) elements += parameter.width;
  return 4 * elements;
}

Index token_bytes(const BlockProgram& program) {
  std::vector<Index> stops;
  for (const Stage& stage : program.stages) stops.push_back(stage.first_op);
  stops.push_back(program.size());
  Index most = 0;
  std::vector<int> before = live_slots(program, 0);
  for (const Index stop : stops) {
    const std::vector<int> after = live_slots(program, stop);
    std::vector<int> both;
    std::set_union(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(both));
    most = std::max(most, width_of(program, both));
    before = after;
  }
  return 4 * most;
}

Index chunk_bytes(const BlockProgram& program, Index tokens, ProductType products) {
  Index width = 0, widest = 0;
  for (const Index slot_width : program.slot_widths) width += slot_width;
  for (const LinearInfo& linear : program.linears) widest = std::max(widest, linear.cols);
  return (4 * width + (products == ProductType::BFloat16 ? 2 * widest : 0)) * tokens;
}

Index resident_tokens(Index bytes, Index token_bytes, Index tokens) {
  return std::clamp<Index>(bytes / token_bytes, 0, tokens);
}

}  // namespace halftone
