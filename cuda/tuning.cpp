// Fine-tuning on the CUDA backend, compiled once: the same templates as on the CPU.
#include "halftone/backend/cuda_nn_backward.hpp"
#include "tune/cuda_rows.hpp"
#include "tune/make_trainable.impl.hpp"
#include "tune/optimiser.impl.hpp"
#include "tune/window_tuner.impl.hpp"

namespace halftone {

template std::unique_ptr<Trainable> make_trainable(const Context<Cuda>&, MatrixView<const float>,
                                                   const QuantizedMatrix&, const TrainableOptions&);
template class Optimiser<Cuda>;
template class BestLook<Cuda>;
template TuneReport tune_window(const Context<Cuda>&, const TuneOptions&, std::vector<TunedBlock<Cuda>>,
                                const TuneData<Cuda>&, std::int64_t, const TuneProgress&);

}  // namespace halftone
