// Packing of codes into words (quant/packing.hpp) and back, and decoding, on the device: every word or value on its
// own, bound by memory.
#include "halftone/backend/cuda_primitives.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

/// Word `word` of a row's stream: code j occupies the bits [bits·j, bits·j + bits), lowest first.
HALFTONE_HOST_DEVICE std::uint32_t packed_word(const std::uint8_t* codes, Index cols, int bits, Index word) {
  const Index first = word * 32;
  std::uint32_t value = 0;
  for (Index j = first / bits; j < cols && j * bits < first + 32; ++j) {
    const Index at = j * bits - first;  // negative: the code begins in the word before
    value |= at < 0 ? static_cast<std::uint32_t>(codes[j]) >> -at : static_cast<std::uint32_t>(codes[j]) << at;
  }
  return value;
}

/// Code j of a row's stream whose words lie `stride` apart.
HALFTONE_HOST_DEVICE std::uint8_t unpacked_code(const std::uint32_t* words, Index stride, int bits, Index j) {
  const Index word = j * bits / 32;
  const int at = static_cast<int>(j * bits % 32);
  std::uint32_t value = words[word * stride] >> at;
  if (at + bits > 32) value |= words[(word + 1) * stride] << (32 - at);
  return static_cast<std::uint8_t>(value & ((1u << bits) - 1u));
}

/// Lowers *first to the place, row by row, of the first code of more bits.
struct FindWideCode {
  static constexpr int lanes = 32;
  MatrixView<const std::uint8_t> codes;
  int bits;
  unsigned long long* first;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    team.each_lane([&](int lane) {
      for (Index j = lane; j < codes.cols; j += lanes)
        if (codes(row, j) >> bits != 0) {
          team.lower(first, static_cast<unsigned long long>(row * codes.cols + j));
          break;
        }
    });
  }
};

void require_words(const char* who, Index rows, Index cols, int bits, WordLayout layout, Index word_rows,
                   Index word_cols) {
  require(bits >= 2 && bits <= 8, Status::InvalidArgument, who, ": bits is ", bits, ", wanted 2 .. 8");
  const Index words = packed_words(cols, bits);
  const Index wanted_rows = layout == WordLayout::Rows ? rows : words,
              wanted_cols = layout == WordLayout::Rows ? words : rows;
  require(word_rows == wanted_rows && word_cols == wanted_cols, Status::ShapeMismatch, who, ": words is ", word_rows,
          " x ", word_cols, ", wanted ", wanted_rows, " x ", wanted_cols);
}

}  // namespace

void pack_codes(const Context<Cuda>& context, MatrixView<const std::uint8_t> codes, int bits, WordLayout layout,
                MatrixView<std::uint32_t> words) {
  require_words("pack_codes", codes.rows, codes.cols, bits, layout, words.rows, words.cols);
  if (codes.empty()) return;
  const unsigned long long none = ~0ull;
  auto first = context.upload(MatrixView<const unsigned long long>(&none, 1, 1));
  each_row(context, codes.rows, FindWideCode{codes, bits, first.data()});
  const unsigned long long wide = context.download(std::as_const(first).view())(0, 0);
  if (wide != none) {
    const Index row = static_cast<Index>(wide) / codes.cols, column = static_cast<Index>(wide) % codes.cols;
    fail(Status::InvalidArgument, "pack_codes: the code at row ", row, ", column ", column, " is ",
         static_cast<int>(context.download(codes.block(row, column, 1, 1))(0, 0)), ", wanted ", bits, " bits");
  }
  const bool across = layout == WordLayout::Rows;
  each_element(
      context, words.rows, words.cols, HALFTONE_LAMBDA(Index i, Index j) {
        const Index row = across ? i : j, word = across ? j : i;
        words(i, j) = packed_word(codes.row(row), codes.cols, bits, word);
      });
}

void unpack_codes(const Context<Cuda>& context, MatrixView<const std::uint32_t> words, int bits, WordLayout layout,
                  MatrixView<std::uint8_t> codes) {
  require_words("unpack_codes", codes.rows, codes.cols, bits, layout, words.rows, words.cols);
  const bool across = layout == WordLayout::Rows;
  each_element(
      context, codes.rows, codes.cols, HALFTONE_LAMBDA(Index r, Index j) {
        codes(r, j) =
            across ? unpacked_code(words.row(r), 1, bits, j) : unpacked_code(words.data + r, words.stride, bits, j);
      });
}

template <class S>
void decode_block(const Context<Cuda>& context, const UniformCells<S>& cells, MatrixView<const std::uint8_t> codes,
                  MatrixView<S> values) {
  require(codes.rows == values.rows && codes.cols == values.cols, Status::ShapeMismatch, "decode_block: codes is ",
          codes.rows, " x ", codes.cols, ", wanted ", values.rows, " x ", values.cols);
  const auto groups = context.upload(MatrixView<const std::int32_t>(cells.group_of_position, 1, codes.cols));
  const std::int32_t* const group = groups.data();
  each_element(
      context, values.rows, values.cols, HALFTONE_LAMBDA(Index r, Index j) {
        values(r, j) = decode(static_cast<S>(codes(r, j)), cells.scales(group[j], r), cells.zeros(group[j], r));
      });
}

void decode_block(const Context<Cuda>& context, MatrixView<const float> alphas, MatrixView<const float> biases,
                  int bits, const std::int32_t* group_of_position, MatrixView<const std::uint8_t> codes,
                  MatrixView<float> values) {
  require(codes.rows == values.rows && codes.cols == values.cols && alphas.cols == codes.rows &&
              biases.cols == codes.rows && alphas.rows == biases.rows * bits,
          Status::ShapeMismatch, "decode_block: codes is ", codes.rows, " x ", codes.cols, ", values ", values.rows,
          " x ", values.cols, ", alphas ", alphas.rows, " x ", alphas.cols, ", biases ", biases.rows, " x ",
          biases.cols);
  const auto groups = context.upload(MatrixView<const std::int32_t>(group_of_position, 1, codes.cols));
  const std::int32_t* const group = groups.data();
  each_element(
      context, values.rows, values.cols, HALFTONE_LAMBDA(Index r, Index j) {
        const Index g = group[j];
        values(r, j) = decode_binary(codes(r, j), &alphas(g * bits, r), alphas.stride, biases(g, r), bits);
      });
}

template void decode_block<float>(const Context<Cuda>&, const UniformCells<float>&, MatrixView<const std::uint8_t>,
                                  MatrixView<float>);

}  // namespace halftone
