#include "result.hpp"

#include <algorithm>  // min_element
#include <array>
#include <cmath>  // abs, floor
#include <nlohmann/json.hpp>

#include "convert.hpp"
#include "halftone/format/format.hpp"

using namespace halftone;
using namespace halftone::capi;

namespace {

MatrixView<const std::int32_t> row_of(const std::vector<std::int32_t>& list) {
  return {list.data(), 1, static_cast<Index>(list.size())};
}

/// The part of that name, which must not be empty.
ht_matrix part_of(const QuantizedMatrix& matrix, std::string_view name) {
  ht_matrix part{};
  const auto take = [&](const char* known, auto view, DType type) {
    if (name == known && view.data != nullptr) part = view_of(view, type);
  };
  take("codes", matrix.codes.view(), DType::U8);
  if (matrix.binary_coded()) {
    take("alphas", matrix.binary().alphas.view(), DType::F32);
    take("biases", matrix.binary().biases.view(), DType::F32);
  } else {
    take("scales", matrix.uniform().scales.view(), DType::F32);
    take("zeros", matrix.uniform().zeros.view(), DType::U8);
  }
  if (!matrix.group_index.empty()) take("group_index", row_of(matrix.group_index), DType::I32);
  if (!matrix.outliers.columns.empty()) {
    take("outlier_columns", row_of(matrix.outliers.columns), DType::I32);
    take("outlier_values", matrix.outliers.values.view(), DType::F32);
  }
  require(part.data != nullptr, Status::NotFound, "ht_result_tensor: the result has no '", name, "'");
  return part;
}

using NamedNumber = std::pair<std::string_view, double>;

std::array<NamedNumber, 17> numbers_of(const QuantizedMatrix& matrix) {
  const SolveReport& report = matrix.report;
  return {{{"rows", static_cast<double>(matrix.rows())},
           {"cols", static_cast<double>(matrix.cols())},
           {"bits", matrix.bits()},
           {"group_size", static_cast<double>(matrix.group_size())},
           {"groups", static_cast<double>(matrix.groups())},
           {"symmetric", !matrix.binary_coded() && matrix.uniform().symmetric ? 1 : 0},
           {"binary_coded", matrix.binary_coded() ? 1 : 0},
           {"bits_per_weight", static_cast<double>(stored_bits(matrix)) / static_cast<double>(matrix.codes.size())},
           {"relative_error", report.relative_error},
           {"damping", report.damping},
           {"damping_steps", report.damping_steps},
           {"dead_columns", static_cast<double>(report.dead_columns)},
           {"tokens", static_cast<double>(report.tokens)},
           {"strength", report.strength},
           {"refine_rounds", report.refine_rounds},
           {"refine_gain", report.refine_gain},
           {"seconds", report.seconds}}};
}

double number_of(const QuantizedMatrix& matrix, std::string_view name) {
  std::string known;
  for (const auto& [known_name, value] : numbers_of(matrix)) {
    if (known_name == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(known_name);
  }
  fail(Status::NotFound, "ht_result_number: there is no '", name, "', wanted one of ", known);
}

/// 0 where there is none.
int smallest_zero(const QuantizedMatrix& matrix) {
  if (matrix.binary_coded() || matrix.uniform().zeros.empty()) return 0;
  const Matrix<std::uint8_t>& zeros = matrix.uniform().zeros;
  return *std::min_element(zeros.data(), zeros.data() + zeros.size());
}

MatrixPlan plan_of(const ht_result& result, const char* module) {
  const QuantizedMatrix& matrix = result.matrix;
  MatrixPlan plan;
  plan.module = module;
  plan.rows = matrix.rows();
  plan.cols = matrix.cols();
  plan.grid.bits = matrix.bits();
  plan.grid.group_size = matrix.group_size() == matrix.cols() ? -1 : matrix.group_size();
  plan.grid.symmetric = !matrix.binary_coded() && matrix.uniform().symmetric;
  plan.grid.minimum_zero = smallest_zero(matrix) > 0 ? 1 : 0;
  plan.grid.scale_type = scale_type_of(matrix.scale_type()).value();
  plan.group_index = !matrix.group_index.empty();
  plan.outlier_columns = static_cast<Index>(matrix.outliers.columns.size());
  plan.binary_coded = matrix.binary_coded();
  plan.method = result.method;
  plan.dtype = result.dtype;
  return plan;
}

/// One JSON object, of scalars that are written one by one: a document of nlohmann's needs memory even to be destroyed,
/// and ends the process where there is none.
std::string report_text(const ht_result& result) {
  using nlohmann::json;
  std::string text = "{\"method\":" + json(result.method).dump();
  for (const auto& [name, value] : numbers_of(result.matrix)) {
    const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
    text += concat(",\"", name, "\":") + (whole ? json(static_cast<std::int64_t>(value)) : json(value)).dump();
  }
  text += ",\"outlier_columns\":" + json(result.matrix.outliers.columns.size()).dump() + ",\"notes\":[";
  const std::vector<std::string>& notes = result.matrix.report.notes;
  for (std::size_t i = 0; i < notes.size(); ++i) text += (i > 0 ? "," : "") + json(notes[i]).dump();
  return text + "]}";
}

std::string text_of(const ht_result& result, std::string_view what) {
  if (what == "report") return report_text(result);
  require(what == "notes", Status::NotFound, "ht_result_text: there is no '", what, "', wanted report or notes");
  std::string lines;
  for (const std::string& note : result.matrix.report.notes) lines += note + "\n";
  return lines;
}

}  // namespace

void ht_result_destroy(ht_result* result) { dismiss(result); }

ht_status ht_result_tensor(const ht_result* result, const char* name, ht_matrix* view) {
  return on_handle(result, Use::Read, "ht_result_tensor: result", [&](ht_result& self) {
    require_given(name, "ht_result_tensor: name");
    write_struct(view, matrix_size, part_of(self.matrix, name), "ht_result_tensor: view");
  });
}

ht_status ht_result_dequantize(const ht_result* result, const ht_matrix* weights) {
  return on_handle(result, Use::Read, "ht_result_dequantize: result", [&](ht_result& self) {
    copy_to(dequantize(self.matrix), weights, "ht_result_dequantize: weights");
  });
}

ht_status ht_result_number(const ht_result* result, const char* name, double* value) {
  return on_handle(result, Use::Read, "ht_result_number: result", [&](ht_result& self) {
    require_given(name, "ht_result_number: name");
    require_given(value, "ht_result_number: value");
    *value = number_of(self.matrix, name);
  });
}

ht_status ht_result_text(const ht_result* result, const char* what, char* buffer, size_t capacity, size_t* length) {
  return on_handle(result, Use::Read, "ht_result_text: result", [&](ht_result& self) {
    require_given(what, "ht_result_text: what");
    write_text(text_of(self, what), buffer, capacity, length);
  });
}

ht_status ht_result_pack(const ht_result* result, const char* format, const char* module, ht_tensor_fn sink,
                         void* user) {
  return on_handle(result, Use::Read, "ht_result_pack: result", [&](ht_result& self) {
    require_given(format, "ht_result_pack: format");
    require_given(module, "ht_result_pack: module");
    require(sink != nullptr, Status::InvalidArgument, "ht_result_pack: sink is NULL");
    const Format& target = find_format(format);
    const MatrixPlan plan = plan_of(self, module);
    target.check(plan);
    const std::vector<TensorInfo> tensors = target.tensors(plan);
    target.encode(plan, self.matrix, [&](std::string_view name, std::span<const std::byte> bytes) {
      for (const TensorInfo& info : tensors) {
        if (info.name != name) continue;
        const ht_tensor tensor = tensor_of(info, bytes);
        require_ok(sink(user, &tensor), "ht_result_pack: sink");
      }
    });
  });
}
