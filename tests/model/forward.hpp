// A whole forward pass against the hidden states and logits of a fixture.
#pragma once

#include "halftone/model/stream.hpp"
#include "model/fixture.hpp"

namespace halftone::test {

/// `stream`: at the embedding. Compares it there, after every block, behind the last norm, and its logits with the
/// tensors of `expected`.
inline void check_forward(const Context<Cpu>& context, const Model& model, Stream<float>& stream,
                          const std::filesystem::path& expected, double tolerance) {
  CHECK(distance(stream.hidden(), read_rows(expected, "embed")) < tolerance);
  for (Index block = 0; block < model.blocks(); ++block) {
    stream.enter(model.program(block));
    stream.advance(model.load_block(context, block), model.program(block).size());
    CHECK(distance(stream.hidden(), read_rows(expected, "block." + std::to_string(block))) < tolerance);
  }
  const HeadWeights<> head = model.load_head();
  const Matrix<float> final = model.final_hidden(context, head, stream.hidden());
  CHECK(distance(final, read_rows(expected, "final")) < tolerance);
  Matrix<float> logits(final.rows(), model.vocabulary());
  model.logits(context, head, final, logits);
  CHECK(distance(logits, read_rows(expected, "logits")) < tolerance);
}

}  // namespace halftone::test
