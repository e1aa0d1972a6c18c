// Where a walk works.
#pragma once

#include <concepts>

#include "halftone/backend/cpu.hpp"

namespace halftone {

/// Files, formats and what is small on the host, the rest on a backend.
template <class Backend>
struct WalkContexts {
  const Context<Cpu>& host;
  const Context<Backend>& backend;

  WalkContexts(const Context<Cpu>& host, const Context<Backend>& backend) : host(host), backend(backend) {}
  WalkContexts(const Context<Cpu>& both) requires std::same_as<Backend, Cpu> : host(both), backend(both) {}
};

}  // namespace halftone
