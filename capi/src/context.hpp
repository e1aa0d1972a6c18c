// ht_context, and what the handles made from one share.
#pragma once

#include <memory>
#include <mutex>

#include "halftone/backend/compute_device.hpp"
#include "halftone/backend/cpu.hpp"
#include "handle.hpp"

namespace halftone::capi {

/// The context and its log; lives as long as anything made from it.
struct Shared {
  explicit Shared(int threads) : context(threads) {}

  Context<Cpu> context;
  /// Where quantizers and jobs compute.
  ComputeDevice device() const noexcept;
  void set_device(const ComputeDevice& device) noexcept;
  /// Calls the log, if there is one; never under a lock.
  void log(std::int32_t level, const char* text) const noexcept;
  void set_log(ht_log_fn log, void* user) noexcept;

 private:
  mutable std::mutex mutex_;
  ComputeDevice device_;
  ht_log_fn log_ = nullptr;
  void* user_ = nullptr;
};

class MadeFromContext : public Handle {
 public:
  explicit MadeFromContext(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  const std::shared_ptr<Shared>& shared() const noexcept { return shared_; }
  const Context<Cpu>& context() const noexcept { return shared_->context; }
  ComputeDevice device() const noexcept { return shared_->device(); }
  void log(std::int32_t level, const char* text) const noexcept { shared_->log(level, text); }

 private:
  std::shared_ptr<Shared> shared_;
};

}  // namespace halftone::capi

struct ht_context final : halftone::capi::MadeFromContext {
  explicit ht_context(int threads) : MadeFromContext(std::make_shared<halftone::capi::Shared>(threads)) {}
};
