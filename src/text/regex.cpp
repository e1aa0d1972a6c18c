#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.hpp"

#include <pcre2.h>

#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "text/utf8.hpp"

namespace halftone::text {
namespace {

constexpr std::size_t longest_pattern = 1 << 14;   // bytes; the longest known split pattern has 600
constexpr std::uint32_t match_limit = 10'000'000;  // backtracking steps of one match
constexpr std::uint32_t heap_limit = 256 * 1024;   // KiB of one match
constexpr std::size_t jit_stack = 1 << 20;         // bytes

std::string message_of(int code) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

Regex::Regex(std::string_view who, std::string_view pattern) : who_(who) {
  require(pattern.size() <= longest_pattern, Status::InvalidData, who, ": the split pattern has ", pattern.size(),
          " bytes, wanted at most ", longest_pattern);
  const std::string own = pcre2_pattern(who, pattern);
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = pcre2_compile(units(own), own.size(), PCRE2_UTF | PCRE2_UCP, &error, &at, context.get());
  if (code == nullptr)
    fail(Status::InvalidData, who, ": the split pattern ", in_quotes(pattern),
         " does not compile: ", message_of(error));
  code_ = std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it is not available, the interpreter matches the same
}

struct RegexScan::State {
  const pcre2_code* code = nullptr;
  std::string_view who, text;
  std::size_t at = 0;
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match{nullptr, &pcre2_match_data_free};
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context{nullptr, &pcre2_match_context_free};
  std::unique_ptr<pcre2_jit_stack, decltype(&pcre2_jit_stack_free)> stack{nullptr, &pcre2_jit_stack_free};
};

RegexScan::RegexScan(const Regex& regex) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.code = static_cast<const pcre2_code*>(regex.code_.get());
  s.who = regex.who_;
  s.match.reset(pcre2_match_data_create_from_pattern(s.code, nullptr));
  s.context.reset(pcre2_match_context_create(nullptr));
  s.stack.reset(pcre2_jit_stack_create(32 * 1024, jit_stack, nullptr));
  if (!s.match || !s.context || !s.stack) throw std::bad_alloc();
  pcre2_set_match_limit(s.context.get(), match_limit);
  pcre2_set_heap_limit(s.context.get(), heap_limit);
  pcre2_jit_stack_assign(s.context.get(), nullptr, s.stack.get());
}

RegexScan::~RegexScan() = default;
RegexScan::RegexScan(RegexScan&&) noexcept = default;

void RegexScan::start(std::string_view text) noexcept {
  state_->text = text;
  state_->at = 0;
}

std::optional<Span> RegexScan::next() {
  State& s = *state_;
  if (s.at >= s.text.size()) return std::nullopt;
  const int found =
      pcre2_match(s.code, units(s.text), s.text.size(), s.at, PCRE2_NO_UTF_CHECK, s.match.get(), s.context.get());
  if (found == PCRE2_ERROR_NOMATCH) {
    s.at = s.text.size();
    return std::nullopt;
  }
  require(found >= 0, Status::InvalidData, s.who, ": the split pattern fails on the text at byte ", s.at, ": ",
          message_of(found));
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(s.match.get());
  const Span span{ends[0], ends[1]};
  require(span.first <= span.last, Status::Unsupported, s.who, ": the split pattern ends a match before its beginning");
  s.at = span.last;
  if (span.first == span.last && s.at < s.text.size()) s.at += utf8_step(s.text, s.at).length;
  return span;
}

}  // namespace halftone::text
