// Work for which a backend may have too little memory.
#pragma once

#include "halftone/backend/cpu.hpp"
#include "halftone/core/error.hpp"

namespace halftone::detail {

/// work(); where it finds too little memory, anew as often as make_room() frees some: false where there is nothing
/// left to free, when the error is thrown on.
template <class Work, class MakeRoom>
auto with_room(Work&& work, MakeRoom&& make_room) {
  while (true) {
    try {
      return work();
    } catch (const Error& error) {
      if (error.status() != Status::OutOfMemory || !make_room()) throw;
    }
  }
}

/// Puts another matrix [rows, cols] in the place of `matrix`, which is freed before. False where the backend has no
/// memory for it: `matrix` is empty then.
template <class S, class Backend>
bool allocate_if_room(const Context<Backend>& context, Index rows, Index cols,
                      typename Backend::template Matrix<S>& matrix) {
  matrix = {};
  try {
    matrix = context.template allocate<S>(rows, cols);
  } catch (const Error& error) {
    if (error.status() != Status::OutOfMemory) throw;
    return false;
  }
  return true;
}

}  // namespace halftone::detail
