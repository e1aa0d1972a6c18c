#include "text/sentencepiece_proto.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "text/utf8.hpp"

namespace halftone::text {
namespace {

constexpr std::size_t longest_piece = 1 << 12;  // bytes
constexpr std::size_t deepest_prefix = 64;      // user-defined pieces that begin each other: the library's fixed array
constexpr float largest_score = 1e9f;

enum class Wire { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

/// One field of a protocol buffer message; `all` are its bytes with the tag, `body` those of a string or message.
struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::Varint;
  std::uint64_t value = 0;
  std::string_view body, all;
};

/// Walks over the fields of a message.
class Message {
 public:
  Message(std::string_view who, std::string_view what, std::string_view bytes)
      : who_(who), what_(what), bytes_(bytes) {}

  bool next(Field& field) {
    if (at_ == bytes_.size()) return false;
    const std::size_t begin = at_;
    const std::uint64_t tag = varint();
    field = {.number = tag >> 3, .wire = static_cast<Wire>(tag & 7), .value = 0, .body = {}, .all = {}};
    check(field.number > 0 && field.number < 1u << 29, "a field has a bad number");
    switch (field.wire) {
      case Wire::Varint: field.value = varint(); break;
      case Wire::Fixed64: field.body = take(8); break;
      case Wire::Bytes: field.body = take(varint()); break;
      case Wire::Fixed32: field.body = take(4); break;
      default: check(false, "a field has a bad type");
    }
    field.all = bytes_.substr(begin, at_ - begin);
    return true;
  }

  void check(bool good, std::string_view complaint) const {
    require(good, Status::InvalidData, who_, ": no SentencePiece model: ", complaint, " in the ", what_, ", byte ",
            at_);
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      check(at_ < bytes_.size(), "a number is cut off");
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    check(false, "a number is too long");
    return 0;
  }
  std::string_view take(std::uint64_t size) {
    check(size <= bytes_.size() - at_, "a field is longer than the message");
    const std::string_view body = bytes_.substr(at_, size);
    at_ += size;
    return body;
  }

  std::string_view who_, what_, bytes_;
  std::size_t at_ = 0;
};

/// SentencePiece { string piece = 1; float score = 2; Type type = 3; }. The text, if it is user-defined (type 4).
std::string_view check_piece(std::string_view who, std::string_view bytes) {
  constexpr std::uint64_t user_defined = 4;
  Message message(who, "pieces", bytes);
  std::string_view text;
  std::uint64_t type = 1;
  for (Field field; message.next(field);) {
    if (field.number == 1 && field.wire == Wire::Bytes) text = field.body;
    if (field.number == 3 && field.wire == Wire::Varint) type = field.value;
    if (field.number == 2 && field.wire == Wire::Fixed32) {
      float score = 0;
      std::memcpy(&score, field.body.data(), sizeof score);
      message.check(std::abs(score) <= largest_score, "a score is out of bounds");  // not for NaN
    }
  }
  message.check(!text.empty() && text.size() <= longest_piece, "a piece is empty or too long");
  message.check(text.find('\0') == std::string_view::npos, "a piece has a zero byte");
  message.check(!first_invalid_utf8(text), "a piece is not UTF-8");
  return type == user_defined ? text : std::string_view{};
}

/// TrainerSpec { ModelType model_type = 3; }: 1 unigram, 2 BPE.
void check_trainer(std::string_view who, std::string_view bytes) {
  Message message(who, "trainer settings", bytes);
  for (Field field; message.next(field);)
    if (field.number == 3 && field.wire == Wire::Varint)
      require(field.value == 1 || field.value == 2, Status::Unsupported, who, ": the SentencePiece model type is ",
              field.value, ", wanted 1 (unigram) or 2 (BPE)");
}

/// NormalizerSpec { string name = 1; bytes precompiled_charsmap = 2; }
void check_normalizer(std::string_view who, std::string_view bytes) {
  Message message(who, "normaliser", bytes);
  std::string name = "unnamed";
  bool maps = false;
  for (Field field; message.next(field);) {
    if (field.number == 1) name = std::string(field.body);
    if (field.number == 2) maps = maps || !field.body.empty();
  }
  require(!maps, Status::Unsupported, who, ": the SentencePiece normaliser ", in_quotes(name),
          " maps characters, wanted 'identity'");
}

/// The library collects all user-defined pieces that begin at one place in an array of fixed size.
void check_prefixes(std::string_view who, std::vector<std::string_view> pieces) {
  std::sort(pieces.begin(), pieces.end());
  std::vector<std::string_view> open;  // each begins the next
  for (const std::string_view piece : pieces) {
    while (!open.empty() && piece.substr(0, open.back().size()) != open.back()) open.pop_back();
    open.push_back(piece);
    require(open.size() <= deepest_prefix, Status::InvalidData, who, ": more than ", deepest_prefix,
            " user-defined pieces begin each other");
  }
}

}  // namespace

std::string checked_model_proto(std::string_view who, std::string_view bytes) {
  Message message(who, "model", bytes);
  std::string kept;
  std::vector<std::string_view> user_defined;
  bool any = false;
  for (Field field; message.next(field);) {
    if (field.number < 1 || field.number > 5) continue;
    message.check(field.wire == Wire::Bytes, "a part is no message");
    if (field.number == 1) {
      if (const auto text = check_piece(who, field.body); !text.empty()) user_defined.push_back(text);
      any = true;
    }
    if (field.number == 2) check_trainer(who, field.body);
    if (field.number == 3 || field.number == 5) check_normalizer(who, field.body);
    if (field.number <= 3) kept += field.all;
  }
  message.check(any, "no piece");
  check_prefixes(who, std::move(user_defined));
  return kept;
}

}  // namespace halftone::text
