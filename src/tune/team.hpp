// A team of one lane: what a kernel of rows runs with where one thread has a row to itself, and loops along it stay
// plain loops that a compiler vectorises. A device's teams (cuda/launch.cuh) have the same verbs.
#pragma once

#include "halftone/core/platform.hpp"

namespace halftone::tune {

class OneLane {
 public:
  static constexpr int size = 1;

  template <class S, int Slots = 1>
  struct Lanes {
    S value[Slots];
    HALFTONE_HOST_DEVICE S& operator()(int slot, int) { return value[slot]; }
    HALFTONE_HOST_DEVICE const S& operator()(int slot, int) const { return value[slot]; }
  };

  template <class Body>
  HALFTONE_HOST_DEVICE void each_lane(Body&& body) const {
    body(0);
  }
  template <class S, int Slots, class Combine>
  HALFTONE_HOST_DEVICE S fold(const Lanes<S, Slots>& lanes, int slot, Combine&&) const {
    return lanes.value[slot];
  }
};

}  // namespace halftone::tune
