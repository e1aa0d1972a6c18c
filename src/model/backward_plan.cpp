#include "halftone/model/backward_plan.hpp"

#include <algorithm>  // any_of, count, find, max, stable_sort
#include <numeric>    // accumulate, iota
#include <set>
#include <utility>  // move

namespace halftone {
namespace {

/// A mark on every column of every slot.
class Marks {
 public:
  explicit Marks(const BlockProgram& program) {
    for (const Index width : program.slot_widths) columns_.emplace_back(static_cast<std::size_t>(width), false);
  }
  void set(const Operand& o) { std::fill_n(begin(o), o.width, true); }
  void set_all(int slot) { columns_[at(slot)].assign(columns_[at(slot)].size(), true); }
  Index count(const Operand& o) const { return std::count(begin(o), begin(o) + o.width, true); }
  bool any(const Operand& o) const { return count(o) > 0; }
  bool any_of_slot(int slot) const {
    const auto& columns = columns_[at(slot)];
    return std::find(columns.begin(), columns.end(), true) != columns.end();
  }

 private:
  static std::size_t at(int slot) { return static_cast<std::size_t>(slot); }
  std::vector<bool>::iterator begin(const Operand& o) { return columns_[at(o.slot)].begin() + o.column; }
  std::vector<bool>::const_iterator begin(const Operand& o) const { return columns_[at(o.slot)].begin() + o.column; }

  std::vector<std::vector<bool>> columns_;
};

/// Buffers that are handed out and come back. The fitting one that wastes least is taken, else the widest grows.
class BufferPool {
 public:
  explicit BufferPool(Index slots) { plan_.of_slot.assign(static_cast<std::size_t>(slots), -1); }

  void take(int slot, Index width) {
    int& buffer = plan_.of_slot[static_cast<std::size_t>(slot)];
    if (buffer >= 0) return;
    for (const int candidate : free_) {
      const Index have = width_of(candidate), best = buffer < 0 ? -1 : width_of(buffer);
      if (buffer < 0 || (have >= width ? best < width || have < best : best < width && have > best)) buffer = candidate;
    }
    if (buffer < 0) {
      buffer = static_cast<int>(plan_.widths.size());
      plan_.widths.push_back(0);
    }
    free_.erase(buffer);
    Index& have = plan_.widths[static_cast<std::size_t>(buffer)];
    have = std::max(have, width);
  }
  /// Nobody needs the slot any more.
  void give(int slot) {
    if (const int buffer = plan_.of_slot[static_cast<std::size_t>(slot)]; buffer >= 0) free_.insert(buffer);
  }
  /// The widest first, so that plans which share buffers grow them little.
  BufferPlan plan() const {
    const std::size_t count = plan_.widths.size();
    std::vector<int> order(count), rank(count);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return width_of(a) > width_of(b); });
    BufferPlan sorted = plan_;
    for (std::size_t i = 0; i < count; ++i) {
      rank[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
      sorted.widths[i] = width_of(order[i]);
    }
    for (int& buffer : sorted.of_slot)
      if (buffer >= 0) buffer = rank[static_cast<std::size_t>(buffer)];
    return sorted;
  }

 private:
  Index width_of(int buffer) const { return plan_.widths[static_cast<std::size_t>(buffer)]; }

  BufferPlan plan_;
  std::set<int> free_;
};

bool is_wanted(const Op& op, const WantedGradients& wanted) {
  const auto* linear = std::get_if<LinearOp>(&op);
  const auto index = linear ? static_cast<std::size_t>(linear->linear) : 0;
  return linear && index < wanted.linears.size() && wanted.linears[index];
}

/// Columns that something wanted has an influence on: only their gradients are worth computing.
Marks active_columns(const BlockProgram& program, const WantedGradients& wanted) {
  Marks active(program);
  if (wanted.input) active.set_all(program.input);
  for (const Op& op : program.ops) {
    const auto operands = operands_read(op);
    if (is_wanted(op, wanted) ||
        std::any_of(operands.begin(), operands.end(), [&](const Operand& o) { return active.any(o); }))
      active.set(operand_written(op));
  }
  return active;
}

/// The steps, and in `begun` the columns that have a gradient after them. A slot in `cleared` begins with zeros in all
/// columns; `ragged` gathers those that must: where a gradient would be partly there when it is added to or read.
std::vector<BackwardStep> find_steps(const BlockProgram& program, const WantedGradients& wanted,
                                     const std::set<int>& cleared, std::set<int>& ragged) {
  const Marks active = active_columns(program, wanted);
  Marks begun(program);
  begun.set_all(program.output);
  std::vector<BackwardStep> steps;
  for (Index at = program.size() - 1; at >= 0; --at) {
    const Op& op = program.ops[static_cast<std::size_t>(at)];
    const Operand out = operand_written(op);
    if (!active.any(out)) continue;
    BackwardStep step{.op = at, .inputs = {}, .weight = is_wanted(op, wanted), .cleared = {}};
    const auto begin = [&](int slot) {
      if (!cleared.contains(slot) || begun.any_of_slot(slot)) return;
      step.cleared.push_back(slot);
      begun.set_all(slot);
    };
    begin(out.slot);
    if (begun.count(out) < out.width) ragged.insert(out.slot);
    for (const Operand& in : operands_read(op)) {
      const bool want = active.any(in);
      if (want) begin(in.slot);
      const Index there = begun.count(in);
      if (want && there > 0 && there < in.width) ragged.insert(in.slot);
      step.inputs.push_back({want, want && there == in.width});
      if (want) begun.set(in);
    }
    steps.push_back(std::move(step));
  }
  const Operand input{program.input, 0, program.slot_widths[static_cast<std::size_t>(program.input)]};
  if (wanted.input && begun.count(input) < input.width) ragged.insert(program.input);
  return steps;
}

/// Slots whose values a step reads.
std::vector<int> values_read(const Op& op, const BackwardStep& step) {
  const bool linear = std::holds_alternative<LinearOp>(op);
  const bool by_gradient_alone = std::holds_alternative<AddOp>(op) || std::holds_alternative<RopeOp>(op);
  const bool handed_on = std::any_of(step.inputs.begin(), step.inputs.end(), [](const auto& in) { return in.wanted; });
  std::vector<int> slots;
  if (linear ? step.weight : handed_on && !by_gradient_alone)
    for (const Operand& operand : operands_read(op)) slots.push_back(operand.slot);
  return slots;
}

/// Slots that a forward pass writes, each from its first writer on to its last reader; saved ones for ever.
BufferPlan plan_values(const BlockProgram& program, const std::vector<int>& saved) {
  BufferPool pool(program.slots());
  const auto outside = [&](int slot) { return slot == program.input || slot == program.output; };
  for (Index at = 0; at < program.size(); ++at) {
    const int written = operand_written(program.ops[static_cast<std::size_t>(at)]).slot;
    if (!outside(written)) pool.take(written, program.slot_widths[static_cast<std::size_t>(written)]);
    const auto before = live_slots(program, at), after = live_slots(program, at + 1);
    const auto contains = [](const std::vector<int>& list, int slot) {
      return std::find(list.begin(), list.end(), slot) != list.end();
    };
    for (const int slot : before)
      if (!contains(after, slot) && !contains(saved, slot) && !outside(slot)) pool.give(slot);
  }
  return pool.plan();
}

/// Gradients, each from the first step that writes it to the operation that first wrote the slot.
BufferPlan plan_gradients(const BlockProgram& program, const std::vector<BackwardStep>& steps) {
  BufferPool pool(program.slots());
  std::vector<Index> first_writer(program.slot_widths.size(), -1);
  for (Index at = program.size() - 1; at >= 0; --at)
    first_writer[static_cast<std::size_t>(operand_written(program.ops[static_cast<std::size_t>(at)]).slot)] = at;
  const auto take = [&](int slot) {
    if (slot != program.input) pool.take(slot, program.slot_widths[static_cast<std::size_t>(slot)]);
  };
  if (!steps.empty()) take(program.output);
  Index last = program.size();
  for (const BackwardStep& step : steps) {
    for (Index at = last - 1; at > step.op; --at) {  // operations between, which do not run
      const int slot = operand_written(program.ops[static_cast<std::size_t>(at)]).slot;
      if (first_writer[static_cast<std::size_t>(slot)] == at) pool.give(slot);
    }
    last = step.op;
    for (const int slot : step.cleared) take(slot);
    const Op& op = program.ops[static_cast<std::size_t>(step.op)];
    const auto operands = operands_read(op);
    for (std::size_t i = 0; i < operands.size(); ++i)
      if (step.inputs[i].wanted) take(operands[i].slot);
    const int slot = operand_written(op).slot;
    if (first_writer[static_cast<std::size_t>(slot)] == step.op) pool.give(slot);
  }
  return pool.plan();
}

}  // namespace

Index BufferPlan::width() const { return std::accumulate(widths.begin(), widths.end(), Index{0}); }

BackwardPlan plan_backward(const BlockProgram& program, const WantedGradients& wanted) {
  require(wanted.linears.size() <= program.linears.size(), Status::InvalidArgument,
          "backward: gradients are wanted of ", wanted.linears.size(), " linears, the block has ",
          program.linears.size());
  std::set<int> ragged, none;
  find_steps(program, wanted, {}, ragged);
  BackwardPlan plan;
  plan.steps = find_steps(program, wanted, ragged, none);
  std::set<int> saved;
  for (const BackwardStep& step : plan.steps)
    for (const int slot : values_read(program.ops[static_cast<std::size_t>(step.op)], step)) saved.insert(slot);
  plan.saved.assign(saved.begin(), saved.end());
  plan.values = plan_values(program, plan.saved);
  plan.gradients = plan_gradients(program, plan.steps);
  return plan;
}

}  // namespace halftone
