#include "pipeline/read_ahead.hpp"

#include <chrono>
#include <memory>

#include "halftone/core/error.hpp"

namespace halftone {

ReadAhead::ReadAhead(const Context<Cpu>& context, const Model& model, const RunPlan& plan, Reading reading,
                     Trace* trace, BlockCarrier* carrier)
    : context_(context), model_(model), products_(plan.products), trace_(trace), carrier_(carrier) {
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) order_.push_back(&planned);
  if (reading == Reading::Ahead) reader_.emplace("reader", 1, trace);
}

template <class T, class Read>
T ReadAhead::take(Next<T>& held, std::size_t place, std::optional<std::size_t> next, const Read& read,
                  const std::function<void(std::size_t)>& announce) {
  const auto wanted = [&] {
    if (!held.value.valid() || held.place != place) return read(place);
    if (held.value.wait_for(std::chrono::seconds(0)) == std::future_status::ready) return held.value.get();
    const Span span(trace_, "wait");
    return held.value.get();
  };
  T value = wanted();
  if (!reader_ || !next) return value;
  if (announce) announce(*next);
  const auto task = std::make_shared<std::packaged_task<T()>>([read, place = *next] { return read(place); });
  held = {*next, task->get_future()};
  reader_->submit(0, [task] { (*task)(); });  // what it throws is in the future
  return value;
}

BlockWeights<float> ReadAhead::block(Index block, std::optional<Index> next) {
  const auto read = [this](std::size_t place) {
    Span span(trace_, "read");
    span.note("block", static_cast<Index>(place));
    BlockWeights<float> weights = model_.load_block(context_, static_cast<Index>(place), products_);
    if (carrier_ != nullptr) carrier_->carry(static_cast<Index>(place), weights);
    return weights;
  };
  const auto announce = [this](std::size_t place) {
    if (carrier_ != nullptr) carrier_->expect(static_cast<Index>(place));
  };
  return take(block_, static_cast<std::size_t>(block), next, read, announce);
}

Matrix<float> ReadAhead::matrix(const PlannedMatrix& planned) {
  while (order_[at_] != &planned) ++at_;
  const auto read = [this](std::size_t place) {
    const MatrixPlan& plan = order_[place]->matrix;
    Span span(trace_, "read");
    span.note("module", plan.module).note("bytes", 4 * plan.rows * plan.cols);
    const TensorSource& source = model_.checkpoint().tensors();
    const std::string tensor = plan.module + ".weight";
    Matrix<float> W = source.matrix(tensor);
    source.release(tensor);
    return W;
  };
  return take(matrix_, at_, at_ + 1 < order_.size() ? std::optional(at_ + 1) : std::nullopt, read);
}

}  // namespace halftone
