// Walks over whole models in tests: an output that keeps what is solved, a model with calibration data, what two walks
// differ in.
#pragma once

#include <map>
#include <optional>

#include "pipeline/run_setup.hpp"
#include "pipeline/run_support.hpp"
#include "support.hpp"

namespace halftone::test {

inline const Context<Cpu> cpu(1);

/// Keeps what a walk solves, and plays blocks that an earlier run finished, and a window of tuning that it kept.
class Kept final : public WalkOutput {
 public:
  /// `window`: index into the windows that `earlier` kept; −1: none.
  explicit Kept(const Format& format, const Kept* earlier = nullptr, Index finished = 0, int window = -1)
      : format_(format), earlier_(earlier), finished_(finished), window_(window) {}

  Index finished_blocks() const override { return finished_; }
  Matrix<float> stored_values(const PlannedMatrix& planned) const override {
    return format_.stored_values(planned.matrix, earlier_->matrices.at(planned.matrix.module));
  }
  void write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport&) override {
    matrices.emplace(planned.matrix.module, solved);
  }
  void block_done(Index) override {}
  void keep_window(std::size_t window, const SolvedMatrices& list) override {
    windows.push_back({window, {}});
    for (const auto& [planned, matrix] : list) windows.back().matrices.emplace(planned->matrix.module, *matrix);
  }
  std::optional<KeptWindow> kept_window() override {
    if (window_ < 0) return std::nullopt;
    return earlier_->windows.at(static_cast<std::size_t>(window_));
  }

  std::map<std::string, QuantizedMatrix> matrices;
  std::vector<KeptWindow> windows;

 private:
  const Format& format_;
  const Kept* earlier_;
  Index finished_;
  int window_;
};

struct Scene {
  explicit Scene(const std::string& name, Recipe wanted = {})
      : Scene(std::make_shared<const Checkpoint>(model_folder(name)), std::move(wanted)) {}
  Scene(std::shared_ptr<const Checkpoint> source, Recipe wanted)
      : checkpoint(std::move(source)), model(*checkpoint), recipe(std::move(wanted)) {
    recipe.calibration.file = write_ids(folder / "ids.safetensors", 6, 24, model.vocabulary());
    ids = read_ids(recipe.calibration.file);
  }

  /// `device` null: the CPU.
  Kept walk(const WalkDevice* device, const Kept* earlier = nullptr, Index finished = 0,
            Reading reading = Reading::Ahead, int window = -1, const ProgressCallback& progress = {}) const {
    const RunPlan plan = plan_over(cpu, model, recipe, ids.rows(), ids.cols(), device);
    Kept output(find_format(plan.format), earlier, finished, window);
    ProgressMeter meter(plan, progress, "");
    walk_model(cpu, model, plan, ids.view(), reading, output, meter, device);
    return output;
  }

  TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  Model model;
  Recipe recipe;
  Matrix<std::int32_t> ids;
};

inline Recipe recipe_of(const std::string& method, OptionMap options = {{"bits", "3"}, {"group_size", "16"}}) {
  Recipe recipe;
  recipe.method = method;
  recipe.options = std::move(options);
  recipe.tune = TuneOptions{.steps = 0};
  return recipe;
}

/// A device of the machine; nothing, and the line of a skip, where there is none.
inline std::unique_ptr<WalkDevice> walk_device(const CudaOptions& options = {}) {
  const CudaDevices found = cuda_devices();
  if (found.problem.empty()) return cuda_walk_device(options);
  std::printf("skipped: no GPU: %s\n", found.problem.c_str());
  return nullptr;
}

inline bool same(const Kept& a, const Kept& b) {
  if (a.matrices.size() != b.matrices.size()) return false;
  for (const auto& [module, matrix] : a.matrices)
    if (!same_codes(matrix, b.matrices.at(module))) return false;
  return true;
}

/// Σ of the matrices' relative errors, and of codes that differ.
struct Apart {
  Apart(const Kept& here, const Kept& there) {
    double a = 0, b = 0;
    for (const auto& [module, matrix] : here.matrices) {
      const QuantizedMatrix& other = there.matrices.at(module);
      a += matrix.report.relative_error;
      b += other.report.relative_error;
      for (Index i = 0; i < matrix.codes.size(); ++i) differing += matrix.codes.data()[i] != other.codes.data()[i];
      codes += matrix.codes.size();
    }
    objective = std::abs(b / a - 1);
  }
  double objective = 0;
  Index differing = 0, codes = 0;
};

}  // namespace halftone::test
