// What to do with a model: method, options, exceptions by module name, format, calibration data.
// The command line and a JSON file fill the same struct. docs/command.md shows the JSON.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/solver/outlier_budget.hpp"
#include "halftone/solver/quantizer.hpp"
#include "halftone/text/token_windows.hpp"
#include "halftone/tune/options.hpp"

namespace halftone {

/// An exception for the modules whose names match. The first rule that matches a module decides.
struct LayerRule {
  std::string match;   ///< regular expression (PCRE2), searched anywhere in "model.layers.0.self_attn.q_proj"
  bool keep = false;   ///< leave the matrix as it is; then neither method nor options may be given
  std::string method;  ///< empty: the recipe's
  OptionMap options;   ///< laid over the recipe's; of those, a different method takes what it knows
};

struct Calibration {
  std::filesystem::path file;  ///< .txt, .jsonl or token ids in .safetensors; empty: none (enough for RTN)
  WindowOptions windows;
};

/// Outlier columns from a wanted number of bits per weight: sets the option `outlier_columns` of every matrix.
struct OutlierBudget {
  double target_bits = 0;  ///< over all quantised matrices, 2 .. 16; 0: none, the option is given directly
  BudgetRule rule = BudgetRule::Honest;
  /// By the end of a module's name ("down_proj", "mlp.down_proj"; the longest that fits decides). What is not named has
  /// share 1; under the paper's rule, the ratio of the OWQ code.
  std::map<std::string, double, std::less<>> shares;
};

/// What the large products of the calibration multiply: linear layers of the streams, and the statistics. Sums are
/// float in any case, and so are solvers and tuning.
enum class Compute : std::uint8_t {
  Auto = 0,      ///< BFloat16 where what computes has units for it, the checkpoint's weights are 16-bit and nothing is
                 ///< tuned, else Float
  Float = 1,     ///< numbers as they are
  BFloat16 = 2,  ///< numbers rounded to bfloat16, as the tools in PyTorch compute everything
};
template <>
struct EnumWords<Compute> {
  static constexpr std::string_view values[] = {"auto", "float", "bf16"};
};

struct Recipe {
  std::string method = "gptq";
  OptionMap options;  ///< what is not named takes the method's default
  std::vector<LayerRule> layers;
  std::string format = "auto";  ///< a name of formats(), or "auto": compressed-tensors where it can express the result
  Calibration calibration;
  OutlierBudget budget;
  Compute compute = Compute::Auto;
  /// Fine-tuning across blocks after the solve; steps 0: none. Left open: as much as the method's preset has, which is
  /// Effort::Medium of `best` and none of the others.
  std::optional<TuneOptions> tune;

  TuneOptions tuning() const { return tune.value_or(tuning_of(method == "best" ? Effort::Medium : Effort::Low)); }
};

/// Reads a recipe. Keys that it leaves out keep their value in `base`; options are laid over those of `base`.
/// Throws Status::InvalidData for malformed JSON, unknown keys and wrong types, naming `who` and the path of the key.
Recipe parse_recipe(std::string_view text, std::string_view who, const Recipe& base = {});
/// Reads a recipe from a file. Throws Status::NotFound and what parse_recipe throws.
Recipe load_recipe(const std::filesystem::path& file, const Recipe& base = {});
/// The recipe in canonical form: every key, option values in their own JSON types, sorted.
nlohmann::json recipe_json(const Recipe& recipe);
/// Option values as JSON, typed as the method describes them. Throws Status::NotFound for an unknown method.
nlohmann::json options_json(std::string_view method, const OptionMap& options);

}  // namespace halftone
