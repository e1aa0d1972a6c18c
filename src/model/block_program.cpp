#include "halftone/model/block_program.hpp"

#include <algorithm>  // any_of

#include "model/block_operands.hpp"

namespace halftone {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

std::vector<Operand> operands_read(const Op& op) {
  return std::visit(Overloaded{[](const AttentionOp& o) {
                                 return std::vector<Operand>{o.q, o.k, o.v};
                               },
                               [](const GateOp& o) {
                                 return std::vector<Operand>{o.gate, o.up};
                               },
                               [](const AddOp& o) {
                                 return std::vector<Operand>{o.a, o.b};
                               },
                               [](const auto& o) { return std::vector<Operand>{o.in}; }},
                    op);
}

Operand operand_written(const Op& op) {
  return std::visit([](const auto& o) { return o.out; }, op);
}

Matrix<double> rotary_angles(const RotaryPositions& positions, Index length) {
  const auto pairs = static_cast<Index>(positions.frequencies.size());
  const Index rows = positions.rows, cols = positions.cols, prefix = positions.prefix;
  require(rows == 0 || length == prefix + rows * cols, Status::ShapeMismatch, "rotary positions: windows have ", length,
          " tokens, wanted ", prefix + rows * cols, ": ", prefix, " and a grid of ", rows, " x ", cols);
  Matrix<double> angles(length, pairs, 0.0);
  for (Index token = prefix; token < length; ++token)
    for (Index i = 0; i < pairs; ++i) {
      const Index cell = token - prefix;
      const double position = rows == 0       ? static_cast<double>(token)
                              : i < pairs / 2 ? positions.row_step * static_cast<double>(cell / cols)
                                              : positions.col_step * static_cast<double>(cell % cols);
      angles(token, i) = position * positions.frequencies[static_cast<std::size_t>(i)];
    }
  return angles;
}

std::vector<int> live_slots(const BlockProgram& program, Index at) {
  std::vector<int> live;
  const auto ops = program.ops.begin();
  for (int slot = 0; slot < static_cast<int>(program.slots()); ++slot) {
    const bool written = slot == program.input ||
                         std::any_of(ops, ops + at, [&](const Op& op) { return operand_written(op).slot == slot; });
    const bool read =
        slot == program.output || std::any_of(ops + at, program.ops.end(), [&](const Op& op) {
          const auto operands = operands_read(op);
          return std::any_of(operands.begin(), operands.end(), [&](const Operand& o) { return o.slot == slot; });
        });
    if (written && read) live.push_back(slot);
  }
  return live;
}

namespace {

/// True if no op of [first, last) reads `old` once one of them has written `fresh`, which takes its place.
bool can_take_place(const BlockProgram& program, Index first, Index last, int fresh, int old) {
  bool over = false;  // `fresh` was written to
  for (Index i = first; i < last; ++i) {
    const Op& op = program.ops[static_cast<std::size_t>(i)];
    const Operand out = operand_written(op);
    if (out.slot == old) return false;
    for (const Operand& in : operands_read(op)) {
      if (in.slot != old) continue;
      const bool same_place = in.column == out.column && in.width == out.width;
      if (over || (out.slot == fresh && !(std::holds_alternative<AddOp>(op) && same_place))) return false;
    }
    over = over || out.slot == fresh;
  }
  return true;
}

}  // namespace

std::vector<int> places_taken(const BlockProgram& program, Index first, Index last) {
  const std::vector<int> before = live_slots(program, first), after = live_slots(program, last);
  std::vector<int> taken(program.slot_widths.size(), -1);
  for (const int fresh : after) {
    if (detail::contains(before, fresh)) continue;
    for (const int old : before) {
      const bool as_wide =
          program.slot_widths[static_cast<std::size_t>(fresh)] == program.slot_widths[static_cast<std::size_t>(old)];
      if (!as_wide || detail::contains(after, old) || detail::contains(taken, old)) continue;
      if (!can_take_place(program, first, last, fresh, old)) continue;
      taken[static_cast<std::size_t>(fresh)] = old;
      break;
    }
  }
  return taken;
}

std::vector<Stage> find_stages(const std::vector<Op>& ops) {
  std::vector<Stage> stages;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const auto* linear = std::get_if<LinearOp>(&ops[i]);
    if (linear == nullptr) continue;
    const auto at = static_cast<Index>(i);
    if (stages.empty() || stages.back().last_op != at || !(stages.back().input == linear->in))
      stages.push_back({.first_op = at, .last_op = at, .input = linear->in, .linears = {}});
    stages.back().last_op = at + 1;
    stages.back().linears.push_back(linear->linear);
  }
  return stages;
}

}  // namespace halftone
