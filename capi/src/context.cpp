#include "context.hpp"

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

void Shared::set_log(ht_log_fn log, void* user) noexcept {
  const std::lock_guard lock(mutex_);
  log_ = log;
  user_ = user;
}

}  // namespace halftone::capi

using namespace halftone;
using namespace halftone::capi;

ht_status ht_context_create(int32_t threads, ht_context** context) {
  return guarded(nullptr, [&] {
    require_given(context, "ht_context_create: context");
    give_out(context, threads);
  });
}

void ht_context_destroy(ht_context* context) { dismiss(context); }

ht_status ht_context_set_log(ht_context* context, ht_log_fn log, void* user) {
  return on_handle(context, Use::Read, "ht_context_set_log: context",
                   [&](ht_context& self) { self.shared()->set_log(log, user); });
}
