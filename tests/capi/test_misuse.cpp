// Every function with NULL, wrong sizes, dead and foreign handles, NaN: a status, a message, and outputs as they were.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "everything.hpp"

namespace halftone {
using namespace test;

TEST_CASE("NULL, foreign and dead handles are found") {
  Everything e;
  int on_the_stack = 0;
  for (const Call& call : calls()) {
    INFO(call.name);
    CHECK(call.run(e, nullptr) == HT_INVALID_ARGUMENT);
    CHECK(message(nullptr).find("NULL") != std::string::npos);
    CHECK(call.run(e, &on_the_stack) == HT_INVALID_ARGUMENT);
    CHECK(message(nullptr).find("no live handle") != std::string::npos);
    void* const right = kind_of(e, call.name);
    for (void* other : {static_cast<void*>(e.context.get()), static_cast<void*>(e.statistics.get()),
                        static_cast<void*>(e.quantizer.get()), static_cast<void*>(e.result.get()),
                        static_cast<void*>(e.checkpoint.get()), static_cast<void*>(e.job.get())})
      if (other != right) CHECK(call.run(e, other) == HT_INVALID_ARGUMENT);
    CHECK(e.outputs_untouched());
  }
}

TEST_CASE("destroyed handles are found, and destroying twice does nothing") {
  std::vector<void*> dead;
  {
    Everything gone;
    for (const Call& call : calls()) dead.push_back(kind_of(gone, call.name));
  }
  OwnedContext context = new_context();  // before Everything: its handles may lie where the dead ones lay
  Everything e;
  std::size_t i = 0;
  for (const Call& call : calls()) {
    INFO(call.name);
    void* const handle = dead[i++];
    const bool reused = handle == e.context || handle == e.statistics || handle == e.quantizer || handle == e.result ||
                        handle == e.checkpoint || handle == e.job || handle == context;
    if (reused) continue;
    CHECK(call.run(e, handle) == HT_INVALID_ARGUMENT);
    ht_job_destroy(static_cast<ht_job*>(handle));
  }
  CHECK(e.outputs_untouched());
  ht_context_destroy(nullptr);
  ht_statistics_destroy(nullptr);
  ht_quantizer_destroy(nullptr);
  ht_result_destroy(nullptr);
  ht_checkpoint_destroy(nullptr);
  ht_job_destroy(nullptr);
}

TEST_CASE("NULL in the place of every other pointer") {
  Everything e;
  ht_context* const c = e.context;
  const std::vector<ht_status> results = {
      ht_context_create(0, nullptr),
      ht_context_set(c, nullptr, "cpu"),
      ht_context_set(c, "device", nullptr),
      ht_method_get(0, nullptr),
      ht_option_get(nullptr, 0, nullptr),
      ht_option_get("gptq", 0, nullptr),
      ht_format_get(0, nullptr),
      ht_feature_get(0, nullptr),
      ht_statistics_create(c, 4, 1, nullptr),
      ht_statistics_load(c, nullptr, &e.new_statistics),
      ht_statistics_load(c, "x", nullptr),
      ht_statistics_add(e.statistics, nullptr, nullptr, 0),
      ht_statistics_add_sums(e.statistics, 1, nullptr, nullptr),
      ht_statistics_merge(e.statistics, nullptr),
      ht_statistics_save(e.statistics, nullptr),
      ht_statistics_tensor(e.statistics, nullptr, &e.view),
      ht_statistics_tensor(e.statistics, "H", nullptr),
      ht_statistics_number(e.statistics, nullptr, &e.value),
      ht_statistics_number(e.statistics, "tokens", nullptr),
      ht_quantizer_create(c, nullptr, &e.new_quantizer),
      ht_quantizer_create(c, "gptq", nullptr),
      ht_quantizer_set(e.quantizer, nullptr, "1"),
      ht_quantizer_set(e.quantizer, "bits", nullptr),
      ht_quantizer_set_format(e.quantizer, nullptr, HT_F16),
      ht_quantizer_text(e.quantizer, nullptr, e.buffer, 64, &e.length),
      ht_quantizer_moments(e.quantizer, nullptr),
      ht_quantizer_run(e.quantizer, nullptr, e.statistics, &e.new_result),
      ht_quantizer_run(e.quantizer, &e.weights, nullptr, &e.new_result),
      ht_quantizer_run(e.quantizer, &e.weights, e.statistics, nullptr),
      ht_result_tensor(e.result, nullptr, &e.view),
      ht_result_tensor(e.result, "codes", nullptr),
      ht_result_dequantize(e.result, nullptr),
      ht_result_number(e.result, nullptr, &e.value),
      ht_result_number(e.result, "bits", nullptr),
      ht_result_text(e.result, nullptr, e.buffer, 64, &e.length),
      ht_result_pack(e.result, nullptr, "m", ignore_tensor, nullptr),
      ht_result_pack(e.result, "native", nullptr, ignore_tensor, nullptr),
      ht_result_pack(e.result, "native", "m", nullptr, nullptr),
      ht_checkpoint_open(c, nullptr, &e.new_checkpoint),
      ht_checkpoint_open(c, "x", nullptr),
      ht_checkpoint_get(e.checkpoint, 0, nullptr),
      ht_checkpoint_tensor(e.checkpoint, nullptr, &e.tensor),
      ht_checkpoint_matrix(e.checkpoint, nullptr, &e.new_result),
      ht_checkpoint_matrix(e.checkpoint, "m", nullptr),
      ht_job_create(c, nullptr, &e.new_job),
      ht_job_create(c, "{}", nullptr),
      ht_job_set(e.job, nullptr, "x"),
      ht_job_set(e.job, "model", nullptr),
      ht_job_set_source(e.job, nullptr),
      ht_job_set_tokens(e.job, nullptr),
      ht_job_run(e.job),  // neither model nor output
      ht_job_text(e.job, nullptr, e.buffer, 64, &e.length),
  };
  for (std::size_t i = 0; i < results.size(); ++i) {
    INFO("row " << i);
    CHECK(results[i] == HT_INVALID_ARGUMENT);
  }
  CHECK(e.outputs_untouched());
  CHECK(ht_message(nullptr, nullptr, 0) > 0);
  CHECK(ht_job_text(e.job, "recipe", nullptr, 0, nullptr) == HT_OK);
}

TEST_CASE("matrices that are none") {
  Everything e;
  const auto add = [&](const ht_matrix& X) { return ht_statistics_add(e.statistics, &X, nullptr, 0); };
  const auto changed = [&](auto&& change) {
    ht_matrix X = e.batch;
    change(X);
    return add(X);
  };
  CHECK(changed([](ht_matrix& X) { X.struct_size = 0; }) == HT_INVALID_ARGUMENT);
  CHECK(changed([](ht_matrix& X) { X.struct_size = 47; }) == HT_INVALID_ARGUMENT);
  CHECK(changed([](ht_matrix& X) { X.dtype = 99; }) == HT_INVALID_ARGUMENT);
  CHECK(changed([](ht_matrix& X) { X.dtype = HT_I32; }) == HT_UNSUPPORTED);
  CHECK(changed([](ht_matrix& X) { X.rows = -1; }) == HT_INVALID_ARGUMENT);
  CHECK(changed([](ht_matrix& X) { X.cols = -1; }) == HT_INVALID_ARGUMENT);
  CHECK(changed([](ht_matrix& X) { X.cols = 15; }) == HT_SHAPE_MISMATCH);
  CHECK(changed([](ht_matrix& X) { X.stride = 15; }) == HT_INVALID_ARGUMENT);
  CHECK(changed([](ht_matrix& X) { X.stride = INT64_MAX; }) == HT_OUT_OF_MEMORY);
  CHECK(changed([](ht_matrix& X) { X.rows = INT64_MAX; }) == HT_OUT_OF_MEMORY);
  CHECK(changed([](ht_matrix& X) { X.data = nullptr; }) == HT_INVALID_ARGUMENT);
  CHECK(changed([](ht_matrix& X) { X.device_kind = HT_CUDA; }) == HT_UNSUPPORTED);
  CHECK(changed([](ht_matrix& X) { X.device_kind = 12; }) == HT_UNSUPPORTED);
  CHECK(changed([](ht_matrix& X) { X.rows = 0; }) == HT_OK);
  CHECK(ht_statistics_add(e.statistics, &e.batch, &e.weights, 0) == HT_SHAPE_MISMATCH);
  CHECK(ht_statistics_add(e.statistics, &e.batch, nullptr, 2) == HT_INVALID_ARGUMENT);
  CHECK(ht_statistics_add(e.statistics, &e.batch, nullptr, HT_HOLD_OUT) == HT_INVALID_ARGUMENT);

  // Of a struct of a newer program the library takes what it knows.
  struct {
    ht_matrix known;
    std::uint64_t newer = 0xabababababababab;
  } larger{e.batch};
  larger.known.struct_size = sizeof larger;
  CHECK(add(larger.known) == HT_OK);
  larger.known.data = nullptr;
  REQUIRE(ht_statistics_tensor(e.statistics, "H", &larger.known) == HT_OK);
  CHECK(larger.known.data != nullptr);
  CHECK(larger.newer == 0xabababababababab);
  CHECK(larger.known.struct_size == sizeof larger);
}

TEST_CASE("numbers that are not finite are refused and change nothing") {
  Everything e;
  Matrix<float> X = e.X, W = e.W;
  ht_matrix view = empty_matrix();
  REQUIRE(ht_statistics_tensor(e.statistics, "H", &view) == HT_OK);
  const std::vector<float> before(static_cast<float*>(view.data), static_cast<float*>(view.data) + 256);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    X(3, 5) = bad;
    W(2, 1) = bad;
    const ht_matrix batch = matrix_of(X), weights = matrix_of(W);
    CHECK(ht_statistics_add(e.statistics, &batch, nullptr, 0) == HT_INVALID_DATA);
    CHECK(message(e.statistics).find("token 3, column 5") != std::string::npos);
    CHECK(ht_statistics_add_sums(e.statistics, 1, &batch, nullptr) != HT_OK);
    CHECK(ht_quantizer_run(e.quantizer, &weights, e.statistics, &e.new_result) == HT_INVALID_DATA);
  }
  CHECK(std::equal(before.begin(), before.end(), static_cast<float*>(view.data)));
  CHECK(e.new_result == nullptr);
  REQUIRE(ht_quantizer_run(e.quantizer, &e.weights, e.statistics, &e.new_result) == HT_OK);
  CHECK(part<std::uint8_t>(e.new_result, "codes") == part<std::uint8_t>(e.result, "codes"));
  ht_result_destroy(e.new_result);
}

TEST_CASE("names, values and sizes that are wrong") {
  Everything e;
  CHECK(ht_context_create(-1, &e.new_context_out) == HT_INVALID_ARGUMENT);
  CHECK(ht_statistics_create(e.context, 0, 1, &e.new_statistics) == HT_INVALID_ARGUMENT);
  CHECK(ht_statistics_create(e.context, -5, 1, &e.new_statistics) == HT_INVALID_ARGUMENT);
  CHECK(ht_statistics_create(e.context, 5, 4, &e.new_statistics) == HT_INVALID_ARGUMENT);
  CHECK(ht_statistics_create(e.context, INT64_MAX, 1, &e.new_statistics) == HT_OUT_OF_MEMORY);
  CHECK(ht_context_set(e.context, "nonsense", "1") == HT_NOT_FOUND);
  CHECK(ht_context_set(e.context, "device", "tpu") == HT_INVALID_ARGUMENT);
  CHECK(ht_context_set(e.context, "device", "cuda:99999") == HT_UNSUPPORTED);
  CHECK(message(e.context).find("cuda:99999") != std::string::npos);
  CHECK(ht_context_set(e.context, "device_memory", "-1") == HT_INVALID_ARGUMENT);
  CHECK(ht_context_set(e.context, "device_memory", "40000000000") == HT_OK);
  CHECK(ht_context_set(e.context, "device", "cpu") == HT_OK);
  CHECK(ht_quantizer_create(e.context, "gptq9", &e.new_quantizer) == HT_NOT_FOUND);
  CHECK(message(e.context).find("gptqv2") != std::string::npos);  // says what there is
  CHECK(ht_quantizer_set(e.quantizer, "nonsense", "1") == HT_NOT_FOUND);
  for (const char* value : {"", "nine", "9", "1", "-4", "4.5", "99999999999999999999"})
    CHECK(ht_quantizer_set(e.quantizer, "bits", value) == HT_INVALID_ARGUMENT);
  CHECK(text([&](char* buffer, std::size_t capacity, std::size_t* length) {
          return ht_quantizer_text(e.quantizer, "bits", buffer, capacity, length);
        }) == "4");
  CHECK(ht_quantizer_set_format(e.quantizer, "zip", HT_F16) == HT_NOT_FOUND);
  CHECK(ht_quantizer_set_format(e.quantizer, "gptq", 99) == HT_INVALID_ARGUMENT);
  CHECK(ht_quantizer_text(e.quantizer, "nonsense", e.buffer, 64, &e.length) == HT_NOT_FOUND);
  CHECK(ht_result_tensor(e.result, "alphas", &e.view) == HT_NOT_FOUND);
  CHECK(ht_result_tensor(e.result, "outlier_columns", &e.view) == HT_NOT_FOUND);
  CHECK(ht_result_number(e.result, "nonsense", &e.value) == HT_NOT_FOUND);
  CHECK(ht_result_text(e.result, "nonsense", e.buffer, 64, &e.length) == HT_NOT_FOUND);
  CHECK(ht_result_pack(e.result, "nonsense", "m", ignore_tensor, nullptr) == HT_NOT_FOUND);
  const ht_matrix wrong = matrix_of(e.X);
  CHECK(ht_result_dequantize(e.result, &wrong) == HT_SHAPE_MISMATCH);
  CHECK(ht_statistics_tensor(e.statistics, "nonsense", &e.view) == HT_NOT_FOUND);
  CHECK(ht_statistics_tensor(e.statistics, "D", &e.view) == HT_INVALID_ARGUMENT);
  CHECK(ht_statistics_number(e.statistics, "nonsense", &e.value) == HT_NOT_FOUND);
  CHECK(ht_statistics_save(e.statistics, "/nowhere/at/all") == HT_NOT_FOUND);
  CHECK(ht_checkpoint_open(e.context, "/nowhere/at/all", &e.new_checkpoint) == HT_NOT_FOUND);
  CHECK(ht_checkpoint_get(e.checkpoint, 1000000, &e.tensor) == HT_NOT_FOUND);
  CHECK(ht_checkpoint_tensor(e.checkpoint, "nonsense", &e.tensor) == HT_NOT_FOUND);
  CHECK(ht_checkpoint_matrix(e.checkpoint, "lm_head", &e.new_result) == HT_NOT_FOUND);
  for (const char* recipe : {"", "[]", "{", "{\"methode\": \"gptq\"}", "{\"method\": 4}"})
    CHECK(ht_job_create(e.context, recipe, &e.new_job) == HT_INVALID_DATA);
  CHECK(ht_job_set(e.job, "nonsense", "1") == HT_NOT_FOUND);
  CHECK(ht_job_set(e.job, "resume", "perhaps") == HT_INVALID_ARGUMENT);
  CHECK(ht_job_set(e.job, "shard_bytes", "0") == HT_INVALID_ARGUMENT);
  CHECK(ht_job_text(e.job, "nonsense", e.buffer, 64, &e.length) == HT_NOT_FOUND);
  CHECK(ht_job_text(e.job, "report", e.buffer, 64, &e.length) == HT_NOT_FOUND);
  CHECK(ht_job_text(e.job, "config", e.buffer, 64, &e.length) == HT_NOT_FOUND);
  CHECK(e.outputs_untouched());
}

TEST_CASE("methods, options, formats and features can be enumerated") {
  ht_method method = {};
  method.struct_size = sizeof method;
  std::uint32_t methods = 0, options = 0;
  for (; ht_method_get(methods, &method) == HT_OK; ++methods) {
    INFO(method.name);
    CHECK(std::strlen(method.help) > 0);
    ht_option option = {};
    option.struct_size = sizeof option;
    for (std::uint32_t i = 0; i < method.option_count; ++i, ++options) {
      REQUIRE(ht_option_get(method.name, i, &option) == HT_OK);
      INFO(option.name);
      if (option.type == HT_CHOICE) CHECK(option.choice_count > 1);
      for (std::uint32_t k = 0; k < option.choice_count; ++k) CHECK(std::strlen(option.choices[k]) > 0);
      if (option.type == HT_INTEGER) CHECK(option.minimum < option.maximum);
      const OwnedContext context = new_context();  // the default is a value
      const OwnedQuantizer quantizer = quantizer_of(context, method.name, {{option.name, option.default_value}});
    }
    CHECK(ht_option_get(method.name, method.option_count, &option) == HT_NOT_FOUND);
  }
  CHECK(methods >= 6);
  CHECK(options > 30);
  CHECK(ht_option_get("nonsense", 0, nullptr) == HT_NOT_FOUND);
  ht_format format = {};
  format.struct_size = sizeof format;
  std::uint32_t formats = 0;
  while (ht_format_get(formats, &format) == HT_OK) ++formats;
  CHECK(formats >= 5);
  ht_feature feature = {};
  feature.struct_size = sizeof feature;
  std::uint32_t features = 0;
  for (; ht_feature_get(features, &feature) == HT_OK; ++features) CHECK(std::strlen(feature.value) > 0);
  CHECK(features >= 5);
  CHECK(ht_abi_version() == HT_ABI_MAJOR * 65536u + HT_ABI_MINOR);
  CHECK(std::strlen(ht_version()) >= 5);
  CHECK(std::string(ht_status_name(HT_CONFLICT)) == "conflict");
  CHECK(std::string(ht_status_name(12345)) == "unknown");
}

TEST_CASE("the log tells failures and notes, and is silent without a listener") {
  struct Lines {
    std::vector<std::pair<std::int32_t, std::string>> all;
  } lines;
  Everything e;
  REQUIRE(ht_context_set_log(
              e.context,
              [](void* user, std::int32_t level, const char* text) {
                static_cast<Lines*>(user)->all.emplace_back(level, text);
              },
              &lines) == HT_OK);
  CHECK(ht_quantizer_set(e.quantizer, "bits", "99") == HT_INVALID_ARGUMENT);
  REQUIRE(lines.all.size() == 1);
  CHECK(lines.all[0].first == HT_LOG_ERROR);
  CHECK(lines.all[0].second == message(e.quantizer));
  const Matrix<float> few = random_matrix<float>(3, 16, 9);
  const OwnedStatistics statistics = statistics_of(e.context, few);
  REQUIRE(ht_quantizer_run(e.quantizer, &e.weights, statistics, &e.new_result) == HT_OK);
  ht_result_destroy(e.new_result);
  CHECK(lines.all.size() > 1);  // too few tokens
  CHECK(lines.all.back().first == HT_LOG_WARNING);
  REQUIRE(ht_context_set_log(e.context, nullptr, nullptr) == HT_OK);
  const std::size_t told = lines.all.size();
  CHECK(ht_quantizer_set(e.quantizer, "bits", "99") == HT_INVALID_ARGUMENT);
  CHECK(lines.all.size() == told);
}

TEST_CASE("a handle in use is refused to a second caller, and may be destroyed meanwhile") {
  Everything e;
  struct Inside {
    Everything* e;
    ht_status set = -1, text = -1, other = -1;
  } inside{&e};
  const auto sink = [](void* user, const ht_tensor*) -> ht_status {
    auto& now = *static_cast<Inside*>(user);
    if (now.other >= 0) return HT_OK;  // only the first tensor
    std::thread([&] { now.other = ht_result_number(now.e->result, "bits", &now.e->value); }).join();  // two readers
    now.set = ht_quantizer_set(now.e->quantizer, "bits", "3");                                        // another handle
    ht_result_destroy(now.e->result);  // frees it when the call that brought us here ends
    now.text = ht_result_number(now.e->result, "bits", &now.e->value);
    return HT_OK;
  };
  CHECK(ht_result_pack(e.result, "native", "m", sink, &inside) == HT_OK);
  CHECK(inside.other == HT_OK);
  CHECK(inside.set == HT_OK);
  CHECK(inside.text == HT_INVALID_ARGUMENT);
}

}  // namespace halftone
