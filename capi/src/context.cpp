#include "context.hpp"

#include <charconv>

#include "halftone/backend/cuda.hpp"

namespace halftone::capi {

void Shared::log(std::int32_t level, const char* text) const noexcept {
  ht_log_fn log = nullptr;
  void* user = nullptr;
  {
    const std::lock_guard lock(mutex_);
    log = log_;
    user = user_;
  }
  if (log != nullptr) log(user, level, text);
}

ComputeDevice Shared::device() const noexcept {
  const std::lock_guard lock(mutex_);
  return device_;
}

void Shared::set_device(const ComputeDevice& device) noexcept {
  const std::lock_guard lock(mutex_);
  device_ = device;
}

void Shared::set_log(ht_log_fn log, void* user) noexcept {
  const std::lock_guard lock(mutex_);
  log_ = log;
  user_ = user;
}

namespace {

/// Throws Status::Unsupported unless the device is there.
void require_present(const ComputeDevice& device) {
  if (!device.cuda) return;
  const CudaDevices found = cuda_devices();
  const auto ordinal = static_cast<std::size_t>(device.ordinal);
  const bool there = found.problem.empty() && ordinal < found.devices.size() && found.devices[ordinal].problem.empty();
  require(there, Status::Unsupported, "ht_context_set: device is cuda:", device.ordinal, ", and cuda is ",
          cuda_devices_text());
}

ComputeDevice changed(ComputeDevice device, std::string_view name, std::string_view value) {
  if (name == "device") {
    const Index limit = device.memory_limit;
    device = parse_device(value);
    device.memory_limit = limit;
    require_present(device);
    return device;
  }
  require(name == "device_memory", Status::NotFound, "ht_context_set: there is no '", name,
          "', wanted device or device_memory");
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), device.memory_limit);
  require(error == std::errc() && end == value.data() + value.size() && device.memory_limit >= 0,
          Status::InvalidArgument, "ht_context_set: device_memory is '", value, "', wanted a number of bytes, or 0");
  return device;
}

}  // namespace
}  // namespace halftone::capi

using namespace halftone;
using namespace halftone::capi;

ht_status ht_context_create(int32_t threads, ht_context** context) {
  return guarded(nullptr, [&] {
    require_given(context, "ht_context_create: context");
    give_out(context, threads);
  });
}

ht_status ht_context_set(ht_context* context, const char* name, const char* value) {
  return on_handle(context, Use::Read, "ht_context_set: context", [&](ht_context& self) {
    require_given(name, "ht_context_set: name");
    require_given(value, "ht_context_set: value");
    self.shared()->set_device(changed(self.shared()->device(), name, value));
  });
}

void ht_context_destroy(ht_context* context) { dismiss(context); }

ht_status ht_context_set_log(ht_context* context, ht_log_fn log, void* user) {
  return on_handle(context, Use::Read, "ht_context_set_log: context",
                   [&](ht_context& self) { self.shared()->set_log(log, user); });
}
