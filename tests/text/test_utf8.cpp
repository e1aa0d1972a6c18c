#include "text/utf8.hpp"

#include <catch2/catch.hpp>

#include "text/byte_alphabet.hpp"

using namespace halftone::text;

TEST_CASE("every code point survives UTF-8") {
  for (char32_t code = 0; code <= 0x10ffff; ++code) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    std::string text;
    append_utf8(code, text);
    const Utf8Step step = utf8_step(text, 0);
    REQUIRE(step.valid);
    REQUIRE(step.code == code);
    REQUIRE(step.length == text.size());
    if (text.size() > 1) REQUIRE_FALSE(utf8_step(std::string_view(text).substr(0, text.size() - 1), 0).valid);
  }
}

TEST_CASE("what is no UTF-8 is found and replaced, each longest beginning once") {
  const std::pair<std::string, std::string> cases[] = {
      {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},                  // overlong
      {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},  // overlong
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},  // surrogate
      {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
      {"a\xe2\x82", "a\xef\xbf\xbd"},  // cut off
      {"\xe2\x82"
       "z",
       "\xef\xbf\xbd"
       "z"},
      {"\xf0\x9f\x98", "\xef\xbf\xbd"},
      {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
      {"\x80", "\xef\xbf\xbd"},
  };
  for (const auto& [broken, repaired] : cases) {
    CHECK(first_invalid_utf8(broken).has_value());
    CHECK(replace_invalid_utf8(broken) == repaired);
  }
  CHECK(first_invalid_utf8("ok \xc3\xa9 \xff") == 6u);
  CHECK_FALSE(first_invalid_utf8("").has_value());
}

TEST_CASE("the byte alphabet writes each byte with one character of its own") {
  std::string seen(256, '\0');
  int characters = 0;
  for (char32_t code = 0; code < 0x200; ++code) {
    std::string token;
    append_utf8(code, token);
    const auto bytes = bytes_of_token(token);
    if (!bytes) continue;
    ++characters;
    REQUIRE(bytes->size() == 1);
    ++seen[static_cast<unsigned char>(bytes->front())];
  }
  CHECK(characters == 256);
  CHECK(seen == std::string(256, '\1'));
  CHECK(bytes_of_token("Ġworld") == " world");
  CHECK(bytes_of_token("Ċ") == "\n");
  CHECK_FALSE(bytes_of_token("a b").has_value());
  CHECK_FALSE(bytes_of_token("€").has_value());
}
