#include "model/rope_config.hpp"

#include <cmath>
#include <numbers>

#include "halftone/model/config.hpp"

namespace halftone {
namespace {

using detail::ConfigReader;

constexpr double largest_theta = 1e12, largest_factor = 1e6, largest_length = 1e12;

/// `rope_type`, or `type` as older files call it; empty where neither is there.
std::string rule_name(const ConfigReader& reader) {
  const std::string name = reader.text("rope_type"), older = reader.text("type");
  reader.check(name.empty() || older.empty() || name == older, "type", concat("'", name, "' as 'rope_type' says"));
  return name.empty() ? older : name;
}

/// The rule and its numbers, from `rope_parameters` or the older `rope_scaling`.
void read_rule(const ConfigReader& reader, Index positions, RopeConfig& rope) {
  const std::string name = rule_name(reader);
  if (name.empty() || name == "default") return;
  reader.check(name == "linear" || name == "llama3", reader.has("rope_type") ? "rope_type" : "type",
               "one of default, linear, llama3", Status::Unsupported);
  rope.factor = reader.real("factor", 1, largest_factor);
  rope.rule = RopeRule::Linear;
  if (name == "linear") return;
  rope.rule = RopeRule::Llama3;
  rope.low_frequency_factor = reader.real("low_freq_factor", 1e-6, largest_factor);
  rope.high_frequency_factor = reader.real("high_freq_factor", 1e-6, largest_factor);
  reader.check(rope.high_frequency_factor > rope.low_frequency_factor, "high_freq_factor", "more than low_freq_factor");
  rope.original_positions = reader.real("original_max_position_embeddings", 1, largest_length,
                                        positions > 0 ? std::optional(static_cast<double>(positions)) : std::nullopt);
}

}  // namespace

RopeConfig detail::read_rope_config(const ConfigReader& reader, Index positions) {
  RopeConfig rope;
  const auto today = reader.object("rope_parameters"), older = reader.object("rope_scaling");
  const double theta = reader.real("rope_theta", 1, largest_theta, rope.theta);
  rope.theta = today ? today->real("rope_theta", 1, largest_theta, theta) : theta;
  reader.check(!reader.has("rope_theta") || theta == rope.theta, "rope_theta",
               concat(rope.theta, " as 'rope_parameters' says"));
  const double share = reader.real("partial_rotary_factor", 0.001, 1, rope.rotated_share);
  rope.rotated_share = today ? today->real("partial_rotary_factor", 0.001, 1, share) : share;
  if (today && older) {
    const std::string rule = rule_name(*today), other = rule_name(*older);
    reader.check(other == rule || other.empty(), "rope_scaling", concat("'", rule, "' as 'rope_parameters' says"));
  }
  if (today || older) read_rule(today ? *today : *older, positions, rope);
  return rope;
}

std::vector<double> rotary_frequencies(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  const Index pairs = static_cast<Index>(static_cast<double>(config.head_dim) * rope.rotated_share) / 2;
  if (config.reads_images()) {  // timm: as many for the rows as for the columns
    const Index half = pairs / 2;
    std::vector<double> frequencies(static_cast<std::size_t>(2 * half));
    for (Index i = 0; i < 2 * half; ++i)
      frequencies[static_cast<std::size_t>(i)] =
          std::pow(rope.theta, -static_cast<double>(i % half) / static_cast<double>(half));
    return frequencies;
  }
  std::vector<double> frequencies(static_cast<std::size_t>(pairs));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    double& f = frequencies[i];
    f = std::pow(rope.theta, -static_cast<double>(i) / static_cast<double>(pairs));
    if (rope.rule == RopeRule::Linear) f /= rope.factor;
    if (rope.rule != RopeRule::Llama3) continue;
    const double turns = rope.original_positions * f / (2 * std::numbers::pi);  // over the original context
    const double keep = (turns - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
    f *= keep >= 1 ? 1 : keep <= 0 ? 1 / rope.factor : keep + (1 - keep) / rope.factor;
  }
  return frequencies;
}

}  // namespace halftone
