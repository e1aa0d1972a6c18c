// Tensors in memory: where a format's encode sends its tensors, and what its decode reads them from.
#pragma once

#include <algorithm>  // sort
#include <catch2/catch.hpp>
#include <cstring>  // memcpy
#include <map>

#include "halftone/core/random.hpp"
#include "halftone/format/format.hpp"

namespace halftone::test {

class MemorySource final : public TensorSource {
 public:
  void put(TensorInfo info, std::span<const std::byte> bytes) {
    data_[info.name] = {bytes.begin(), bytes.end()};
    std::erase_if(infos_, [&](const TensorInfo& other) { return other.name == info.name; });
    infos_.push_back(std::move(info));
    std::sort(infos_.begin(), infos_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  void drop(std::string_view name) {
    std::erase_if(infos_, [&](const TensorInfo& info) { return info.name == name; });
  }
  std::vector<std::byte>& data(const std::string& name) { return data_.at(name); }
  /// Element i of a tensor of Ts.
  template <class T>
  T at(const std::string& name, std::size_t i) const {
    T value;
    REQUIRE(data_.at(name).size() >= (i + 1) * sizeof(T));
    std::memcpy(&value, data_.at(name).data() + i * sizeof(T), sizeof(T));
    return value;
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  std::span<const std::byte> bytes(std::string_view name) const override {
    info(name);
    return data_.find(name)->second;
  }
  std::string origin(std::string_view) const override { return "memory"; }

 private:
  std::vector<TensorInfo> infos_;
  std::map<std::string, std::vector<std::byte>, std::less<>> data_;
};

inline MatrixPlan plan_for(Index rows, Index cols, int bits, Index group_size, bool symmetric) {
  MatrixPlan plan;
  plan.module = "model.layers.0.mlp.up_proj";
  plan.rows = rows;
  plan.cols = cols;
  plan.method = "gptq";
  plan.grid.bits = bits;
  plan.grid.group_size = group_size;
  plan.grid.symmetric = symmetric;
  return plan;
}

/// Any grid that a plan allows; numbers as the stored type has them.
inline UniformGrid random_uniform_grid(const MatrixPlan& plan, Random& random) {
  const Index groups = plan.grid.groups(plan.cols);
  UniformGrid grid;
  grid.bits = plan.grid.bits;
  grid.symmetric = plan.grid.symmetric;
  grid.group_size = plan.grid.group_columns(plan.cols);
  grid.scale_type = dtype_of(plan.grid.scale_type);
  grid.scales = Matrix<float>(plan.rows, groups);
  grid.zeros = Matrix<std::uint8_t>(plan.rows, groups);
  for (Index i = 0; i < grid.scales.size(); ++i) {
    grid.scales.data()[i] = rounded_to(grid.scale_type, static_cast<float>(0.01 + random.uniform()));
    const auto lowest = static_cast<std::uint64_t>(plan.grid.minimum_zero);
    const auto zeros = static_cast<std::uint64_t>(plan.grid.levels()) - lowest;
    grid.zeros.data()[i] =
        static_cast<std::uint8_t>(grid.symmetric ? 1u << (grid.bits - 1) : lowest + random.below(zeros));
  }
  return grid;
}

/// The same of a binary-coded one: alphas that descend, now and then equal or zero.
inline BinaryGrid random_binary_grid(const MatrixPlan& plan, Random& random) {
  const Index groups = plan.grid.groups(plan.cols);
  const DType type = dtype_of(plan.grid.scale_type);
  BinaryGrid grid{plan.grid.bits, plan.grid.group_columns(plan.cols), type,
                  Matrix<float>(plan.rows, groups * plan.grid.bits), Matrix<float>(plan.rows, groups)};
  for (Index i = 0; i < grid.biases.size(); ++i) {
    grid.biases.data()[i] = rounded_to(type, static_cast<float>(random.uniform() - 0.5));
    float alpha = 1;
    for (int k = 0; k < grid.bits; ++k) {
      if (random.below(4) > 0) alpha = rounded_to(type, alpha * static_cast<float>(random.uniform()));
      if (random.below(50) == 0) alpha = 0;
      grid.alphas.data()[i * grid.bits + k] = alpha;
    }
  }
  return grid;
}

/// Any result that a solver may have for the plan.
inline QuantizedMatrix random_result(const MatrixPlan& plan, std::uint64_t seed = 1) {
  Random random(seed);
  QuantizedMatrix matrix;
  matrix.codes = Matrix<std::uint8_t>(plan.rows, plan.cols);
  for (Index i = 0; i < matrix.codes.size(); ++i)
    matrix.codes.data()[i] = static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(plan.grid.levels())));
  if (plan.binary_coded)
    matrix.grid = random_binary_grid(plan, random);
  else
    matrix.grid = random_uniform_grid(plan, random);
  if (plan.group_index) {
    for (Index j = 0; j < plan.cols; ++j)
      matrix.group_index.push_back(static_cast<std::int32_t>(j / matrix.group_size()));
    shuffle(std::span(matrix.group_index), random);
  }
  if (plan.outlier_columns > 0) {
    std::vector<std::int32_t>& columns = matrix.outliers.columns;
    for (Index j = 0; j < plan.cols; ++j) columns.push_back(static_cast<std::int32_t>(j));
    shuffle(std::span(columns), random);
    columns.resize(static_cast<std::size_t>(plan.outlier_columns));
    std::sort(columns.begin(), columns.end());
    matrix.outliers.dtype = matrix.scale_type();
    matrix.outliers.values = Matrix<float>(plan.rows, plan.outlier_columns);
    for (Index i = 0; i < matrix.outliers.values.size(); ++i)
      matrix.outliers.values.data()[i] =
          rounded_to(matrix.outliers.dtype, static_cast<float>(4 * random.uniform() - 2));
  }
  return matrix;
}

/// Encodes into memory; every announced tensor must come once, in order, with its bytes.
inline MemorySource encoded(const Format& format, const MatrixPlan& plan, const QuantizedMatrix& matrix) {
  MemorySource source;
  const auto announced = format.tensors(plan);
  std::size_t next = 0;
  format.encode(plan, matrix, [&](std::string_view name, std::span<const std::byte> bytes) {
    REQUIRE(next < announced.size());
    REQUIRE(announced[next].name == name);
    REQUIRE(announced[next].bytes() == static_cast<std::int64_t>(bytes.size()));
    source.put(announced[next++], bytes);
  });
  REQUIRE(next == announced.size());
  return source;
}

}  // namespace halftone::test
