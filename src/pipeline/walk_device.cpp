#include "pipeline/walk_device.hpp"

namespace halftone {

std::unique_ptr<WalkDevice> open_walk_device(const ComputeDevice& device) {
  require(device.memory_limit >= 0, Status::InvalidArgument, "device: the limit of its memory is ", device.memory_limit,
          ", wanted 0 (none) or more");
  if (!device.cuda) return nullptr;
  return cuda_walk_device({.device = device.ordinal, .memory_limit = device.memory_limit});
}

}  // namespace halftone
