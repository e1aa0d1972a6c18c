#include "pipeline/worker.hpp"

#include <system_error>
#include <utility>  // move

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace halftone {

Worker::Worker(std::string_view name, Index most, Trace* trace) : name_(name), most_(most), trace_(trace) {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {  // submit does without
  }
}

Worker::~Worker() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Worker::run() {
#if defined(_OPENMP)
  omp_set_num_threads(1);  // of this thread only: the owner's team has the processors
#endif
  if (trace_ != nullptr) trace_->name_track(name_);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return end_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    std::exception_ptr error = error_;
    lock.unlock();
    try {
      if (!error) task.work();
    } catch (...) {
      error = std::current_exception();
    }
    task.work = nullptr;  // and what it holds, before others get the room
    lock.lock();
    error_ = error;
    held_ -= task.size;
    ++finished_;
    changed_.notify_all();
  }
}

void Worker::rethrow() const {
  if (error_) std::rethrow_exception(error_);
}

template <class Ready>
void Worker::wait_until(std::unique_lock<std::mutex>& lock, Ready&& ready) {
  if (!ready()) {
    const Span span(trace_, "wait");
    changed_.wait(lock, ready);
  }
  rethrow();
}

Index Worker::submit(Index size, std::function<void()> task) {
  std::unique_lock lock(mutex_);
  wait_until(lock, [&] { return error_ || held_ == 0 || held_ + size <= most_; });
  if (!thread_.joinable()) {
    try {
      task();
    } catch (...) {
      error_ = std::current_exception();
      throw;
    }
    ++finished_;
    return given_++;
  }
  waiting_.push_back({size, std::move(task)});
  held_ += size;
  changed_.notify_all();
  return given_++;
}

bool Worker::done(Index number) const {
  const std::lock_guard lock(mutex_);
  rethrow();
  return number < finished_;
}

void Worker::wait(Index number) {
  std::unique_lock lock(mutex_);
  wait_until(lock, [&] { return error_ || number < finished_; });
}

}  // namespace halftone
