#include "pipeline/plan_cost.hpp"

#include <algorithm>  // max
#include <chrono>
#include <string>  // stoi

#include "halftone/backend/linear_algebra.hpp"
#include "halftone/format/safetensors_writer.hpp"
#include "halftone/model/stream.hpp"
#include "model/block_bytes.hpp"
#include "pipeline/process_memory.hpp"
#include "pipeline/tuning_cost.hpp"
#include "pipeline/write_behind.hpp"

namespace halftone {
namespace {

double as_double(Index value) { return static_cast<double>(value); }

/// Bytes of the slots that live at an operation, for all tokens.
Index live_bytes(const BlockProgram& program, Index at, Index tokens) {
  Index width = 0;
  for (int slot : live_slots(program, at)) width += program.slot_widths[static_cast<std::size_t>(slot)];
  return 4 * tokens * width;
}

/// Most rounds of refinement of a matrix.
int refine_rounds(const PlannedMatrix& planned) {
  const auto option = planned.options.find("refine");
  return option == planned.options.end() ? 0 : std::stoi(option->second);
}
bool refined(const PlannedMatrix& planned) { return refine_rounds(planned) > 0; }

/// Tables of positions, scores of attention and other scratch of a forward pass. Measured.
constexpr Index forward_scratch = 3'000'000;

/// What products of chunks of tokens with a matrix hold beside their operands, a chunk on every thread: both factors
/// repacked, 768 steps at once.
Index product_bytes(const BlockProgram& program, const RunPlan& plan, int threads) {
  const Index chunk = chunk_windows(plan.length) * plan.length;
  Index most = 0;
  for (const LinearInfo& linear : program.linears)
    most = std::max(most, 4 * std::min<Index>(768, linear.cols) * (chunk + linear.rows));
  return most * std::clamp<Index>(plan.tokens() / chunk, 1, threads) + forward_scratch;
}

/// The larger of two moments of a run.
void keep_larger(MemoryEstimate& most, const MemoryEstimate& other) {
  if (other.peak() > most.peak()) most = other;
}

/// Weights of the block that the plan holds in bfloat16.
Index half_elements(const Model& model, const RunPlan& plan, Index block) {
  Index elements = 0;
  if (plan.products == ProductType::BFloat16 && plan.tune.steps == 0)
    for (const LinearInfo& linear : model.program(block).linears)
      if (model.is_half(linear)) elements += linear.rows * linear.cols;
  return elements;
}

MemoryEstimate block_memory(const Model& model, Index block, const RunPlan& plan, int threads) {
  const BlockProgram& program = model.program(block);
  MemoryEstimate most;
  MemoryEstimate moving;  // streams on their way from one stage to the next
  if (plan.streams() > 0) {
    moving.weights = plan.streams() * weight_bytes(model, plan, block);
    moving.streams = plan.streams() * stream_bytes(program, plan.tokens(), plan.length, threads) +
                     product_bytes(program, plan, threads) + rounded_bytes(model, plan, block);
  }
  keep_larger(most, moving);
  for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)]) {
    MemoryEstimate solving = stage_memory(program, stage, plan);
    solving.weights = moving.weights;
    const Index first_op = program.stages[static_cast<std::size_t>(stage.stage)].first_op;
    solving.streams = plan.streams() * live_bytes(program, first_op, plan.tokens());
    if (plan.streams() == 0)  // matrices are read one at a time
      for (const PlannedMatrix& planned : stage.matrices)
        solving.weights = std::max(solving.weights, 4 * planned.matrix.rows * planned.matrix.cols);
    keep_larger(most, solving);
  }
  return most;
}

/// Bytes of the largest matrix of a plan, as floats, as it is in the checkpoint and as it will be stored; and of the
/// codes of the largest block.
struct LargestMatrix {
  Index bytes = 0, mapped = 0, stored = 0, codes_of_block = 0;
};
LargestMatrix largest_matrix(const RunPlan& plan) {
  LargestMatrix largest;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) {
        const Index elements = planned.matrix.rows * planned.matrix.cols;
        largest.bytes = std::max(largest.bytes, 4 * elements);
        largest.mapped = std::max(largest.mapped, dtype_bytes(planned.matrix.dtype, elements));
        largest.stored = std::max(largest.stored, planned.stored_bytes);
      }
  largest.codes_of_block = most_codes_of_a_block(plan);
  return largest;
}

/// Adds what is read ahead and written behind while a block is worked on: the weights of the next one, or the next
/// matrix where nothing else is needed; the mapped pages of one; the codes of as much as a block; and of one matrix
/// what the format encodes and reads back.
void add_files(MemoryEstimate& memory, const Model& model, const RunPlan& plan, const LargestMatrix& largest,
               Index block) {
  memory.files = largest.mapped + 2 * largest.stored + largest.codes_of_block;
  if (plan.tune.steps > 0) return;  // reads when it needs, and training takes longer than either
  if (plan.streams() == 0) memory.weights += largest.bytes;
  if (plan.streams() > 0 && block + 1 < model.blocks()) memory.weights += weight_bytes(model, plan, block + 1);
}

/// While a window is trained: its input, the stream ahead and the quantised one; originals of all its blocks and of the
/// one whose norm reads their output, and copies of those that are trained; what the tuner holds, and its codes as they
/// were solved and as they are handed out.
MemoryEstimate window_memory(const Model& model, const RunPlan& plan, const TuneWindow& window,
                             const BlockChain<float>& chain) {
  MemoryEstimate memory;
  memory.streams = (plan.moments >= Moments::Cross ? 4 : 3) * 4 * hidden_width(model, window) * plan.tokens();
  for (Index block = window.first; block < window.until; ++block)
    memory.weights += (block < window.last ? 2 : 1) * parameter_bytes(model.program(block));
  if (plan.tune.weighting == TuneWeighting::Gain && window.until < model.blocks())
    memory.weights += parameter_bytes(model.program(window.until));
  memory.tuning = tuning_bytes(chain, model, plan, window);
  for (Index block = window.first; block < window.last; ++block)
    for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)])
      for (const PlannedMatrix& planned : stage.matrices)
        memory.tuning += 2 * planned.matrix.rows * planned.matrix.cols;
  return memory;
}

/// Of one weight in the search for its group's scale and zero: 40 ranges, three zeros where the grid has them.
double search_flops(const GridOptions& grid) {
  const double candidates = 40 * (grid.symmetric ? 1 : 3);
  return grid.search == GridSearch::MinMax ? 4 : candidates * (grid.search == GridSearch::L24 ? 60 : 8);
}

double stage_flops(const PlannedStage& stage, Index tokens) {
  const Index width = stage.matrices.front().matrix.cols;
  double flops = statistics_flops(stage.moments, width, tokens) + factor_flops(stage.moments, width);
  for (const PlannedMatrix& planned : stage.matrices) flops += solve_flops(planned);
  return flops;
}

/// Code, stacks of threads and small blocks that a process touches only when it works. Measured.
constexpr Index later_pages = 3'000'000;
/// What the first products of a library add: its code, kernels that it generates, its packed panels. Measured (oneDNN).
constexpr Index product_pages = 8'000'000;

/// The largest tensor that is copied: it is hashed and written from mapped pages.
Index largest_copy(const RunPlan& plan) {
  Index bytes = 0;
  for (const TensorInfo& tensor : plan.tensors) bytes = std::max(bytes, tensor.bytes());
  return bytes;
}

}  // namespace

double forward_flops(const BlockProgram& program, Index first, Index last, Index tokens, Index length) {
  double flops = 0;
  for (Index i = first; i < last; ++i) {
    const Op& op = program.ops[static_cast<std::size_t>(i)];
    if (const auto* product = std::get_if<LinearOp>(&op)) {
      const LinearInfo& linear = program.linears[static_cast<std::size_t>(product->linear)];
      flops += 2 * as_double(tokens) * as_double(linear.rows) * as_double(linear.cols);
    }
    if (const auto* attention = std::get_if<AttentionOp>(&op)) {
      const Index seen = attention->window > 0 ? std::min(length, attention->window) : length;
      flops += 4 * as_double(tokens) * as_double(seen) * as_double(attention->q.width) * (attention->causal ? 0.5 : 1);
    }
  }
  return flops;
}

double statistics_flops(Moments moments, Index width, Index tokens) {
  const double square = as_double(width) * as_double(width);
  return (moments == Moments::None ? 0 : moments < Moments::Cross ? 1 : 3) * as_double(tokens) * square;
}

double factor_flops(Moments moments, Index width) {
  const double n = as_double(width);
  if (moments == Moments::None) return 0;
  return (moments == Moments::Second ? 1.0 : 2.0) / 3 * n * n * n;  // T, or U, beside R for the asymmetric targets
}

double solve_flops(const PlannedMatrix& planned) {
  const double width = as_double(planned.matrix.cols), elements = as_double(planned.matrix.rows) * width;
  double flops = elements * search_flops(planned.matrix.grid);
  if (planned.moments != Moments::None) flops += 2 * elements * width;  // the solve and the report's error
  // A round of refinement: three products, and the search inside its blocks.
  return flops + refine_rounds(planned) * elements * (6 * width + 1300);
}

Index weight_bytes(const Model& model, const RunPlan& plan, Index block) {
  return parameter_bytes(model.program(block)) - 2 * half_elements(model, plan, block);
}

Index rounded_bytes(const Model& model, const RunPlan& plan, Index block) {
  if (plan.products == ProductType::Float) return 0;
  Index elements = 0;
  for (const LinearInfo& linear : model.program(block).linears) elements += linear.rows * linear.cols;
  return 2 * (elements - half_elements(model, plan, block));
}

MemoryEstimate stage_memory(const BlockProgram& program, const PlannedStage& stage, const RunPlan& plan) {
  MemoryEstimate memory;
  const Index width = program.stages[static_cast<std::size_t>(stage.stage)].input.width;
  const Index square = 4 * width * width;
  if (stage.moments != Moments::None) memory.statistics = 2 * square;      // H and the factor
  if (stage.moments >= Moments::Cross) memory.statistics += 2 * square;    // D and the solver's P
  if (stage.moments == Moments::HeldOut) memory.statistics += 3 * square;  // both held out, and D without those
  bool any_refined = false;
  const bool rounds = plan.products == ProductType::BFloat16;
  for (const PlannedMatrix& planned : stage.matrices) {
    const Index elements = planned.matrix.rows * planned.matrix.cols;
    any_refined = any_refined || refined(planned);
    // Working copy, what became of its columns (or a product of that size), codes twice. Refinement: the target and the
    // gradient. 16-bit products: a matrix rounded, and widened to float where it is held in bfloat16.
    const bool half = rounds && planned.matrix.dtype == DType::BF16;
    memory.solver =
        std::max(memory.solver, ((refined(planned) ? 18 : 10) + (rounds ? 2 : 0) + (half ? 4 : 0)) * elements);
  }
  if (any_refined) memory.statistics += square;  // Hd
  if (rounds && stage.moments != Moments::None)  // H or U, and the last batch of inputs
    memory.statistics += square / 2 + 2 * width * std::min(statistics_tokens, plan.tokens());
  return memory;
}

void plan_cost(const Context<Cpu>& context, const Model& model, RunPlan& plan) {
  const int threads = context.threads();
  plan.output_bytes = SafetensorsWriter::file_bytes(plan.tensors);
  MemoryEstimate most;
  most.files = largest_copy(plan);
  const LargestMatrix largest = largest_matrix(plan);
  for (Index block = 0; block < model.blocks(); ++block) {
    const BlockProgram& program = model.program(block);
    MemoryEstimate memory = block_memory(model, block, plan, threads);
    add_files(memory, model, plan, largest, block);
    keep_larger(most, memory);
    plan.flops += plan.streams() * forward_flops(program, 0, program.size(), plan.tokens(), plan.length);
    for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)])
      plan.flops += stage_flops(stage, plan.tokens());
  }
  for (const TuneWindow& window :
       plan.tune.steps > 0 ? tune_windows(model.blocks(), plan.tune) : std::vector<TuneWindow>()) {
    const BlockChain<float> chain = tuned_chain(context, model, plan, window);
    keep_larger(most, window_memory(model, plan, window, chain));
    const BlockFlops step = chain.flops(batch_tokens(plan));
    plan.flops += plan.tune.steps * (step.forward + step.backward);
  }
  most.process = resident_bytes() + later_pages + (plan.streams() > 0 ? product_pages : 0);
  plan.memory = most;
}

double estimated_seconds(const Context<Cpu>& context, const RunPlan& plan) {
  constexpr Index n = 768;
  const Matrix<float> A(n, n, 1.0f), B(n, n, 1.0f);
  const Matrix<BFloat16> A16 = rounded_to_bfloat(context, A), B16 = rounded_to_bfloat(context, B);
  Matrix<float> C(n, n);
  double fastest = 1e9;
  for (int run = 0; run < 6; ++run) {
    const auto start = std::chrono::steady_clock::now();
    if (plan.products == ProductType::BFloat16)
      gemm<BFloat16>(context, Transpose::No, Transpose::Yes, A16, B16, false, C);
    else
      gemm<float>(context, Transpose::No, Transpose::Yes, 1, A, B, 0, C);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (run > 0) fastest = std::min(fastest, seconds.count());
  }
  const double rate = 2.0 * n * n * n / fastest;  // flops a second
  // Half of that rate in the shapes that models have; files at 500 MB/s, and a flush for every block.
  return plan.flops / (0.5 * rate) + as_double(plan.output_bytes + plan.checkpoint_bytes) / 5e8 +
         0.02 * static_cast<double>(plan.blocks.size());
}

}  // namespace halftone
