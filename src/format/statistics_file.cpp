#include "halftone/format/statistics_file.hpp"

#include <cstring>  // memcpy

#include "halftone/format/safetensors.hpp"
#include "halftone/format/safetensors_writer.hpp"

namespace halftone {
namespace {

constexpr std::string_view held_out_prefix = "held_out.";

/// A set of sums as tensors: the list first, then the bytes.
struct Tensors {
  std::vector<TensorInfo> list;
  std::vector<std::span<const std::byte>> bytes;

  template <class T>
  void add(std::string name, DType type, std::vector<std::int64_t> shape, const T* data, Index count) {
    list.push_back({std::move(name), type, std::move(shape)});
    bytes.push_back(std::as_bytes(std::span(data, static_cast<std::size_t>(count))));
  }
  void add(const InputStatistics<float>& sums, std::string_view prefix, const std::int64_t& tokens) {
    const Index n = sums.width();
    const auto matrix = [&](const char* name, const Matrix<float>& values) {
      add(concat(prefix, name), DType::F32, {n, n}, values.data(), values.size());
    };
    if (sums.moments() != Moments::None) matrix("H", sums.second_moments());
    if (sums.moments() >= Moments::Cross) matrix("D", sums.cross_moments());
    add(concat(prefix, "tokens"), DType::I64, {}, &tokens, 1);
  }
};

std::int64_t read_count(const TensorSource& source, const std::string& name) {
  const TensorInfo& info = source.info(name);
  require(info.dtype == DType::I64 && info.elements() == 1, Status::InvalidData, source.origin(name), ": tensor '",
          name, "' is no single I64");
  std::int64_t count = 0;
  std::memcpy(&count, source.bytes(name).data(), sizeof count);
  require(count >= 0, Status::InvalidData, source.origin(name), ": '", name, "' is ", count, ", wanted 0 or more");
  return count;
}

InputStatistics<float> read_sums(const Context<Cpu>& context, const TensorSource& source, const std::string& prefix) {
  const std::string cross = prefix + "D";
  return InputStatistics<float>::from_sums(context, read_count(source, prefix + "tokens"), source.matrix(prefix + "H"),
                                           source.find(cross) == nullptr ? Matrix<float>() : source.matrix(cross));
}

InputStatistics<float> read_all(const Context<Cpu>& context, const TensorSource& source) {
  InputStatistics<float> sums = read_sums(context, source, "");
  const std::string prefix(held_out_prefix);
  if (source.find(prefix + "H") == nullptr) return sums;
  return InputStatistics<float>::from_sums(context, sums.tokens(), sums.second_moments(), sums.cross_moments(),
                                           read_sums(context, source, prefix));
}

}  // namespace

void save_statistics(const InputStatistics<float>& statistics, const std::filesystem::path& file) {
  require(statistics.moments() != Moments::None, Status::InvalidArgument,
          "input statistics: no moments were kept, there is nothing to save");
  const InputStatistics<float>* held_out = statistics.held_out();
  const std::int64_t tokens = statistics.tokens(), held_out_tokens = held_out == nullptr ? 0 : held_out->tokens();
  Tensors tensors;
  tensors.add(statistics, "", tokens);
  if (held_out != nullptr) tensors.add(*held_out, held_out_prefix, held_out_tokens);

  std::filesystem::path fresh = file;
  fresh += ".new";
  std::error_code error;
  std::filesystem::remove(fresh, error);
  SafetensorsWriter writer(fresh, tensors.list, WriteMode::Create);
  for (std::size_t i = 0; i < tensors.list.size(); ++i) writer.write(tensors.list[i].name, tensors.bytes[i]);
  writer.finish();
  std::filesystem::rename(fresh, file, error);
  require(!error, Status::Io, file.string(), ": cannot be replaced: ", error.message());
}

InputStatistics<float> load_statistics(const Context<Cpu>& context, const std::filesystem::path& file) {
  const SafetensorsFile source(file);
  try {
    return read_all(context, source);
  } catch (const Error& error) {
    const bool foreign = error.status() == Status::NotFound || error.status() == Status::ShapeMismatch ||
                         error.status() == Status::InvalidArgument;
    fail(foreign ? Status::InvalidData : error.status(), file.string(), ": no input statistics: ", error.what());
  }
}

}  // namespace halftone
