#include "halftone/backend/compute_device.hpp"

#include <charconv>

#include "halftone/core/error.hpp"

namespace halftone {

ComputeDevice parse_device(std::string_view text) {
  constexpr std::string_view numbered = "cuda:";
  ComputeDevice device;
  if (text == "cpu") return device;
  device.cuda = true;
  if (text == "cuda") return device;
  bool known = text.starts_with(numbered);
  if (known) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + numbered.size(), end, device.ordinal);
    known = error == std::errc() && stop == end && device.ordinal >= 0;
  }
  require(known, Status::InvalidArgument, "device is '", text, "', wanted cpu, cuda or cuda:N");
  return device;
}

}  // namespace halftone
