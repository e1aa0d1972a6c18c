#include "statistics.hpp"

#include "convert.hpp"
#include "halftone/format/statistics_file.hpp"

using namespace halftone;
using namespace halftone::capi;

namespace {

Moments moments_from(std::int32_t number) {
  require(number >= HT_MOMENTS_NONE && number <= HT_MOMENTS_HELD_OUT, Status::InvalidArgument,
          "ht_statistics_create: moments is ", number, ", wanted one of HT_MOMENTS_...");
  return static_cast<Moments>(number);
}

void add_batch(ht_statistics::Sums& sums, const ht_matrix* X, const ht_matrix* X_fp, bool hold_out) {
  const FloatInput inputs(X, "ht_statistics_add: X");
  if (X_fp == nullptr && !hold_out) return sums.add(inputs.view());
  const FloatInput full(X_fp == nullptr ? X : X_fp, "ht_statistics_add: X_fp");
  if (hold_out)
    sums.add_held_out(inputs.view(), full.view());
  else
    sums.add(inputs.view(), full.view());
}

}  // namespace

ht_status ht_statistics_create(ht_context* context, int64_t width, int32_t moments, ht_statistics** statistics) {
  return on_handle(context, Use::Read, "ht_statistics_create: context", [&](ht_context& self) {
    require_given(statistics, "ht_statistics_create: statistics");
    give_out(statistics, self.shared(), ht_statistics::Sums(self.context(), width, moments_from(moments)));
  });
}

void ht_statistics_destroy(ht_statistics* statistics) { dismiss(statistics); }

ht_status ht_statistics_add(ht_statistics* statistics, const ht_matrix* X, const ht_matrix* X_fp, uint32_t flags) {
  return on_handle(statistics, Use::Change, "ht_statistics_add: statistics", [&](ht_statistics& self) {
    require((flags & ~static_cast<std::uint32_t>(HT_HOLD_OUT)) == 0, Status::InvalidArgument,
            "ht_statistics_add: flags is ", flags, ", wanted 0 or HT_HOLD_OUT");
    ++self.version;
    add_batch(*self.sums, X, X_fp, (flags & HT_HOLD_OUT) != 0);
  });
}

ht_status ht_statistics_add_sums(ht_statistics* statistics, int64_t tokens, const ht_matrix* H, const ht_matrix* D) {
  return on_handle(statistics, Use::Change, "ht_statistics_add_sums: statistics", [&](ht_statistics& self) {
    const FloatInput second(H, "ht_statistics_add_sums: H");
    Matrix<float> cross;
    if (D != nullptr)
      cross = Matrix<float>(FloatInput(D, "ht_statistics_add_sums: D").view());
    else if (self.sums->moments() == Moments::Cross)
      cross = Matrix<float>(second.view().rows, second.view().cols, 0.0f);
    const auto given =
        ht_statistics::Sums::from_sums(self.context(), tokens, Matrix<float>(second.view()), std::move(cross));
    ++self.version;
    self.sums->merge(given);
  });
}

ht_status ht_statistics_merge(ht_statistics* statistics, const ht_statistics* other) {
  return on_handle(statistics, Use::Change, "ht_statistics_merge: statistics", [&](ht_statistics& self) {
    const auto from = live(other, "ht_statistics_merge: other");
    const Use use(*from, Use::Read, "ht_statistics_merge: other");
    ++self.version;
    self.sums->merge(*from->sums);
  });
}

ht_status ht_statistics_save(const ht_statistics* statistics, const char* path) {
  return on_handle(statistics, Use::Read, "ht_statistics_save: statistics", [&](ht_statistics& self) {
    require_given(path, "ht_statistics_save: path");
    save_statistics(*self.sums, path);
  });
}

ht_status ht_statistics_load(ht_context* context, const char* path, ht_statistics** statistics) {
  return on_handle(context, Use::Read, "ht_statistics_load: context", [&](ht_context& self) {
    require_given(path, "ht_statistics_load: path");
    require_given(statistics, "ht_statistics_load: statistics");
    give_out(statistics, self.shared(), load_statistics(self.context(), path));
  });
}

ht_status ht_statistics_tensor(const ht_statistics* statistics, const char* name, ht_matrix* view) {
  return on_handle(statistics, Use::Read, "ht_statistics_tensor: statistics", [&](ht_statistics& self) {
    require_given(name, "ht_statistics_tensor: name");
    const std::string_view wanted = name;
    require(wanted == "H" || wanted == "D", Status::NotFound, "ht_statistics_tensor: there is no '", wanted,
            "', wanted H or D");
    const Matrix<float>& sums = wanted == "H" ? self.sums->second_moments() : self.sums->cross_moments();
    write_struct(view, matrix_size, view_of(sums.view(), DType::F32), "ht_statistics_tensor: view");
  });
}

ht_status ht_statistics_number(const ht_statistics* statistics, const char* name, double* value) {
  return on_handle(statistics, Use::Read, "ht_statistics_number: statistics", [&](ht_statistics& self) {
    require_given(name, "ht_statistics_number: name");
    require_given(value, "ht_statistics_number: value");
    const std::string_view wanted = name;
    const ht_statistics::Sums* held_out = self.sums->held_out();
    const auto number = [&]() -> Index {
      if (wanted == "tokens") return self.sums->tokens();
      if (wanted == "held_out_tokens") return held_out == nullptr ? 0 : held_out->tokens();
      if (wanted == "width") return self.sums->width();
      if (wanted == "moments") return static_cast<Index>(self.sums->moments());
      fail(Status::NotFound, "ht_statistics_number: there is no '", wanted,
           "', wanted tokens, held_out_tokens, width or moments");
    };
    *value = static_cast<double>(number());
  });
}
