// What the tests of the C interface share: handles that destroy themselves, and matrices as ht_matrix.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "halftone.h"
#include "halftone/core/matrix.hpp"
#include "random_matrix.hpp"

namespace halftone::test {

/// Owns a handle.
template <class T, void (*destroy)(T*)>
class Owned {
 public:
  Owned() = default;
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Owned() { destroy(handle_); }
  T** out() { return &handle_; }
  T* get() const { return handle_; }
  operator T*() const { return handle_; }

 private:
  T* handle_ = nullptr;
};
using OwnedContext = Owned<ht_context, ht_context_destroy>;
using OwnedStatistics = Owned<ht_statistics, ht_statistics_destroy>;
using OwnedQuantizer = Owned<ht_quantizer, ht_quantizer_destroy>;
using OwnedResult = Owned<ht_result, ht_result_destroy>;
using OwnedCheckpoint = Owned<ht_checkpoint, ht_checkpoint_destroy>;
using OwnedJob = Owned<ht_job, ht_job_destroy>;

inline std::string message(const void* handle) {
  char text[1024];
  ht_message(handle, text, sizeof text);
  return text;
}

template <class T>
ht_matrix matrix_of(const T* data, Index rows, Index cols, std::int32_t dtype, Index stride = 0) {
  ht_matrix matrix = {sizeof(ht_matrix), dtype, rows, cols, stride, const_cast<T*>(data), HT_CPU, 0};
  return matrix;
}
inline ht_matrix matrix_of(const Matrix<float>& values) {
  return matrix_of(values.data(), values.rows(), values.cols(), HT_F32);
}
inline ht_matrix empty_matrix() {
  ht_matrix matrix = {};
  matrix.struct_size = sizeof matrix;
  return matrix;
}

inline OwnedContext new_context(int threads = 0) {
  OwnedContext context;
  REQUIRE(ht_context_create(threads, context.out()) == HT_OK);
  return context;
}

inline OwnedStatistics statistics_of(ht_context* context, const Matrix<float>& X, std::int32_t moments = 1) {
  OwnedStatistics statistics;
  REQUIRE(ht_statistics_create(context, X.cols(), moments, statistics.out()) == HT_OK);
  const ht_matrix batch = matrix_of(X);
  REQUIRE(ht_statistics_add(statistics, &batch, nullptr, 0) == HT_OK);
  return statistics;
}

inline OwnedQuantizer quantizer_of(ht_context* context, const char* method,
                                   const std::vector<std::pair<const char*, const char*>>& options = {}) {
  OwnedQuantizer quantizer;
  REQUIRE(ht_quantizer_create(context, method, quantizer.out()) == HT_OK);
  for (const auto& [name, value] : options) {
    INFO(name << " = " << value);
    REQUIRE(ht_quantizer_set(quantizer, name, value) == HT_OK);
  }
  return quantizer;
}

inline double number(const ht_result* result, const char* name) {
  double value = -1;
  REQUIRE(ht_result_number(result, name, &value) == HT_OK);
  return value;
}

/// A part of a result as a matrix.
template <class T>
Matrix<T> part(const ht_result* result, const char* name) {
  ht_matrix view = empty_matrix();
  REQUIRE(ht_result_tensor(result, name, &view) == HT_OK);
  return Matrix<T>(MatrixView<const T>(static_cast<const T*>(view.data), view.rows, view.cols, view.stride));
}

/// Text of any of the ht_..._text functions: call(buffer, capacity, length).
template <class Call>
std::string text(Call&& call) {
  std::size_t length = 0;
  REQUIRE(call(nullptr, std::size_t{0}, &length) == HT_OK);
  std::string out(length + 1, '?');
  REQUIRE(call(out.data(), out.size(), &length) == HT_OK);
  REQUIRE(out.back() == '\0');
  out.pop_back();
  return out;
}

}  // namespace halftone::test
