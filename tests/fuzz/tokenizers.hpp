// What a fuzzer does with the bytes of a tokenizer: read it, and use what was read. Only an Error may come out.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "halftone/core/error.hpp"
#include "halftone/format/json.hpp"
#include "text/byte_level_tokenizer.hpp"
#include "text/sentencepiece_tokenizer.hpp"

namespace halftone::test {

/// A tokenizer that was read must encode any text to ids below its vocabulary, and decode them.
inline void use_tokenizer(const Tokenizer& tokenizer) {
  for (const std::string_view text :
       {"", " ", "It's 1867, don't  worry\r\n\n\tabc<|begin_of_text|>  ", "naïve 你好 😀 e\u0301"}) {
    try {
      const auto ids = tokenizer.encode(text);
      for (const std::int32_t id : ids)
        require(id >= 0 && id < tokenizer.vocabulary(), Status::Internal, "id ", id, " beyond the vocabulary");
      tokenizer.decode(ids);
    } catch (const Error& error) {
      if (error.status() == Status::Internal) throw;
    }
  }
}

inline void try_tokenizer_json(std::string_view bytes) {
  try {
    const auto document = parse_json<nlohmann::json>(bytes, "fuzz");
    use_tokenizer(text::ByteLevelTokenizer(text::read_tokenizer_json("fuzz", document)));
  } catch (const Error& error) {
    if (error.status() == Status::Internal) throw;
  }
}

inline void try_sentencepiece(std::string_view bytes) {
  try {
    use_tokenizer(text::SentencePieceTokenizer("fuzz", bytes));
  } catch (const Error& error) {
    if (error.status() == Status::Internal) throw;
  }
}

}  // namespace halftone::test
