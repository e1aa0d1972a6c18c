// How fast are codes packed and unpacked? Codes [4096, 4096] are read (written) as bytes, the words written (read)
// once.
#include "halftone/quant/packing.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

Matrix<std::uint8_t> random_codes(Index rows, Index cols, int bits) {
  Random random(1);
  Matrix<std::uint8_t> codes(rows, cols);
  for (Index i = 0; i < codes.size(); ++i) codes.data()[i] = static_cast<std::uint8_t>(random.below(1u << bits));
  return codes;
}

template <bool Unpack>
void packing(benchmark::State& state) {
  const int bits = static_cast<int>(state.range(0));
  const auto layout = static_cast<WordLayout>(state.range(1));
  const int threads = available_threads();
  const Index n = 4096;
  const auto codes = random_codes(n, n, bits);
  Matrix<std::uint32_t> words = pack_codes(codes, bits, layout, threads);
  Matrix<std::uint8_t> back(n, n);
  unpack_codes(words, bits, layout, back, threads);
  if (!(back == codes)) return state.SkipWithError("codes do not come back");
  for (auto _ : state) {
    if (Unpack)
      unpack_codes(words, bits, layout, back, threads);
    else
      pack_codes(codes, bits, layout, words, threads);
  }
  bench::count_bytes(state, static_cast<double>(codes.size() + 4 * words.size()));
}

}  // namespace

BENCHMARK(packing<false>)
    ->Name("pack")
    ->ArgNames({"bits", "layout"})
    ->ArgsProduct({{2, 3, 4, 8}, {0, 1}})
    ->UseRealTime();
BENCHMARK(packing<true>)
    ->Name("unpack")
    ->ArgNames({"bits", "layout"})
    ->ArgsProduct({{2, 3, 4, 8}, {0, 1}})
    ->UseRealTime();

int main(int argc, char** argv) { return halftone::bench::run_benchmarks(argc, argv); }
