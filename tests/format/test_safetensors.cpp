#include <cstring>  // memcpy
#include <limits>

#include "format/helpers.hpp"
#include "halftone/format/safetensors.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

std::string floats(std::initializer_list<float> values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), std::data(values), bytes.size());
  return bytes;
}

SafetensorsHeader parse(std::string_view bytes) {
  return parse_safetensors_header(std::as_bytes(std::span(bytes)), static_cast<std::int64_t>(bytes.size()), "f");
}

/// A header that must be refused, over `data` bytes of tensors, and words of the sentence that says why.
struct Refused {
  const char* header;
  std::size_t data;
  std::initializer_list<std::string_view> words;
};

}  // namespace

TEST_CASE("a file's tensors come by name, with type, shape and bytes") {
  const TemporaryFolder folder;
  const std::string header =
      R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]},)"
      R"("empty":{"dtype":"F32","shape":[0,7],"data_offsets":[28,28]},"scalar":{"dtype":"I8","shape":[],"data_offsets":[28,29]},)"
      R"("__metadata__":{"format":"pt"}}   )";
  put(folder / "m.safetensors",
      safetensors_bytes(header, floats({1, 2, 3, 4, 5, -6}) + std::string("\x80\x3f\x00\xc0\x05", 5)));
  const SafetensorsFile file(folder / "m.safetensors");

  REQUIRE(file.tensors().size() == 4);
  CHECK(file.tensors()[0].name == "b");
  CHECK(file.tensors()[3].name == "w");
  CHECK(file.metadata().at("format") == "pt");
  CHECK(file.info("w").shape == std::vector<std::int64_t>{2, 3});
  CHECK(file.info("scalar").elements() == 1);
  CHECK(std::to_integer<int>(file.bytes("scalar")[0]) == 5);
  CHECK(file.bytes("empty").empty());
  CHECK(file.find("nothing") == nullptr);

  const auto w = file.matrix("w");
  CHECK((w.rows() == 2 && w.cols() == 3 && w(1, 2) == -6));
  CHECK(file.matrix_rows("w", 1, 1)(0, 0) == 4);
  const auto b = file.matrix("b");
  CHECK((b.rows() == 1 && b.cols() == 2 && b(0, 0) == 1 && b(0, 1) == -2));
  const auto halves = file.halves("b");
  CHECK((halves.rows() == 1 && halves.cols() == 2 && halves(0, 0).bits == 0x3f80 && halves(0, 1).bits == 0xc000));
  CHECK(file.matrix("empty").empty());
  const auto pairs = file.reshaped("w", 2);
  CHECK((pairs.rows() == 3 && pairs.cols() == 2 && pairs(1, 0) == 3 && pairs(2, 1) == -6));
  CHECK(file.reshaped("empty", 5).empty());
  file.release("w");
  CHECK(file.matrix("w") == w);
}

TEST_CASE("what is asked wrongly of a source is refused with its name and the tensor's") {
  const TemporaryFolder folder;
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  put(folder / "m.safetensors", safetensors_bytes(R"({"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                                                  R"("v":{"dtype":"F32","shape":[1,1],"data_offsets":[16,20]},)"
                                                  R"("i":{"dtype":"I32","shape":[1],"data_offsets":[20,24]},)"
                                                  R"("deep":{"dtype":"F32","shape":[1,1,1],"data_offsets":[24,28]}})",
                                                  floats({1, 2, nan, 4, -infinity, 0, 0})));
  const SafetensorsFile file(folder / "m.safetensors");
  expect_error(Status::NotFound, {"m.safetensors", "'x'"}, [&] { file.matrix("x"); });
  expect_error(Status::InvalidData, {"m.safetensors", "'w'", "nan", "row 1, column 0"}, [&] { file.matrix("w"); });
  expect_error(Status::InvalidData, {"'w'", "row 1, column 0"}, [&] { file.matrix_rows("w", 1, 1); });
  expect_error(Status::InvalidData, {"'v'", "-inf", "row 0, column 0"}, [&] { file.matrix("v"); });
  expect_error(Status::InvalidData, {"'i'", "I32"}, [&] { file.matrix("i"); });
  expect_error(Status::InvalidData, {"'deep'", "3 dimensions"}, [&] { file.matrix("deep"); });
  expect_error(Status::InvalidArgument, {"'w'"}, [&] { file.matrix_rows("w", 1, 2); });
  expect_error(Status::InvalidArgument, {"'w'"}, [&] { file.matrix_rows("w", -1, 1); });
  CHECK(file.matrix_rows("w", 0, 1)(0, 1) == 2);
  CHECK(file.reshaped("deep", 1)(0, 0) == 0);
  expect_error(Status::NotFound, {"'x'"}, [&] { file.reshaped("x", 1); });
  expect_error(Status::InvalidData, {"'w'", "4 numbers", "rows of 3"}, [&] { file.reshaped("w", 3); });
  expect_error(Status::InvalidData, {"'w'", "rows of 0"}, [&] { file.reshaped("w", 0); });
  expect_error(Status::InvalidData, {"'w'", "nan", "row 0, column 2"}, [&] { file.reshaped("w", 4); });
  expect_error(Status::InvalidData, {"'i'", "I32"}, [&] { file.reshaped("i", 1); });
  expect_error(Status::InvalidData, {"'v'", "F32", "wanted BF16"}, [&] { file.halves("v"); });
  expect_error(Status::InvalidData, {"'i'", "I32"}, [&] { file.halves("i"); });
  expect_error(Status::NotFound, {"'x'"}, [&] { file.halves("x"); });
}

TEST_CASE("files that are none are refused") {
  const TemporaryFolder folder;
  expect_error(Status::NotFound, {"none.safetensors"}, [&] { SafetensorsFile(folder / "none.safetensors"); });
  expect_error(Status::Io, {"regular file"}, [&] { SafetensorsFile{folder.path()}; });
  put(folder / "empty.safetensors", "");
  expect_error(Status::InvalidData, {"empty.safetensors", "0 bytes"},
               [&] { SafetensorsFile(folder / "empty.safetensors"); });
  CHECK_THROWS_AS(parse("\x01\0\0\0\0\0\0"), Error);
}

TEST_CASE("a header length that cannot be is refused before anything is read") {
  const auto with_length = [](std::uint64_t length) {
    std::string bytes = safetensors_bytes(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "1234");
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes;
  };
  for (const std::uint64_t length : {std::uint64_t{1} << 63, ~std::uint64_t{0}, std::uint64_t{100'000'001}})
    expect_error(Status::InvalidData, {"f: ", std::to_string(length), "100000000"},
                 [&] { parse(with_length(length)); });
  for (const std::uint64_t length : {std::uint64_t{100'000'000}, std::uint64_t{1000}, std::uint64_t{60}})
    expect_error(Status::InvalidData, {"truncated"}, [&] { parse(with_length(length)); });
  for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{20}, std::uint64_t{55}})
    CHECK_THROWS_AS(parse(with_length(length)), Error);
}

TEST_CASE("headers that do not describe the file exactly are refused, with a sentence that says why") {
  const Refused table[] = {
      // no header at all
      {"", 0, {"'{'"}},
      {"[]", 0, {"'{'"}},
      {" {}", 0, {"'{'"}},
      {"{", 0, {"malformed header"}},
      {"{}x", 0, {"malformed header"}},
      {"{\"a\xff\":{}}", 0, {"malformed header", "UTF-8"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},})", 1, {"malformed header"}},
      {R"({"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}})", 1, {"malformed header"}},
      // duplicates
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2,
       {"'a'", "twice"}},
      {R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, {"'a'", "dtype occurs twice"}},
      {R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1, {"'a'", "shape occurs twice"}},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, {"__metadata__", "twice"}},
      {R"({"__metadata__":{"k":"1","k":"2"}})", 0, {"'k'", "twice"}},
      // wrong kinds of values
      {R"({"a":1})", 0, {"'a'", "number 1", "wanted an object"}},
      {R"({"a":null})", 0, {"'a'", "null"}},
      {R"({"a":[]})", 0, {"'a'", "a list"}},
      {R"({"a":"b"})", 0, {"'a'", "'b'"}},
      {R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1, {"'a'", "dtype", "7"}},
      {R"({"a":{"dtype":["U8"],"shape":[1],"data_offsets":[0,1]}})", 1, {"'a'", "dtype", "a list"}},
      {R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1, {"'a'", "shape", "a list of whole numbers"}},
      {R"({"a":{"dtype":"U8","shape":{"x":1},"data_offsets":[0,1]}})", 1, {"'a'", "shape", "an object"}},
      {R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1, {"'a'", "shape", "a list"}},
      {R"({"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}})", 1, {"'a'", "shape", "a truth value"}},
      {R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, {"'a'", "shape", "'1'"}},
      {R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, {"'a'", "shape", "-1"}},
      {R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}})", 1, {"'a'", "shape", "1.5"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1e0]}})", 1, {"'a'", "data_offsets", "1e0"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-0.0,1]}})", 1, {"'a'", "data_offsets"}},
      {R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}})", 1, {"'a'", "2^63"}},
      {R"({"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1]}})",
       1,
       {"'a'", "18446744073709551616"}},
      {R"({"__metadata__":{"k":1}})", 0, {"__metadata__", "'k'", "wanted text"}},
      {R"({"__metadata__":{"k":{"l":"m"}}})", 0, {"__metadata__", "an object", "wanted text"}},
      {R"({"__metadata__":"pt"})", 0, {"__metadata__", "wanted an object"}},
      // missing or unknown
      {R"({"a":{}})", 0, {"'a'", "lacks"}},
      {R"({"a":{"dtype":"U8","shape":[1]}})", 1, {"'a'", "lacks"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"extra":1}})", 1, {"'a'", "'extra'"}},
      {R"({"a":{"dtype":"U9","shape":[1],"data_offsets":[0,1]}})", 1, {"'a'", "'U9'"}},
      // sizes
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}})", 4, {"'a'", "63 bits"}},
      {R"({"a":{"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,4]}})", 4, {"'a'", "63 bits"}},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1, {"'a'", "whole number of bytes"}},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, {"'a'", "span 4 bytes, wanted 8"}},
      {R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,4]}})", 4, {"'a'", "span 4 bytes, wanted 0"}},
      // places
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[]}})", 1, {"'a'", "has 0 numbers"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1, {"'a'", "has 3 numbers"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, {"'a'", "1 .. 0"}},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 1, {"'a'", "0 .. 2", "up to 1"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]}})",
       1,
       {"'a'", "up to 1"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2, {"'a'", "wanted 0", "holes"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3,
       {"'b'", "wanted 1", "holes"}},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3,
       {"'b'", "overlap"}},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2, {"end at data byte 1, the file at 2"}},
      {"{}", 1, {"end at data byte 0, the file at 1"}},
  };
  for (const Refused& row : table) {
    INFO(row.header);
    expect_error(Status::InvalidData, row.words,
                 [&] { parse(safetensors_bytes(row.header, std::string(row.data, '\0'))); });
  }
}

TEST_CASE("nesting bombs and floods of text do not get through") {
  const std::string open(5'000'000, '[');
  CHECK_THROWS_AS(parse(safetensors_bytes(concat("{\"a\":", open))), Error);
  std::string objects = "{";
  for (int i = 0; i < 500'000; ++i) objects += "\"a\":{";
  CHECK_THROWS_AS(parse(safetensors_bytes(objects)), Error);
  const std::string name(1'000'000, 'n');
  try {
    parse(safetensors_bytes(concat("{\"", name, "\\u001b[2J\":3}")));
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(std::string_view(error.what()).size() < 500);
  }
  expect_error(Status::InvalidData, {"'?[2J'"}, [] { parse(safetensors_bytes("{\"\\u001b[2J\":3}")); });
}

TEST_CASE("every type of the format is read") {
  for (const char* type : {"BOOL", "U8",  "I8",  "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
                           "I16",  "U16", "F16", "BF16",    "I32",     "U32",     "F32",         "C64",
                           "F64",  "I64", "U64", "F4",      "F6_E2M3", "F6_E3M2"}) {
    const std::int64_t bytes = dtype_bytes(*parse_dtype(type), 8);
    const auto header = parse(
        safetensors_bytes(concat(R"({"a":{"dtype":")", type, R"(","shape":[2,4],"data_offsets":[0,)", bytes, "]}}"),
                          std::string(static_cast<std::size_t>(bytes), '\0')));
    CHECK(dtype_name(header.tensors[0].dtype) == type);
  }
}
