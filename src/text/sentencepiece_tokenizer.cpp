#include "text/sentencepiece_tokenizer.hpp"

#include <sentencepiece_processor.h>

#include "halftone/core/error.hpp"
#include "text/sentencepiece_proto.hpp"
#include "text/utf8.hpp"

namespace halftone::text {
namespace {

constexpr std::size_t longest_text = std::size_t{256} << 20;  // bytes; the library counts in int

void require_ok(std::string_view who, std::string_view what, const sentencepiece::util::Status& status) {
  require(status.ok(), Status::InvalidData, who, ": ", what, ": ", status.error_message());
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(std::string_view who, std::string_view model)
    : who_(who), processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  const std::string proto = checked_model_proto(who, model);
  try {
    require_ok(who_, "no SentencePiece model", processor_->LoadFromSerializedProto(proto));
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {  // its tries throw
    fail(Status::InvalidData, who, ": no SentencePiece model: ", error.what());
  }
  if (const int id = processor_->bos_id(); id >= 0) bos_ = id;
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

std::vector<std::int32_t> SentencePieceTokenizer::encode(std::string_view text) const {
  require_utf8(who_, text);
  require(text.size() <= longest_text, Status::InvalidData, who_, ": the text has ", text.size(),
          " bytes, wanted at most ", longest_text, "; cut it into documents");
  std::vector<int> ids;
  require_ok(who_, "cannot tokenise", processor_->Encode({text.data(), text.size()}, &ids));
  return {ids.begin(), ids.end()};
}

std::string SentencePieceTokenizer::decode(const std::vector<std::int32_t>& ids) const {
  for (const std::int32_t id : ids)
    require(id >= 0 && id < vocabulary(), Status::InvalidArgument, who_, ": there is no token ", id);
  std::string text;
  require_ok(who_, "cannot decode", processor_->Decode(std::vector<int>(ids.begin(), ids.end()), &text));
  return text;
}

std::int32_t SentencePieceTokenizer::vocabulary() const { return processor_->GetPieceSize(); }

}  // namespace halftone::text
