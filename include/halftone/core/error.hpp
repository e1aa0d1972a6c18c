// Errors of the library: what the caller or the machine did wrong is an exception that carries a Status.
// What the numbers did (damping raised, dead channels) is never an exception: it is in a report.
//
// A message says who, what, got, wanted:  "gptq: option 'damping' is -1, wanted 0 .. 1".
#pragma once

#include <cstdint>    // int32_t
#include <sstream>    // ostringstream
#include <stdexcept>  // runtime_error
#include <string>
#include <string_view>

namespace halftone {

/// Outcome of a call. The values are pinned: they are the C ABI's `ht_status` and the basis of the command's exit
/// codes.
enum class Status : std::int32_t {
  Ok = 0,
  InvalidArgument = 10,  ///< an option or argument outside its documented range
  ShapeMismatch = 11,    ///< matrices whose sizes do not fit each other
  Unsupported = 12,      ///< a legal request that this method, format or build cannot express
  InvalidData = 20,      ///< a file, config or tensor that is malformed or not finite
  NotFound = 21,         ///< a file, tensor or name that does not exist
  Io = 22,               ///< the operating system refused to read or write
  Conflict = 23,         ///< the output folder or journal belongs to something else
  Cancelled = 30,        ///< the caller's progress callback or a signal asked to stop
  OutOfMemory = 40,
  Device = 41,    ///< accelerator, driver or device library
  Internal = 50,  ///< a bug in this library
};

/// Lower-case name of a status, for messages and JSON ("invalid_argument").
constexpr std::string_view status_name(Status status) noexcept {
  switch (status) {
    case Status::Ok: return "ok";
    case Status::InvalidArgument: return "invalid_argument";
    case Status::ShapeMismatch: return "shape_mismatch";
    case Status::Unsupported: return "unsupported";
    case Status::InvalidData: return "invalid_data";
    case Status::NotFound: return "not_found";
    case Status::Io: return "io";
    case Status::Conflict: return "conflict";
    case Status::Cancelled: return "cancelled";
    case Status::OutOfMemory: return "out_of_memory";
    case Status::Device: return "device";
    case Status::Internal: return "internal";
  }
  return "unknown";
}

/// The library's only exception type besides std::bad_alloc.
class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const noexcept { return status_; }

 private:
  Status status_;
};

/// Text of all parts, streamed one after the other.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  (out << ... << parts);
  return out.str();
}

/// Throws Error(status, concat(parts...)).
template <class... Parts>
[[noreturn]] void fail(Status status, const Parts&... parts) {
  throw Error(status, concat(parts...));
}

/// Throws unless `condition` holds. The parts are evaluated by the caller either way: keep them cheap.
template <class... Parts>
void require(bool condition, Status status, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(status, parts...);
}

}  // namespace halftone
