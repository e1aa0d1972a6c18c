// A look at a SentencePiece model before libsentencepiece gets it: the library trusts what it loads.
#pragma once

#include <string>
#include <string_view>

namespace halftone::text {

/// Checks the bytes of a `tokenizer.model` (message ModelProto of sentencepiece_model.proto) and gives back those parts
/// that tokenising needs: pieces, trainer and normaliser settings. The file's own test sentences are left out, since
/// the library prints where they fail.
///
/// Throws Status::InvalidData, naming `who`, for what is no such message or would make the library read beyond its
/// tables; Status::Unsupported for word and character models and for normalisers with a character map ("nmt_nfkc"):
/// Llama, Mistral, Gemma and Phi have none.
std::string checked_model_proto(std::string_view who, std::string_view bytes);

}  // namespace halftone::text
