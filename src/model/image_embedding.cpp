#include "model/image_embedding.hpp"

#include <algorithm>  // copy_n
#include <cmath>      // isfinite
#include <string>
#include <vector>

#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/nn.hpp"
#include "halftone/core/parallel.hpp"
#include "model/tensor_check.hpp"

namespace halftone::detail {
namespace {

/// [images · patches, channels · patch²]: a patch as the convolution's weight sees it, channel by channel, row by row.
Matrix<float> patches_of(const Context<Cpu>& context, const ImageConfig& image, MatrixView<const float> pixels) {
  const Index side = image.patch, cells = image.rows() * image.cols();
  Matrix<float> patches(checked_product(pixels.rows, cells), image.channels * side * side);
  parallel_pieces(context.threads(), patches.rows(), 64, [&](Index first, Index last) {
    for (Index patch = first; patch < last; ++patch) {
      const Index cell = patch % cells, top = cell / image.cols() * side, left = cell % image.cols() * side;
      float* out = patches.row(patch);
      for (Index channel = 0; channel < image.channels; ++channel)
        for (Index y = top; y < top + side; ++y)
          out = std::copy_n(pixels.row(patch / cells) + (channel * image.height + y) * image.width + left, side, out);
    }
  });
  return patches;
}

void require_pixels(const ImageConfig& image, MatrixView<const float> pixels) {
  const Index wanted = image.channels * image.height * image.width;
  require(pixels.rows > 0 && pixels.cols == wanted, Status::ShapeMismatch, "images: got ", pixels.rows, " of ",
          pixels.cols, " numbers, wanted 1 or more of ", image.channels, " x ", image.height, " x ", image.width);
  for (Index i = 0; i < pixels.rows; ++i)
    for (Index j = 0; j < pixels.cols; ++j)
      require(std::isfinite(pixels(i, j)), Status::InvalidData, "images: image ", i, ", number ", j, " is ",
              pixels(i, j), ", wanted finite numbers");
}

}  // namespace

void require_image_tensors(const Checkpoint& checkpoint, const ModelConfig& config) {
  const ImageTensors& names = config.architecture->image;
  const ImageConfig& image = config.image;
  const std::string patches(names.patches);
  require_tensor(checkpoint, patches + ".weight", {config.hidden, image.channels, image.patch, image.patch});
  require_tensor(checkpoint, patches + ".bias", {config.hidden});
  require_tensor(checkpoint, std::string(names.class_token), {1, 1, config.hidden});
  require_tensor(checkpoint, std::string(names.positions), {1, image.tokens(), config.hidden});
}

Matrix<float> embed_images(const Context<Cpu>& context, const TensorSource& tensors, const ModelConfig& config,
                           MatrixView<const float> pixels) {
  const ImageTensors& names = config.architecture->image;
  const ImageConfig& image = config.image;
  require_pixels(image, pixels);
  const Matrix<float> patches = patches_of(context, image, pixels);
  const std::string module(names.patches);
  const Matrix<float> W = tensors.reshaped(module + ".weight", patches.cols());
  const Matrix<float> bias = tensors.reshaped(module + ".bias", config.hidden);
  const Matrix<float> class_token = tensors.reshaped(names.class_token, config.hidden);
  const Matrix<float> positions = tensors.reshaped(names.positions, config.hidden);
  for (const std::string_view name : {names.class_token, names.positions}) tensors.release(name);
  tensors.release_module(module);

  const Index tokens = image.tokens(), cells = tokens - 1;
  Matrix<float> hidden(pixels.rows * tokens, config.hidden);
  for (Index i = 0; i < pixels.rows; ++i) {
    const auto window = hidden.view().middle_rows(i * tokens, tokens), behind = window.middle_rows(1, cells);
    std::copy_n(class_token.row(0), config.hidden, window.row(0));
    gemm<float>(context, Transpose::No, Transpose::Yes, 1.0f, patches.view().middle_rows(i * cells, cells), W.view(),
                0.0f, behind);
    add_bias<float>(context, bias.data(), behind);
    add<float>(context, window, positions.view(), window);
  }
  return hidden;
}

Matrix<float> mean_of_patches(const Context<Cpu>& context, const ImageConfig& image, MatrixView<const float> hidden) {
  const Index tokens = image.tokens();
  require(hidden.rows % tokens == 0, Status::ShapeMismatch, "images: got ", hidden.rows,
          " tokens, wanted whole images of ", tokens);
  Matrix<float> means(hidden.rows / tokens, hidden.cols);
  parallel_for(context.threads(), means.rows(), [&](Index i) {
    std::vector<double> sums(static_cast<std::size_t>(hidden.cols), 0.0);
    for (Index token = 1; token < tokens; ++token)
      for (Index j = 0; j < hidden.cols; ++j)
        sums[static_cast<std::size_t>(j)] += static_cast<double>(hidden(i * tokens + token, j));
    for (Index j = 0; j < hidden.cols; ++j)
      means(i, j) = static_cast<float>(sums[static_cast<std::size_t>(j)] / static_cast<double>(tokens - 1));
  });
  return means;
}

}  // namespace halftone::detail
