// SentencePiece `tokenizer.model` through libsentencepiece.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "halftone/text/tokenizer.hpp"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace halftone::text {

/// Texts are plain: control pieces written out ("</s>") are tokenised as the characters that they are.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  /// `model`: the bytes of the file. Throws Status::InvalidData, Status::Unsupported, naming `who`.
  SentencePieceTokenizer(std::string_view who, std::string_view model);
  ~SentencePieceTokenizer() override;

  std::vector<std::int32_t> encode(std::string_view text) const override;
  std::string decode(const std::vector<std::int32_t>& ids) const override;
  std::int32_t vocabulary() const override;
  std::optional<std::int32_t> bos() const override { return bos_; }

  void set_bos(std::optional<std::int32_t> id) { bos_ = id; }

 private:
  std::string who_;
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::optional<std::int32_t> bos_;
};

}  // namespace halftone::text
