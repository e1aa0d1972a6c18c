#include "text/nfc.hpp"

#include <limits>

#include "halftone/core/error.hpp"

#ifdef HALFTONE_HAS_ICU
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#endif

namespace halftone::text {

#ifdef HALFTONE_HAS_ICU

bool has_nfc() noexcept { return true; }

std::string nfc(std::string_view text) {
  constexpr std::size_t most = std::numeric_limits<int32_t>::max() / 4;
  require(text.size() <= most, Status::InvalidData, "NFC: the text has ", text.size(), " bytes, wanted at most ", most);
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* form_c = icu::Normalizer2::getNFCInstance(error);
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  if (U_SUCCESS(error))
    form_c->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr, error);
  require(U_SUCCESS(error), Status::Internal, "NFC: ICU says ", u_errorName(error));
  return out;
}

#else

bool has_nfc() noexcept { return false; }

std::string nfc(std::string_view) {
  fail(Status::Unsupported, "NFC: this build of Halftone has no ICU (libicu-dev), which normalises text");
}

#endif

}  // namespace halftone::text
