// Fine-tuning on the CUDA backend, compiled once: the same templates as on the CPU.
#include "tune/cuda_rows.hpp"
#include "tune/make_trainable.impl.hpp"
#include "tune/optimiser.impl.hpp"

namespace halftone {

template std::unique_ptr<Trainable> make_trainable(const Context<Cuda>&, MatrixView<const float>,
                                                   const QuantizedMatrix&, const TrainableOptions&);
template class Optimiser<Cuda>;
template class BestLook<Cuda>;

}  // namespace halftone
