// Shapes that the gradients of a transformer's primitives refuse, on every backend.
#pragma once

#include <catch2/catch.hpp>
#include <functional>

#include "halftone/backend/nn_backward.hpp"

namespace halftone::test {

/// x [4, 12], narrow [4, 11], table of one pair of channels and four positions: in the backend's memory.
template <class Backend>
void check_refusals(const Context<Backend>& context, typename Backend::template Matrix<float>& x,
                    typename Backend::template Matrix<float>& narrow, const RotaryTable<float, Backend>& table) {
  const auto refuses = [](const std::function<void()>& action, const char* words) {
    CHECK_THROWS_WITH(action(), Catch::Contains(words));
  };
  refuses([&] { rms_norm_backward<float>(context, x, x.data(), 1, 1e-5, narrow, {x}); },
          "rms_norm_backward: got 4 x 12 and 4 x 11");
  refuses([&] { layer_norm_backward<float>(context, x, x.data(), 5, 1e-5, x, {x}); }, "wanted 5 equal parts");
  refuses([&] { gate_backward<float>(context, Activation::Silu, x, x, x, {x}, {narrow}); }, "gate_backward: got");
  refuses([&] { activate_backward<float>(context, Activation::Relu, x, x, {narrow}); }, "activate_backward: got");
  refuses([&] { add_backward<float>(context, x, {narrow}); }, "add_backward: got");
  refuses([&] { squared_error<float>(context, x, narrow, {}, 1, x); }, "squared_error: got");
  refuses([&] { rotary_backward<float>(context, x, table, 1, 3, {x}); }, "whole windows of 3");
}

}  // namespace halftone::test
