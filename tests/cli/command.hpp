// Runs the built command as a user does: arguments in; exit code, stdout and stderr out.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/run_support.hpp"

namespace halftone::test {

struct CommandResult {
  int code = -1;   ///< exit code; -1: ended by a signal
  int signal = 0;  ///< that signal
  std::string out, err;

  nlohmann::json json() const { return nlohmann::json::parse(out); }
};

/// A process that runs the command; stdout and stderr go to files.
class RunningCommand {
 public:
  /// `before_exec` runs in the child.
  explicit RunningCommand(const std::vector<std::string>& arguments, const std::function<void()>& before_exec = {}) {
    std::vector<char*> words{const_cast<char*>(HALFTONE_COMMAND)};
    for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    const std::string out = (folder_ / "out").string(), err = (folder_ / "err").string();
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ > 0) return;
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    if (before_exec) before_exec();
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  ~RunningCommand() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }

  void send(int signal) const { ::kill(child_, signal); }
  bool running() {
    if (child_ > 0 && ::waitpid(child_, &status_, WNOHANG) == child_) child_ = -1;
    return child_ > 0;
  }
  CommandResult wait() {
    if (child_ > 0) ::waitpid(child_, &status_, 0);
    child_ = -1;
    CommandResult result;
    if (WIFEXITED(status_)) result.code = WEXITSTATUS(status_);
    if (WIFSIGNALED(status_)) result.signal = WTERMSIG(status_);
    result.out = slurp(folder_ / "out");
    result.err = slurp(folder_ / "err");
    return result;
  }

 private:
  TemporaryFolder folder_;
  pid_t child_ = -1;
  int status_ = 0;
};

inline CommandResult halftone_command(const std::vector<std::string>& arguments,
                                      const std::function<void()>& before_exec = {}) {
  return RunningCommand(arguments, before_exec).wait();
}

inline std::string novella() { return std::string(HALFTONE_MODELS) + "/novella"; }
inline std::string novella_ids(const char* which) { return std::string(HALFTONE_DATA) + "/" + which; }

}  // namespace halftone::test
