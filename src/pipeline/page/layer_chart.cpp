#include <fmt/format.h>

#include <algorithm>  // find, max, min
#include <cmath>
#include <map>

#include "pipeline/page/charts.hpp"
#include "pipeline/page/svg.hpp"

namespace halftone::page {
namespace {

constexpr Box frame = {70, 14, 940, 330};
constexpr double gap = 2;  ///< between kinds of layers, in layers

/// "model.layers.12.mlp.up_proj" is layer 12 of the kind "mlp.up_proj". A name without a number is a kind of its own.
struct LayerName {
  std::string kind;
  long block = 0;
};

LayerName split_name(const std::string& module) {
  for (std::size_t dot = module.find('.'); dot != std::string::npos; dot = module.find('.', dot + 1)) {
    const std::size_t end = module.find_first_not_of("0123456789", dot + 1);
    if (end > dot + 1 && end < dot + 9 && end < module.size() && module[end] == '.')
      return {module.substr(end + 1), std::stol(module.substr(dot + 1, end - dot - 1))};
  }
  return {module, 0};
}

/// The kinds in the order in which they occur, each with its first and last block.
struct Kind {
  std::string name;
  long first = 0, last = 0;
  double begins = 0;  ///< place of its first block, counted in layers
};

class Layout {
 public:
  explicit Layout(const ComparisonReport& report) {
    for (const ComparedModel& model : report.recipes)
      for (const LayerReport& layer : model.layers) add(split_name(layer.module));
    double at = 0;
    for (Kind& kind : kinds_) {
      kind.begins = at;
      at += static_cast<double>(kind.last - kind.first + 1) + gap;
    }
    length_ = at - gap;
  }
  const std::vector<Kind>& kinds() const { return kinds_; }
  const Kind& kind(const std::string& name) const { return *find(name); }
  double x(double place) const { return frame.left + 8 + (frame.right - frame.left - 16) * (place + 0.5) / length_; }
  double x(const LayerName& name) const {
    const Kind& kind = *find(name.kind);
    return x(kind.begins + static_cast<double>(name.block - kind.first));
  }

 private:
  void add(const LayerName& name) {
    const auto found = find(name.kind);
    if (found == kinds_.end()) {
      kinds_.push_back({name.kind, name.block, name.block, 0});
      return;
    }
    Kind& kind = kinds_[static_cast<std::size_t>(found - kinds_.begin())];
    kind.first = std::min(kind.first, name.block);
    kind.last = std::max(kind.last, name.block);
  }
  std::vector<Kind>::const_iterator find(const std::string& name) const {
    return std::find_if(kinds_.begin(), kinds_.end(), [&](const Kind& kind) { return kind.name == name; });
  }

  std::vector<Kind> kinds_;
  double length_ = 0;
};

bool has_place(const LayerReport& layer) {
  return std::isfinite(layer.solve.relative_error) && layer.solve.relative_error > 0;
}

Axis error_axis(const ComparisonReport& report) {
  double least = 1e300, most = 0;
  for (const ComparedModel& model : report.recipes)
    for (const LayerReport& layer : model.layers)
      if (has_place(layer)) {
        least = std::min(least, layer.solve.relative_error);
        most = std::max(most, layer.solve.relative_error);
      }
  if (most == 0) least = most = 1;
  return Axis(least / 1.3, most * 1.3, frame.bottom, frame.top, true);
}

void draw_axes(Svg& svg, const Layout& layout, const Axis& errors) {
  for (const double tick : errors.ticks()) {
    svg.line({frame.left, errors.at(tick)}, {frame.right, errors.at(tick)}, "grid");
    svg.text({frame.left - 8, errors.at(tick) + 4}, tick_text(tick), Anchor::End);
  }
  svg.text_upwards({16, (frame.top + frame.bottom) / 2}, "relative error of a layer's outputs");
  for (std::size_t i = 0; i < layout.kinds().size(); ++i) {
    const Kind& kind = layout.kinds()[i];
    const double last = kind.begins + static_cast<double>(kind.last - kind.first);
    if (i > 0) {
      const double between = layout.x(kind.begins - (gap + 1) / 2);
      svg.line({between, frame.top}, {between, frame.bottom}, "grid");
    }
    const std::string name = kind.name.substr(kind.name.rfind('.') + 1);
    svg.text({(layout.x(kind.begins) + layout.x(last)) / 2, frame.bottom + 34}, name, Anchor::Middle);
    svg.text({layout.x(kind.begins), frame.bottom + 16}, std::to_string(kind.first), Anchor::Middle, "small");
    if (kind.last > kind.first)
      svg.text({layout.x(last), frame.bottom + 16}, std::to_string(kind.last), Anchor::Middle, "small");
  }
  svg.text({(frame.left + frame.right) / 2, frame.bottom + 56}, "kind of layer, and in it the transformer block",
           Anchor::Middle);
}

}  // namespace

std::string layer_chart(const ComparisonReport& report) {
  const Layout layout(report);
  const Axis errors = error_axis(report);
  Svg svg(960, 400);
  draw_axes(svg, layout, errors);
  for (std::size_t i = 0; i < report.recipes.size(); ++i) {
    std::map<std::string, std::map<long, const LayerReport*>> lines;  // by kind, then by block
    for (const LayerReport& layer : report.recipes[i].layers)
      if (const LayerName name = split_name(layer.module); has_place(layer)) lines[name.kind][name.block] = &layer;
    for (const auto& [kind, layers] : lines) {
      std::vector<Point> points;
      for (const auto& [block, layer] : layers)
        points.push_back({layout.x(LayerName{kind, block}), errors.at(layer->solve.relative_error)});
      const bool measured = layers.begin()->second->solve.tokens > 0;
      svg.polyline(points, (measured ? "line " : "line dashed ") + series_class(i));
      std::size_t at = 0;
      for (const auto& [block, layer] : layers)
        svg.mark(points[at++], 2.5, i,
                 fmt::format("{}: {} {:.3g}", report.recipes[i].name, layer->module, layer->solve.relative_error));
    }
  }
  return svg.element("relative error of every layer");
}

}  // namespace halftone::page
