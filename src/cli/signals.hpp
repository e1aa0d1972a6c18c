// Ctrl-C and SIGTERM: the first asks the work to stop at the next good place, the second ends the process at once.
#pragma once

namespace halftone::cli {

/// Installs the handlers; also makes a file that grows past its limit an error instead of a signal.
void install_signal_handlers() noexcept;
/// True once a signal has asked to stop.
bool stop_requested() noexcept;

}  // namespace halftone::cli
