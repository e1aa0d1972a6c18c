// One matrix through the C interface: the same bytes as through C++, in every element type, and the parts of a result.
#include <unistd.h>  // getpid

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "halftone/format/format.hpp"
#include "halftone/solver/quantizer.hpp"
#include "same_bytes.h"
#include "support.hpp"

namespace halftone {
namespace {

using namespace test;

/// The same matrix by the C++ interface.
QuantizedMatrix by_cpp(const char* method, const OptionMap& options, const Matrix<float>& W, const Matrix<float>& X) {
  const Context<Cpu> context;
  const auto quantizer = make_quantizer(context, method, options);
  InputStatistics<float> statistics(context, X.cols(), quantizer->moments());
  statistics.add(X.view());
  return quantizer->quantize(W.view(), statistics);
}

OwnedResult by_c(ht_context* context, ht_quantizer* quantizer, const Matrix<float>& W, const Matrix<float>& X) {
  std::int32_t moments = -1;
  REQUIRE(ht_quantizer_moments(quantizer, &moments) == HT_OK);
  const OwnedStatistics statistics = statistics_of(context, X, moments);
  const ht_matrix weights = matrix_of(W);
  OwnedResult result;
  INFO(message(quantizer));
  REQUIRE(ht_quantizer_run(quantizer, &weights, statistics, result.out()) == HT_OK);
  return result;
}

}  // namespace

TEST_CASE("every method: the C interface gives the bytes of the C++ one") {
  const OwnedContext context = new_context();
  const Matrix<float> W = random_matrix<float>(24, 40, 1), X = random_matrix<float>(200, 40, 2);
  for (const Method& method : methods()) {
    INFO(method.name);
    const std::string name(method.name);
    const OwnedQuantizer quantizer = quantizer_of(context, name.c_str(), {{"bits", "3"}, {"group_size", "16"}});
    const OwnedResult result = by_c(context, quantizer, W, X);
    const QuantizedMatrix wanted = by_cpp(name.c_str(), {{"bits", "3"}, {"group_size", "16"}}, W, X);
    CHECK(part<std::uint8_t>(result, "codes") == wanted.codes);
    if (wanted.binary_coded()) {
      CHECK(part<float>(result, "alphas") == wanted.binary().alphas);
      CHECK(part<float>(result, "biases") == wanted.binary().biases);
    } else {
      CHECK(part<float>(result, "scales") == wanted.uniform().scales);
      CHECK(part<std::uint8_t>(result, "zeros") == wanted.uniform().zeros);
    }
    if (!wanted.outliers.columns.empty()) CHECK(part<float>(result, "outlier_values") == wanted.outliers.values);
    Matrix<float> values(24, 40);
    const ht_matrix target = matrix_of(values);
    REQUIRE(ht_result_dequantize(result, &target) == HT_OK);
    CHECK(values == dequantize(wanted));
    CHECK(number(result, "relative_error") == wanted.report.relative_error);
    CHECK(number(result, "bits_per_weight") == static_cast<double>(stored_bits(wanted)) / (24 * 40));
    CHECK(number(result, "tokens") == static_cast<double>(wanted.report.tokens));
  }
}

TEST_CASE("inputs in any floating type and stride are what they widen to") {
  const OwnedContext context = new_context();
  const OwnedQuantizer quantizer = quantizer_of(context, "gptq", {{"bits", "4"}, {"group_size", "-1"}});
  const Matrix<float> plain = random_matrix<float>(12, 20, 3), inputs = random_matrix<float>(64, 20, 4);
  for (const DType type : {DType::F32, DType::F16, DType::BF16, DType::F64}) {
    INFO(dtype_name(type));
    const Index stride = 23, bytes = dtype_bits(type) / 8;
    std::vector<std::byte> W(static_cast<std::size_t>(12 * stride * bytes)),
        X(static_cast<std::size_t>(64 * stride * bytes));
    Matrix<float> rounded_W(12, 20), rounded_X(64, 20);
    const auto store = [&](const Matrix<float>& from, std::vector<std::byte>& to, Matrix<float>& rounded) {
      for (Index r = 0; r < from.rows(); ++r)
        for (Index j = 0; j < 20; ++j) {
          std::byte* const at = to.data() + (r * stride + j) * bytes;
          const double wide = from(r, j);
          if (type == DType::F64)
            std::memcpy(at, &wide, 8);
          else
            narrow(type, from.row(r) + j, 1, at);
          widen(type, at, 1, rounded.row(r) + j);
        }
    };
    store(plain, W, rounded_W);
    store(inputs, X, rounded_X);
    const ht_matrix batch = matrix_of(X.data(), 64, 20, static_cast<std::int32_t>(type), stride);
    const ht_matrix weights = matrix_of(W.data(), 12, 20, static_cast<std::int32_t>(type), stride);
    OwnedStatistics statistics;
    REQUIRE(ht_statistics_create(context, 20, HT_MOMENTS_SECOND, statistics.out()) == HT_OK);
    REQUIRE(ht_statistics_add(statistics, &batch, nullptr, 0) == HT_OK);
    OwnedResult result;
    REQUIRE(ht_quantizer_run(quantizer, &weights, statistics, result.out()) == HT_OK);
    const QuantizedMatrix wanted = by_cpp("gptq", {{"bits", "4"}, {"group_size", "-1"}}, rounded_W, rounded_X);
    CHECK(part<std::uint8_t>(result, "codes") == wanted.codes);
    for (const DType out : {DType::F32, DType::F16, DType::BF16}) {
      std::vector<std::byte> values(static_cast<std::size_t>(12 * stride * 4), std::byte{0x5a});
      const ht_matrix target = matrix_of(values.data(), 12, 20, static_cast<std::int32_t>(out), stride);
      REQUIRE(ht_result_dequantize(result, &target) == HT_OK);
      const Matrix<float> exact = dequantize(wanted);
      Index wrong = 0;
      for (Index r = 0; r < 12; ++r)
        for (Index j = 0; j < 20; ++j) {
          float got = 0;
          widen(out, values.data() + dtype_bytes(out, r * stride + j), 1, &got);
          wrong += got != rounded_to(out, exact(r, j));
        }
      CHECK(wrong == 0);
      CHECK(values[static_cast<std::size_t>(dtype_bytes(out, 20))] == std::byte{0x5a});  // the gap between rows
    }
  }
}

TEST_CASE("statistics: batches, pairs, sums, merging, saving and loading") {
  const OwnedContext context = new_context();
  const Matrix<float> X = random_matrix<float>(96, 17, 5), X_fp = random_matrix<float>(96, 17, 6);
  const ht_matrix first = matrix_of(X.data(), 40, 17, HT_F32), second = matrix_of(X.row(40), 56, 17, HT_F32);
  const ht_matrix first_fp = matrix_of(X_fp.data(), 40, 17, HT_F32),
                  second_fp = matrix_of(X_fp.row(40), 56, 17, HT_F32);
  OwnedStatistics whole, part_a, part_b, sums, loaded;
  for (OwnedStatistics* each : {&whole, &part_a, &part_b})
    REQUIRE(ht_statistics_create(context, 17, HT_MOMENTS_HELD_OUT, each->out()) == HT_OK);
  REQUIRE(ht_statistics_add(whole, &first, &first_fp, 0) == HT_OK);
  REQUIRE(ht_statistics_add(whole, &second, &second_fp, HT_HOLD_OUT) == HT_OK);
  REQUIRE(ht_statistics_add(part_a, &first, &first_fp, 0) == HT_OK);
  REQUIRE(ht_statistics_add(part_b, &second, &second_fp, HT_HOLD_OUT) == HT_OK);
  REQUIRE(ht_statistics_merge(part_a, part_b) == HT_OK);

  const auto sum = [](const ht_statistics* statistics, const char* name) {
    ht_matrix view = empty_matrix();
    REQUIRE(ht_statistics_tensor(statistics, name, &view) == HT_OK);
    return Matrix<float>(MatrixView<const float>(static_cast<const float*>(view.data), view.rows, view.cols));
  };
  const auto count = [](const ht_statistics* statistics, const char* name) {
    double value = -1;
    REQUIRE(ht_statistics_number(statistics, name, &value) == HT_OK);
    return value;
  };
  CHECK(count(whole, "tokens") == 96);
  CHECK(count(whole, "held_out_tokens") == 56);
  CHECK(count(whole, "width") == 17);
  CHECK(count(whole, "moments") == double{HT_MOMENTS_HELD_OUT});
  const Matrix<float> H = sum(whole, "H"), D = sum(whole, "D");
  for (Index i = 0; i < H.size(); ++i) {
    CHECK(sum(part_a, "H").data()[i] == Approx(H.data()[i]).margin(1e-4));
    CHECK(sum(part_a, "D").data()[i] == Approx(D.data()[i]).margin(1e-4));
  }

  const auto file = std::filesystem::temp_directory_path() / ("halftone-statistics-" + std::to_string(::getpid()));
  REQUIRE(ht_statistics_save(whole, file.c_str()) == HT_OK);
  REQUIRE(ht_statistics_save(whole, file.c_str()) == HT_OK);  // in its own place
  REQUIRE(ht_statistics_load(context, file.c_str(), loaded.out()) == HT_OK);
  CHECK(sum(loaded, "H") == H);
  CHECK(sum(loaded, "D") == D);
  CHECK(count(loaded, "tokens") == 96);
  CHECK(count(loaded, "held_out_tokens") == 56);
  std::filesystem::resize_file(file, 100);
  OwnedStatistics none;
  CHECK(ht_statistics_load(context, file.c_str(), none.out()) == HT_INVALID_DATA);
  CHECK(none.get() == nullptr);
  std::filesystem::remove(file);
  CHECK(ht_statistics_load(context, file.c_str(), none.out()) == HT_NOT_FOUND);

  REQUIRE(ht_statistics_create(context, 17, HT_MOMENTS_CROSS, sums.out()) == HT_OK);
  const ht_matrix given_H = matrix_of(H), given_D = matrix_of(D);
  REQUIRE(ht_statistics_add_sums(sums, 96, &given_H, &given_D) == HT_OK);
  CHECK(sum(sums, "H") == H);
  CHECK(sum(sums, "D") == D);
  REQUIRE(ht_statistics_add_sums(sums, 4, &given_H, nullptr) == HT_OK);
  CHECK(sum(sums, "D") == D);
  CHECK(count(sums, "tokens") == 100);
}

TEST_CASE("a quantizer prepares anew when options or statistics change") {
  const OwnedContext context = new_context();
  const Matrix<float> W = random_matrix<float>(16, 32, 7), X = random_matrix<float>(100, 32, 8),
                      Y = random_matrix<float>(100, 32, 9);
  const ht_matrix weights = matrix_of(W), more = matrix_of(Y);
  const OwnedQuantizer used = quantizer_of(context, "gptq", {{"group_size", "-1"}, {"act_order", "true"}});
  const auto codes = [&](ht_quantizer* quantizer, ht_statistics* statistics) {
    OwnedResult result;
    REQUIRE(ht_quantizer_run(quantizer, &weights, statistics, result.out()) == HT_OK);
    return part<std::uint8_t>(result, "codes");
  };
  const auto fresh = [&](const char* bits, ht_statistics* statistics) {
    const OwnedQuantizer quantizer =
        quantizer_of(context, "gptq", {{"group_size", "-1"}, {"act_order", "true"}, {"bits", bits}});
    return codes(quantizer, statistics);
  };
  const OwnedStatistics statistics = statistics_of(context, X), others = statistics_of(context, Y);
  const Matrix<std::uint8_t> first = codes(used, statistics);
  CHECK(first == fresh("4", statistics));
  CHECK(codes(used, statistics) == first);
  CHECK(codes(used, others) == fresh("4", others));
  REQUIRE(ht_quantizer_set(used, "bits", "2") == HT_OK);
  CHECK(codes(used, statistics) == fresh("2", statistics));
  REQUIRE(ht_statistics_add(statistics, &more, nullptr, 0) == HT_OK);
  CHECK(codes(used, statistics) == fresh("2", statistics));
  CHECK(text([&](char* buffer, std::size_t capacity, std::size_t* length) {
          return ht_quantizer_text(used, "bits", buffer, capacity, length);
        }) == "2");
}

TEST_CASE("a result packs into what the C++ formats encode") {
  const OwnedContext context = new_context();
  const Matrix<float> W = random_matrix<float>(32, 64, 10), X = random_matrix<float>(128, 64, 11);
  using Tensors = std::map<std::string, std::vector<std::byte>>;
  const auto keep = [](void* user, const ht_tensor* tensor) -> ht_status {
    CHECK(tensor->struct_size == sizeof(ht_tensor));
    const auto* bytes = static_cast<const std::byte*>(tensor->data);
    (*static_cast<Tensors*>(user))[tensor->name].assign(bytes, bytes + tensor->bytes);
    return HT_OK;
  };
  for (const char* format : {"compressed-tensors", "gptq", "gptq_v2", "native", "dense"}) {
    INFO(format);
    const OwnedQuantizer quantizer = quantizer_of(context, "gptq", {{"group_size", "32"}});
    REQUIRE(ht_quantizer_set_format(quantizer, format, HT_BF16) == HT_OK);
    const OwnedResult result = by_c(context, quantizer, W, X);
    Tensors tensors;
    INFO(message(result));
    REQUIRE(ht_result_pack(result, format, "layer", keep, &tensors) == HT_OK);

    const auto option = [&](const char* name) {
      return text([&](char* buffer, std::size_t capacity, std::size_t* length) {
        return ht_quantizer_text(quantizer, name, buffer, capacity, length);
      });
    };
    const QuantizedMatrix wanted = by_cpp(
        "gptq", {{"group_size", "32"}, {"minimum_zero", option("minimum_zero")}, {"scale_type", option("scale_type")}},
        W, X);
    MatrixPlan plan;
    plan.module = "layer";
    plan.rows = 32;
    plan.cols = 64;
    plan.grid.group_size = 32;
    plan.grid.scale_type = *parse_word<ScaleType>(option("scale_type"));
    plan.method = "gptq";
    plan.dtype = DType::F32;  // of W
    Tensors encoded;
    find_format(format).encode(plan, wanted, [&](std::string_view name, std::span<const std::byte> bytes) {
      encoded[std::string(name)].assign(bytes.begin(), bytes.end());
    });
    CHECK(tensors == encoded);
    const auto refuse = [](void*, const ht_tensor*) -> ht_status { return HT_IO; };
    CHECK(ht_result_pack(result, format, "layer", refuse, nullptr) == HT_IO);
  }
}

TEST_CASE("eight threads with handles of their own, results as one after the other") {
  std::vector<Matrix<std::uint8_t>> alone(8), together(8);
  const OwnedContext shared = new_context(2);
  const auto solve = [&](std::size_t i, Matrix<std::uint8_t>& codes) {
    const auto seed = static_cast<unsigned>(100 + i);
    const Matrix<float> W = random_matrix<float>(48, 24 + static_cast<Index>(i), seed);
    const Matrix<float> X = random_matrix<float>(150, 24 + static_cast<Index>(i), seed + 50);
    OwnedContext own;
    bool ok = ht_context_create(2, own.out()) == HT_OK;
    ht_context* const context = i % 2 == 0 ? shared.get() : own.get();
    OwnedStatistics statistics;
    OwnedQuantizer quantizer;
    OwnedResult result;
    const ht_matrix batch = matrix_of(X), weights = matrix_of(W);
    ok = ok && ht_statistics_create(context, X.cols(), HT_MOMENTS_SECOND, statistics.out()) == HT_OK;
    ok = ok && ht_statistics_add(statistics, &batch, nullptr, 0) == HT_OK;
    ok = ok && ht_quantizer_create(context, "gptq", quantizer.out()) == HT_OK;
    ok = ok && ht_quantizer_set(quantizer, "act_order", "true") == HT_OK;
    ok = ok && ht_quantizer_run(quantizer, &weights, statistics, result.out()) == HT_OK;
    ht_matrix view = empty_matrix();
    ok = ok && ht_result_tensor(result, "codes", &view) == HT_OK;
    if (ok) codes = Matrix<std::uint8_t>({static_cast<const std::uint8_t*>(view.data), view.rows, view.cols});
  };
  for (std::size_t i = 0; i < 8; ++i) solve(i, alone[i]);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 8; ++i) threads.emplace_back([&, i] { solve(i, together[i]); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 8; ++i) {
    REQUIRE(!alone[i].empty());
    CHECK(alone[i] == together[i]);
  }
}

TEST_CASE("several quantizers read the same statistics at once") {
  const OwnedContext context = new_context(1);
  const Matrix<float> W = random_matrix<float>(40, 48, 20), X = random_matrix<float>(200, 48, 21);
  const OwnedStatistics statistics = statistics_of(context, X);
  const ht_matrix weights = matrix_of(W);
  std::vector<OwnedQuantizer> quantizers;
  for (int i = 0; i < 4; ++i) quantizers.push_back(quantizer_of(context, "gptq"));
  std::vector<OwnedResult> results(4);
  std::vector<ht_status> status(4, -1);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 4; ++i)
    threads.emplace_back(
        [&, i] { status[i] = ht_quantizer_run(quantizers[i], &weights, statistics, results[i].out()); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 4; ++i) {
    REQUIRE(status[i] == HT_OK);
    CHECK(part<std::uint8_t>(results[i], "codes") == part<std::uint8_t>(results[0], "codes"));
  }
}

TEST_CASE("handles keep what they need of those they were made from") {
  OwnedContext context = new_context();
  const Matrix<float> W = random_matrix<float>(8, 16, 22), X = random_matrix<float>(64, 16, 23);
  OwnedResult result;
  {
    const OwnedQuantizer quantizer = quantizer_of(context, "gptq");
    const OwnedStatistics statistics = statistics_of(context, X);
    ht_context_destroy(context.get());
    const ht_matrix weights = matrix_of(W);
    REQUIRE(ht_quantizer_run(quantizer, &weights, statistics, result.out()) == HT_OK);
  }
  CHECK(part<std::uint8_t>(result, "codes").rows() == 8);
}

TEST_CASE("the same bytes through C++ as through the program in C") {
  Matrix<float> W(same_rows, same_cols), X(same_tokens, same_cols);
  same_numbers(W.data(), static_cast<std::size_t>(W.size()), 1);
  same_numbers(X.data(), static_cast<std::size_t>(X.size()), 2);
  const QuantizedMatrix result = by_cpp("gptq", {{"bits", "3"}, {"group_size", "16"}, {"act_order", "true"}}, W, X);
  std::uint64_t hash = same_hash(same_start, result.codes.data(), static_cast<std::size_t>(result.codes.size()));
  const UniformGrid& grid = result.uniform();
  hash = same_hash(hash, grid.scales.data(), static_cast<std::size_t>(grid.scales.size()) * 4);
  hash = same_hash(hash, grid.zeros.data(), static_cast<std::size_t>(grid.zeros.size()));
  char line[32] = "";
  FILE* const program = ::popen(HALFTONE_SAME_BYTES, "r");
  REQUIRE(program != nullptr);
  const bool read = std::fgets(line, sizeof line, program) != nullptr;
  CHECK(::pclose(program) == 0);
  REQUIRE(read);
  CHECK(std::strtoull(line, nullptr, 16) == hash);
}

TEST_CASE("the report of a result is JSON") {
  const OwnedContext context = new_context();
  const Matrix<float> W = random_matrix<float>(8, 16, 24), X = random_matrix<float>(4, 16, 25);  // too few tokens
  const OwnedQuantizer quantizer = quantizer_of(context, "gptq");
  const OwnedResult result = by_c(context, quantizer, W, X);
  const auto words = [&](const char* what) {
    return text([&](char* buffer, std::size_t capacity, std::size_t* length) {
      return ht_result_text(result, what, buffer, capacity, length);
    });
  };
  const auto report = nlohmann::json::parse(words("report"));
  CHECK(report["method"] == "gptq");
  CHECK(report["tokens"] == 4);
  CHECK(report["notes"].size() >= 1);
  CHECK(words("notes").find('\n') != std::string::npos);
  char few[4] = "xxx";
  std::size_t length = 0;
  REQUIRE(ht_result_text(result, "report", few, 3, &length) == HT_OK);
  CHECK(std::string(few) == "{\"");  // cut, and ended
  CHECK(length == words("report").size());
}

}  // namespace halftone
