// The two ends of a vision model: from pixels to tokens, and from an image's tokens to one vector.
#pragma once

#include "halftone/backend/cpu.hpp"
#include "halftone/format/checkpoint.hpp"
#include "halftone/model/config.hpp"

namespace halftone::detail {

/// Throws what require_tensor does, unless the tensors of ImageTensors are there in the config's shapes.
void require_image_tensors(const Checkpoint& checkpoint, const ModelConfig& config);

/// See Model::embed_images.
Matrix<float> embed_images(const Context<Cpu>& context, const TensorSource& tensors, const ModelConfig& config,
                           MatrixView<const float> pixels);

/// The mean of every image's patches, without the class token: hidden [images · tokens, width] -> [images, width].
/// Summed in double, in order. Throws Status::ShapeMismatch unless the rows are whole images.
Matrix<float> mean_of_patches(const Context<Cpu>& context, const ImageConfig& image, MatrixView<const float> hidden);

}  // namespace halftone::detail
