// A model's weights on their way from the file into a walk: what will be asked for next is read, and widened to float,
// by a thread of its own while the walk goes on.
#pragma once

#include <functional>
#include <future>
#include <optional>
#include <utility>  // pair
#include <vector>

#include "halftone/model/model.hpp"
#include "halftone/pipeline/plan.hpp"
#include "model/weights_ahead.hpp"
#include "pipeline/worker.hpp"

namespace halftone {

enum class Reading : std::uint8_t {
  WhenAsked = 0,  ///< on the thread that asks: a program's tensors (host_tensors.hpp)
  Ahead = 1,      ///< a mapped file's
};

class ReadAhead {
 public:
  /// All arguments must outlive the object; `trace` and `carrier` may be null.
  ReadAhead(const Context<Cpu>& context, const Model& model, const RunPlan& plan, Reading reading, Trace* trace,
            BlockCarrier* carrier = nullptr);

  /// The weights of a block, for the plan's products. `next`: the block that will be asked for after it, if any: it is
  /// held until then. Throws what Model::load_block throws.
  BlockWeights<float> block(Index block, std::optional<Index> next);
  /// One matrix, and then the plan's next one. Matrices are asked for in the order of the plan. Throws what
  /// TensorSource::matrix throws.
  Matrix<float> matrix(const PlannedMatrix& planned);

 private:
  /// What is being read.
  template <class T>
  struct Next {
    std::size_t place = 0;
    std::future<T> value;  ///< valid until it is taken
  };
  template <class T, class Read>
  T take(Next<T>& held, std::size_t place, std::optional<std::size_t> next, const Read& read,
         const std::function<void(std::size_t)>& announce = {});

  const Context<Cpu>& context_;
  const Model& model_;
  ProductType products_;
  Trace* trace_;
  BlockCarrier* carrier_;
  std::vector<const PlannedMatrix*> order_;  ///< all matrices of the plan
  std::size_t at_ = 0;                       ///< the one that was asked for last
  Next<BlockWeights<float>> block_;
  Next<Matrix<float>> matrix_;
  std::optional<Worker> reader_;  // last: its thread uses what is above
};

}  // namespace halftone
