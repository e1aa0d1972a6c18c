#include "halftone/core/options.hpp"

#include <catch2/catch.hpp>

using namespace halftone;

namespace {
enum class Colour { Red, Green };
struct Inner {
  int bits = 4;
  Colour colour = Colour::Red;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(integer("bits", self.bits, 2, 8, "width"));
    visit(choice("colour", self.colour, "a word"));
  }
};
struct Outer {
  Inner inner;
  double damping = 0.01;
  bool order = false;
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    Inner::fields(self.inner, visit);
    visit(real("damping", self.damping, 0, 1, "lambda"));
    visit(flag("order", self.order, "by diag H"));
  }
};
}  // namespace

template <>
struct halftone::EnumWords<Colour> {
  static constexpr std::string_view values[] = {"red", "green"};
};

TEST_CASE("one declaration describes, sets and prints every option") {
  const auto list = describe_options<Outer>();
  REQUIRE(list.size() == 4);
  CHECK(list[0].name == "bits");
  CHECK(list[0].type == OptionType::Integer);
  CHECK(list[1].choices == std::vector<std::string>{"red", "green"});
  CHECK(list[2].default_value == "0.01");
  CHECK(list[3].type == OptionType::Flag);

  Outer options;
  CHECK(set_option("t", options, "bits", "3"));
  CHECK(set_option("t", options, "colour", "green"));
  CHECK(set_option("t", options, "damping", "0.1"));
  CHECK(set_option("t", options, "order", "true"));
  CHECK(options.inner.bits == 3);
  CHECK(options.inner.colour == Colour::Green);
  CHECK(option_text(options, "damping") == "0.1");
  CHECK_FALSE(set_option("t", options, "nothing", "1"));
  CHECK_FALSE(option_text(options, "nothing"));
  for (const OptionInfo& info : list) CHECK(set_option("t", options, info.name, info.default_value));
}

TEST_CASE("a wrong value names who, what, got and wanted, and changes nothing") {
  Outer options;
  CHECK_THROWS_WITH(set_option("gptq", options, "bits", "9"), "gptq: option 'bits' is '9', wanted 2 .. 8");
  CHECK_THROWS_WITH(set_option("gptq", options, "colour", "blue"),
                    "gptq: option 'colour' is 'blue', wanted one of red, green");
  CHECK_THROWS_WITH(set_option("gptq", options, "damping", "nan"), Catch::Contains("wanted 0 .. 1"));
  for (const char* text : {"", "3x", " 3", "3.5", "1e99999", "--3"})
    CHECK_THROWS_AS(set_option("t", options, "bits", text), Error);
  CHECK_THROWS_AS(set_option("t", options, "order", "yes"), Error);
  CHECK(options.inner.bits == 4);
  options.damping = -1;
  CHECK_THROWS_WITH(validate_options("gptq", options), "gptq: option 'damping' is -1, wanted 0 .. 1");
}
