// Training of a window of blocks on the CPU.
#include "tune/window_tuner.impl.hpp"

namespace halftone {

template TuneReport tune_window(const Context<Cpu>&, const TuneOptions&, std::vector<TunedBlock<Cpu>>,
                                const TuneData<Cpu>&, std::int64_t, const TuneProgress&);

}  // namespace halftone
