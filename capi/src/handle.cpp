#include "handle.hpp"

#include <algorithm>  // copy_n, min
#include <cstring>    // strlen
#include <exception>
#include <new>  // bad_alloc
#include <shared_mutex>
#include <unordered_map>

#include "context.hpp"

namespace halftone::capi {
namespace {

struct Table {
  std::shared_mutex mutex;
  std::unordered_map<const void*, std::shared_ptr<Handle>> alive;
};

/// Never destroyed: handles may outlive static destructors.
Table& table() {
  static Table* const made = new Table;
  return *made;
}

std::size_t copy_text(const char* text, std::size_t length, char* buffer, std::size_t capacity) noexcept {
  if (buffer != nullptr && capacity > 0) {
    const std::size_t copied = std::min(length, capacity - 1);
    std::copy_n(text, copied, buffer);
    buffer[copied] = '\0';
  }
  return length;
}

/// Failures that had no handle to go to.
thread_local char orphan_message[message_capacity] = "";

}  // namespace

void Handle::set_message(const char* text) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    message_ = text;
    cut_[0] = '\0';
  } catch (...) {
    message_.clear();
    copy_text(text, std::strlen(text), cut_, sizeof cut_);
  }
}

std::size_t Handle::copy_message(char* buffer, std::size_t capacity) const noexcept {
  const std::lock_guard lock(mutex_);
  if (cut_[0] != '\0') return copy_text(cut_, std::strlen(cut_), buffer, capacity);
  return copy_text(message_.data(), message_.size(), buffer, capacity);
}

bool Handle::begin_use(bool reader) noexcept {
  int users = users_.load(std::memory_order_relaxed);
  do {
    if (users < 0 || (users > 0 && !reader)) return false;
  } while (!users_.compare_exchange_weak(users, reader ? users + 1 : -1, std::memory_order_acquire));
  return true;
}

void Handle::end_use(bool reader) noexcept {
  if (reader)
    users_.fetch_sub(1, std::memory_order_release);
  else
    users_.store(0, std::memory_order_release);
}

void enlist(std::shared_ptr<Handle> handle) {
  const void* const key = dynamic_cast<const void*>(handle.get());
  const std::lock_guard lock(table().mutex);
  table().alive.emplace(key, std::move(handle));
}

void dismiss(const void* handle) noexcept {
  std::shared_ptr<Handle> last;  // destroyed after the lock is gone
  const std::lock_guard lock(table().mutex);
  const auto found = table().alive.find(handle);
  if (found == table().alive.end()) return;
  last = std::move(found->second);
  table().alive.erase(found);
}

std::shared_ptr<Handle> find_handle(const void* handle) noexcept {
  if (handle == nullptr) return nullptr;
  const std::shared_lock lock(table().mutex);
  const auto found = table().alive.find(handle);
  return found == table().alive.end() ? nullptr : found->second;
}

ht_status caught(char* text, std::size_t capacity) noexcept {
  const auto say = [&](const char* message) { copy_text(message, std::strlen(message), text, capacity); };
  try {
    throw;
  } catch (const Error& error) {
    say(error.what());
    return static_cast<ht_status>(error.status());
  } catch (const std::bad_alloc&) {
    say("out of memory");
    return HT_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    say(error.what());
    return HT_INTERNAL;
  } catch (...) {
    say("an exception of unknown type");
    return HT_INTERNAL;
  }
}

void leave_message(Handle* owner, const char* text) noexcept {
  if (owner == nullptr) {
    copy_text(text, std::strlen(text), orphan_message, sizeof orphan_message);
    return;
  }
  owner->set_message(text);
  if (const auto* made = dynamic_cast<const MadeFromContext*>(owner)) made->log(HT_LOG_ERROR, text);
}

}  // namespace halftone::capi

using namespace halftone::capi;

size_t ht_message(const void* handle, char* buffer, size_t capacity) {
  if (const auto found = find_handle(handle)) return found->copy_message(buffer, capacity);
  return copy_text(orphan_message, std::strlen(orphan_message), buffer, capacity);
}
