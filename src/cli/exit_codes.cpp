#include "cli/exit_codes.hpp"

namespace halftone::cli {

int exit_code(Status status) noexcept {
  switch (status) {
    case Status::Ok: return 0;
    case Status::InvalidArgument: return 2;
    case Status::ShapeMismatch:
    case Status::InvalidData: return 3;
    case Status::Io: return 4;
    case Status::Unsupported: return 5;
    case Status::NotFound: return 6;
    case Status::Conflict: return 7;
    case Status::OutOfMemory: return 8;
    case Status::Device: return 9;
    case Status::Internal: return 70;
    case Status::Cancelled: return 130;
  }
  return 70;
}

std::string exit_code_help() {
  return "Exit codes:\n"
         "  0    done\n"
         "  2    wrong use: an unknown flag, an option out of bounds\n"
         "  3    bad data: a malformed file, NaN weights, another tokenizer, too little text\n"
         "  4    reading or writing failed: full disk, no permission\n"
         "  5    not supported: architecture, format, a checkpoint that is already quantised\n"
         "  6    not found: a file, tensor, method or format\n"
         "  7    conflict: the output folder is not empty, an unfinished run is in the way or another one\n"
         "  8    out of memory\n"
         "  9    device\n"
         "  70   a bug in halftone\n"
         "  130  stopped by Ctrl-C or SIGTERM; quantize says how to resume";
}

}  // namespace halftone::cli
