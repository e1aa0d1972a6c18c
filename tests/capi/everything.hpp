// One of each handle, and a call of every function that takes one: what misuse is tried on.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "support.hpp"

namespace halftone::test {

inline ht_status ignore_tensor(void*, const ht_tensor*) { return HT_OK; }

/// One of each handle, and calls of every function that takes one.
struct Everything {
  OwnedContext context = new_context();
  Matrix<float> W = random_matrix<float>(8, 16, 1), X = random_matrix<float>(64, 16, 2);
  OwnedStatistics statistics = statistics_of(context, X);
  OwnedQuantizer quantizer = quantizer_of(context, "gptq");
  OwnedResult result;
  OwnedCheckpoint checkpoint;
  OwnedJob job;
  ht_matrix weights = matrix_of(W), batch = matrix_of(X), view = empty_matrix();
  ht_tensor tensor = {};
  std::int32_t moments = -7;
  double value = -7;
  char buffer[64] = "before";
  std::size_t length = 77;

  ht_context* new_context_out = nullptr;
  ht_statistics* new_statistics = nullptr;
  ht_quantizer* new_quantizer = nullptr;
  ht_result* new_result = nullptr;
  ht_checkpoint* new_checkpoint = nullptr;
  ht_job* new_job = nullptr;

  Everything() {
    tensor.struct_size = sizeof tensor;
    REQUIRE(ht_quantizer_run(quantizer, &weights, statistics, result.out()) == HT_OK);
    REQUIRE(ht_checkpoint_open(context, HALFTONE_MODELS "/novella", checkpoint.out()) == HT_OK);
    REQUIRE(ht_job_create(context, "{\"method\": \"rtn\"}", job.out()) == HT_OK);
  }
  bool outputs_untouched() const {
    return new_context_out == nullptr && new_statistics == nullptr && new_quantizer == nullptr &&
           new_result == nullptr && new_checkpoint == nullptr && new_job == nullptr && moments == -7 && value == -7 &&
           std::strcmp(buffer, "before") == 0 && length == 77 && view.data == nullptr && tensor.data == nullptr;
  }
};

struct Call {
  const char* name;
  /// The call on `handle`, of whatever kind.
  std::function<ht_status(Everything&, void* handle)> run;
};

/// Every function whose first argument is a handle, with arguments that are right otherwise.
inline std::vector<Call> calls() {
  const auto c = [](void* handle) { return static_cast<ht_context*>(handle); };
  const auto s = [](void* handle) { return static_cast<ht_statistics*>(handle); };
  const auto q = [](void* handle) { return static_cast<ht_quantizer*>(handle); };
  const auto r = [](void* handle) { return static_cast<ht_result*>(handle); };
  const auto k = [](void* handle) { return static_cast<ht_checkpoint*>(handle); };
  const auto j = [](void* handle) { return static_cast<ht_job*>(handle); };
  using E = Everything;
  return {
      {"ht_context_set", [=](E&, void* h) { return ht_context_set(c(h), "device", "cpu"); }},
      {"ht_context_set_log", [=](E&, void* h) { return ht_context_set_log(c(h), nullptr, nullptr); }},
      {"ht_statistics_create", [=](E& e, void* h) { return ht_statistics_create(c(h), 4, 1, &e.new_statistics); }},
      {"ht_statistics_load", [=](E& e, void* h) { return ht_statistics_load(c(h), "none", &e.new_statistics); }},
      {"ht_quantizer_create", [=](E& e, void* h) { return ht_quantizer_create(c(h), "gptq", &e.new_quantizer); }},
      {"ht_checkpoint_open", [=](E& e, void* h) { return ht_checkpoint_open(c(h), "none", &e.new_checkpoint); }},
      {"ht_job_create", [=](E& e, void* h) { return ht_job_create(c(h), "{}", &e.new_job); }},
      {"ht_statistics_add", [=](E& e, void* h) { return ht_statistics_add(s(h), &e.batch, nullptr, 0); }},
      {"ht_statistics_add_sums", [=](E& e, void* h) { return ht_statistics_add_sums(s(h), 1, &e.batch, nullptr); }},
      {"ht_statistics_merge", [=](E& e, void* h) { return ht_statistics_merge(s(h), e.statistics); }},
      {"ht_statistics_save", [=](E&, void* h) { return ht_statistics_save(s(h), "/nowhere/file"); }},
      {"ht_statistics_tensor", [=](E& e, void* h) { return ht_statistics_tensor(s(h), "H", &e.view); }},
      {"ht_statistics_number", [=](E& e, void* h) { return ht_statistics_number(s(h), "tokens", &e.value); }},
      {"ht_quantizer_set", [=](E&, void* h) { return ht_quantizer_set(q(h), "bits", "3"); }},
      {"ht_quantizer_set_format", [=](E&, void* h) { return ht_quantizer_set_format(q(h), "gptq", HT_F16); }},
      {"ht_quantizer_text", [=](E& e, void* h) { return ht_quantizer_text(q(h), "bits", e.buffer, 64, &e.length); }},
      {"ht_quantizer_moments", [=](E& e, void* h) { return ht_quantizer_moments(q(h), &e.moments); }},
      {"ht_quantizer_run",
       [=](E& e, void* h) { return ht_quantizer_run(q(h), &e.weights, e.statistics, &e.new_result); }},
      {"ht_result_tensor", [=](E& e, void* h) { return ht_result_tensor(r(h), "codes", &e.view); }},
      {"ht_result_dequantize", [=](E& e, void* h) { return ht_result_dequantize(r(h), &e.weights); }},
      {"ht_result_number", [=](E& e, void* h) { return ht_result_number(r(h), "bits", &e.value); }},
      {"ht_result_text", [=](E& e, void* h) { return ht_result_text(r(h), "notes", e.buffer, 64, &e.length); }},
      {"ht_result_pack", [=](E&, void* h) { return ht_result_pack(r(h), "gptq", "m", ignore_tensor, nullptr); }},
      {"ht_checkpoint_get", [=](E& e, void* h) { return ht_checkpoint_get(k(h), 0, &e.tensor); }},
      {"ht_checkpoint_tensor", [=](E& e, void* h) { return ht_checkpoint_tensor(k(h), "lm_head.weight", &e.tensor); }},
      {"ht_checkpoint_matrix", [=](E& e, void* h) { return ht_checkpoint_matrix(k(h), "m", &e.new_result); }},
      {"ht_job_set", [=](E&, void* h) { return ht_job_set(j(h), "model", "x"); }},
      {"ht_job_set_source",
       [=](E&, void* h) {
         ht_source source = {};
         source.struct_size = sizeof source;
         return ht_job_set_source(j(h), &source);
       }},
      {"ht_job_set_sink", [=](E&, void* h) { return ht_job_set_sink(j(h), nullptr, nullptr); }},
      {"ht_job_set_tokens", [=](E& e, void* h) { return ht_job_set_tokens(j(h), &e.batch); }},
      {"ht_job_set_progress", [=](E&, void* h) { return ht_job_set_progress(j(h), nullptr, nullptr); }},
      {"ht_job_run", [=](E&, void* h) { return ht_job_run(j(h)); }},
      {"ht_job_cancel", [=](E&, void* h) { return ht_job_cancel(j(h)); }},
      {"ht_job_text", [=](E& e, void* h) { return ht_job_text(j(h), "recipe", e.buffer, 64, &e.length); }},
  };
}

/// Which handle a function works on, by its name.
inline void* kind_of(Everything& e, const std::string& name) {
  if (name == "ht_statistics_create" || name == "ht_statistics_load" || name == "ht_quantizer_create" ||
      name == "ht_checkpoint_open" || name == "ht_job_create" || name.starts_with("ht_context"))
    return e.context.get();
  if (name.starts_with("ht_statistics")) return e.statistics.get();
  if (name.starts_with("ht_quantizer")) return e.quantizer.get();
  if (name.starts_with("ht_result")) return e.result.get();
  return name.starts_with("ht_checkpoint") ? static_cast<void*>(e.checkpoint.get()) : e.job.get();
}

}  // namespace halftone::test
