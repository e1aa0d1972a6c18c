#include "halftone/text/token_windows.hpp"

#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/random.hpp"
#include "halftone/format/safetensors.hpp"
#include "text/documents.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

void require_size(std::string_view what, std::optional<Index> value) {
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  require(!value || (*value >= 1 && *value <= most), Status::InvalidArgument, "windows of tokens: ", what, " is ",
          value.value_or(0), ", wanted 1 .. ", most);
}

/// Takes `count` of the windows that lie one after the other in `ids`, shuffled by a seed.
template <class Id>
Matrix<std::int32_t> take_windows(const Id* ids, Index available, Index count, Index length,
                                  std::optional<std::uint64_t> seed) {
  std::vector<Index> order(static_cast<std::size_t>(available));
  std::iota(order.begin(), order.end(), Index{0});
  if (seed) {
    Random random(*seed);
    shuffle(std::span<Index>(order), random);
  }
  Matrix<std::int32_t> windows(count, length);
  for (Index i = 0; i < count; ++i) {
    const Id* window = ids + order[static_cast<std::size_t>(i)] * length;
    for (Index j = 0; j < length; ++j) windows(i, j) = static_cast<std::int32_t>(window[j]);
  }
  return windows;
}

template <class Id>
void require_ids(const std::string& who, std::span<const Id> ids, Index vocabulary) {
  for (std::size_t i = 0; i < ids.size(); ++i)
    require(ids[i] >= 0 && ids[i] < vocabulary, Status::InvalidData, who, ": token ", i, " has the id ", ids[i],
            ", wanted 0 .. ", vocabulary - 1, "; the model has another vocabulary");
}

// ------------------------------------------------------------------------------------------------------------- text

/// Ids of all documents, or of as many as fill `enough` tokens.
std::vector<std::int32_t> text_ids(const fs::path& file, const Tokenizer& tokenizer, Index enough) {
  std::vector<std::int32_t> ids;
  text::read_documents(file, [&](std::string_view document) {
    if (const auto bos = tokenizer.bos()) ids.push_back(*bos);
    const auto own = tokenizer.encode(document);
    ids.insert(ids.end(), own.begin(), own.end());
    return static_cast<Index>(ids.size()) < enough;
  });
  require(!ids.empty(), Status::InvalidData, file.string(), " has no text");
  return ids;
}

Matrix<std::int32_t> text_windows(const fs::path& file, const fs::path& model, Index vocabulary,
                                  const WindowOptions& options) {
  require(!model.empty(), Status::Unsupported, file.string(),
          ": text needs the model's tokenizer, and a model in memory has none; wanted token ids in .safetensors");
  const Index length = options.length.value_or(WindowOptions::default_length);
  const Index count = options.windows.value_or(WindowOptions::default_windows);
  const Index wanted = checked_product(count, length);
  const auto tokenizer = open_tokenizer(model);
  const auto ids = text_ids(file, *tokenizer, options.seed ? std::numeric_limits<Index>::max() : wanted);
  require_ids(file.string() + " through the tokenizer of " + model.string(), std::span(ids), vocabulary);
  const Index got = static_cast<Index>(ids.size());
  require(got >= wanted, Status::InvalidData, file.string(), ": too little text, ", got, " tokens make ", got / length,
          " windows of ", length, ", wanted ", count, " windows (", wanted, " tokens)");
  return take_windows(ids.data(), got / length, count, length, options.seed);
}

// -------------------------------------------------------------------------------------------------------- token ids

template <class Id>
Matrix<std::int32_t> id_windows(const std::string& who, const TensorInfo& info, std::span<const std::byte> bytes,
                                Index vocabulary, const WindowOptions& options) {
  const Index available = info.shape[0], length = info.shape[1];
  const Index count = options.windows.value_or(available);
  require(!options.length || *options.length == length, Status::ShapeMismatch, who, " has windows of ", length,
          " tokens, wanted ", options.length.value_or(0));
  require(count <= available, Status::InvalidData, who, " has ", available, " windows, wanted ", count);
  std::vector<Id> ids(static_cast<std::size_t>(info.elements()));  // the file's bytes need not be aligned
  std::memcpy(ids.data(), bytes.data(), bytes.size());
  require_ids(who, std::span<const Id>(ids), vocabulary);
  return take_windows(ids.data(), available, count, length, options.seed);
}

Matrix<std::int32_t> file_windows(const fs::path& file, Index vocabulary, const WindowOptions& options) {
  const SafetensorsFile source(file);
  require(source.tensors().size() == 1, Status::InvalidData, file.string(), " has ", source.tensors().size(),
          " tensors, wanted one with the token ids [windows, length]");
  const TensorInfo& info = source.tensors().front();
  const std::string who = file.string() + ", tensor " + in_quotes(info.name);
  require(info.shape.size() == 2 && info.elements() > 0, Status::InvalidData, who, " has ", info.shape.size(),
          " dimensions and ", info.elements(), " elements, wanted token ids [windows, length]");
  const auto bytes = source.bytes(info.name);
  if (info.dtype == DType::I32) return id_windows<std::int32_t>(who, info, bytes, vocabulary, options);
  if (info.dtype == DType::I64) return id_windows<std::int64_t>(who, info, bytes, vocabulary, options);
  fail(Status::InvalidData, who, " is ", dtype_name(info.dtype), ", wanted token ids as I32 or I64");
}

}  // namespace

Matrix<std::int32_t> load_windows(const fs::path& file, const fs::path& model, Index vocabulary,
                                  const WindowOptions& options) {
  require_size("their number", options.windows);
  require_size("their length", options.length);
  require(vocabulary > 0, Status::InvalidArgument, "windows of tokens: the vocabulary is ", vocabulary, ", wanted > 0");
  if (file.extension() == ".safetensors") return file_windows(file, vocabulary, options);
  return text_windows(file, model, vocabulary, options);
}

}  // namespace halftone
