// Handles of the C interface: which are alive, who is using them, and what went wrong last.
//
// A handle is a pointer to an object that a table of live handles owns. An entry function looks it up there, so that
// NULL, destroyed handles and handles of another kind are found without touching their memory; takes a share of it, so
// that destroying it meanwhile frees it later; and marks it as in use.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "halftone.h"
#include "halftone/core/error.hpp"

namespace halftone::capi {

/// What every handle has.
class Handle {
 public:
  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  virtual ~Handle() = default;

  /// Replaces the message. Never fails: a message that there is no memory for is cut short.
  void set_message(const char* text) noexcept;
  /// Copies what fits; returns the whole length.
  std::size_t copy_message(char* buffer, std::size_t capacity) const noexcept;

  /// One user who changes the handle, or any number of readers. False: it is in use otherwise.
  bool begin_use(bool reader) noexcept;
  void end_use(bool reader) noexcept;

 private:
  mutable std::mutex mutex_;
  std::string message_;
  char cut_[64] = "";          // instead of message_ where there was no memory for it
  std::atomic<int> users_{0};  // −1: one who changes it
};

/// Puts a new handle into the table of those alive. Throws std::bad_alloc.
void enlist(std::shared_ptr<Handle> handle);
/// Takes it out; nothing if it is not there.
void dismiss(const void* handle) noexcept;
/// Null if it is not alive.
std::shared_ptr<Handle> find_handle(const void* handle) noexcept;

/// What find_handle(handle) found, as what it is. Throws Status::InvalidArgument, naming `what`.
template <class T>
std::shared_ptr<T> live(const T* handle, const std::shared_ptr<Handle>& found, const char* what) {
  require(handle != nullptr, Status::InvalidArgument, what, " is NULL");
  auto self = std::dynamic_pointer_cast<T>(found);
  require(self != nullptr, Status::InvalidArgument, what, " is no live handle of its kind");
  return self;
}
template <class T>
std::shared_ptr<T> live(const T* handle, const char* what) {
  return live(handle, find_handle(handle), what);
}

/// Marks a handle as in use as long as it lives. Throws Status::Conflict.
class Use {
 public:
  enum Kind : bool { Change = false, Read = true };
  Use(Handle& handle, Kind kind, const char* what) : handle_(handle), kind_(kind) {
    require(handle.begin_use(kind == Read), Status::Conflict, what, " is in use by another call");
  }
  ~Use() { handle_.end_use(kind_ == Read); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  Handle& handle_;
  Kind kind_;
};

/// The exception that is being handled as a status; `text` gets its message.
ht_status caught(char* text, std::size_t capacity) noexcept;
/// Leaves a message with the handle, or with the thread if there is none; tells the log of its context.
void leave_message(Handle* owner, const char* text) noexcept;

inline constexpr std::size_t message_capacity = 1024;

/// Runs body() for an entry function: whatever it throws becomes a status, and a message left with `owner`.
template <class Body>
ht_status guarded(Handle* owner, Body&& body) noexcept {
  try {
    body();
    return HT_OK;
  } catch (...) {
    char text[message_capacity];
    const ht_status status = caught(text, sizeof text);
    leave_message(owner, text);
    return status;
  }
}

/// An entry function on a live handle: body(T&) runs while it is marked as in use.
template <class T, class Body>
ht_status on_handle(const T* handle, Use::Kind kind, const char* what, Body&& body) noexcept {
  const std::shared_ptr<Handle> owner = find_handle(handle);
  return guarded(owner.get(), [&] {
    const std::shared_ptr<T> self = live(handle, owner, what);
    const Use use(*self, kind, what);
    body(*self);
  });
}

/// Makes a handle of type T and gives it out.
template <class T, class... Arguments>
void give_out(T** out, Arguments&&... arguments) {
  auto made = std::make_shared<T>(std::forward<Arguments>(arguments)...);
  T* const pointer = made.get();
  enlist(std::move(made));
  *out = pointer;
}

/// Throws Status::InvalidArgument for NULL.
inline void require_given(const void* pointer, const char* what) {
  require(pointer != nullptr, Status::InvalidArgument, what, " is NULL");
}

}  // namespace halftone::capi
