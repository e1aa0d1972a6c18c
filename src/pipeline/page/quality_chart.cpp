#include <algorithm>  // max, min
#include <cmath>

#include "pipeline/comparison_cells.hpp"
#include "pipeline/page/charts.hpp"
#include "pipeline/page/label_layout.hpp"

namespace halftone::page {
namespace {

constexpr Box frame = {70, 14, 940, 400};
constexpr double radius = 5;
constexpr std::size_t longest_label = 34;

double kl_of(const ComparedModel& model) { return model.evaluation.divergence->kl; }
bool has_place(const ComparedModel& model) { return std::isfinite(kl_of(model)) && kl_of(model) > 0; }

struct Axes {
  Axis bits, kl;
};

/// Axes that hold all points, with some room around them.
Axes axes_of(const std::vector<const ComparedModel*>& models) {
  double least_bits = 1e9, most_bits = 0, least_kl = 1e300, most_kl = 0;
  for (const ComparedModel* model : models) {
    least_bits = std::min(least_bits, model->bits_per_weight);
    most_bits = std::max(most_bits, model->bits_per_weight);
    least_kl = std::min(least_kl, kl_of(*model));
    most_kl = std::max(most_kl, kl_of(*model));
  }
  const double room = std::max(0.1, 0.08 * (most_bits - least_bits));
  return {Axis(std::max(0.0, least_bits - room), most_bits + room, frame.left, frame.right, false),
          Axis(least_kl / 1.5, most_kl * 1.5, frame.bottom, frame.top, true)};
}

void draw_axes(Svg& svg, const Axes& axes) {
  for (const double tick : axes.kl.ticks()) {
    const double y = axes.kl.at(tick);
    svg.line({frame.left, y}, {frame.right, y}, "grid");
    svg.text({frame.left - 8, y + 4}, tick_text(tick), Anchor::End);
  }
  for (const double tick : axes.bits.ticks()) {
    const double x = axes.bits.at(tick);
    svg.line({x, frame.top}, {x, frame.bottom}, "grid");
    svg.text({x, frame.bottom + 18}, tick_text(tick), Anchor::Middle);
  }
  svg.text({(frame.left + frame.right) / 2, frame.bottom + 40}, "bits per weight, everything stored", Anchor::Middle);
  svg.text_upwards({16, (frame.top + frame.bottom) / 2}, "KL, nats a token");
}

/// Where the label's text is anchored, on its base line.
Point anchor_of(const Label& label) {
  const double y = label.box.bottom - 3;
  if (label.anchor == Anchor::Start) return {label.box.left, y};
  if (label.anchor == Anchor::End) return {label.box.right, y};
  return {(label.box.left + label.box.right) / 2, y};
}

/// The end of a leader line: the point of the box that is nearest to the mark.
Point nearest(const Box& box, Point mark) {
  return {std::clamp(mark.x, box.left, box.right), std::clamp(mark.y, box.top + 3, box.bottom - 3)};
}

}  // namespace

std::string quality_chart(const ComparisonReport& report) {
  std::vector<const ComparedModel*> models;
  std::vector<std::size_t> series;
  std::string missing;
  for (std::size_t i = 0; i < report.recipes.size(); ++i) {
    const ComparedModel& model = report.recipes[i];
    if (has_place(model)) {
      models.push_back(&model);
      series.push_back(i);
    } else {
      missing +=
          "<p>" + escape(model.name) + " has a KL of " + kl_text(kl_of(model)) + ": no place on this axis.</p>\n";
    }
  }
  if (models.empty()) return missing;
  const Axes axes = axes_of(models);
  Svg svg(960, 450);
  draw_axes(svg, axes);
  std::vector<Point> marks;
  std::vector<std::string> texts;
  for (const ComparedModel* model : models) {
    marks.push_back({axes.bits.at(model->bits_per_weight), axes.kl.at(kl_of(*model))});
    texts.push_back(shortened(model->name, longest_label));
  }
  const std::vector<Label> labels = place_labels(texts, marks, radius, frame);
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (labels[i].leader) svg.line(marks[i], nearest(labels[i].box, marks[i]), "leader");
    svg.text(anchor_of(labels[i]), texts[i], labels[i].anchor);
  }
  for (std::size_t i = 0; i < models.size(); ++i)
    svg.mark(
        marks[i], radius, series[i],
        models[i]->name + ": " + bits_text(models[i]->bits_per_weight) + " bits, KL " + kl_text(kl_of(*models[i])));
  return svg.element("KL against bits per weight") + missing;
}

}  // namespace halftone::page
