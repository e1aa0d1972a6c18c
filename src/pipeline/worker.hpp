// A thread that does what it is given, in order, while its owner goes on: what a walk reads ahead and writes behind.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "halftone/pipeline/trace.hpp"

namespace halftone {

/// Owned by one thread. Tasks run one after the other, each on one thread alone: no team of OpenMP's begins in them.
class Worker {
 public:
  /// `most`: of the sizes of tasks that wait or are being done. `name`: of the thread's track in `trace`, which may be
  /// null or must outlive the worker. Where the system has no thread to give, tasks are done when they are handed over.
  Worker(std::string_view name, Index most, Trace* trace);
  /// Does what was handed over, then ends. What that throws is lost: wait() first.
  ~Worker();
  Worker(const Worker&) = delete;

  /// Hands a task over, once those before it leave room for it or are done. Returns its number, from 0 on.
  Index submit(Index size, std::function<void()> task);
  /// True if the task of this number, and with it every one before, is done.
  bool done(Index number) const;
  /// Waits for that.
  void wait(Index number);
  // Once a task has thrown, the others are passed over, and each of these three throws what it threw.

 private:
  struct Task {
    Index size = 0;
    std::function<void()> work;
  };
  void run();
  void rethrow() const;
  template <class Ready>
  void wait_until(std::unique_lock<std::mutex>& lock, Ready&& ready);

  const std::string name_;
  const Index most_;
  Trace* const trace_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Task> waiting_;
  Index held_ = 0;                  ///< sizes of tasks that are not done
  Index given_ = 0, finished_ = 0;  ///< how many
  bool end_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace halftone
