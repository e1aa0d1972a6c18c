#include <algorithm>  // max, min

#include "pipeline/comparison_cells.hpp"
#include "pipeline/page/charts.hpp"
#include "pipeline/page/svg.hpp"

namespace halftone::page {
namespace {

constexpr double left = 260, right = 880, row = 26, top = 8;
constexpr std::size_t longest_name = 36;

}  // namespace

std::string time_chart(const ComparisonReport& report) {
  double most = 0;
  for (const ComparedModel& model : report.recipes) most = std::max(most, model.seconds);
  if (most <= 0) most = 1;
  const Axis axis(0, most, left, right, false);
  const double bottom = top + row * static_cast<double>(report.recipes.size());
  Svg svg(960, bottom + 46);
  for (const double tick : axis.ticks()) {
    svg.line({axis.at(tick), top}, {axis.at(tick), bottom}, "grid");
    svg.text({axis.at(tick), bottom + 18}, tick_text(tick), Anchor::Middle);
  }
  svg.text({(left + right) / 2, bottom + 38}, "seconds", Anchor::Middle);
  for (std::size_t i = 0; i < report.recipes.size(); ++i) {
    const ComparedModel& model = report.recipes[i];
    const double y = top + row * static_cast<double>(i), solve = std::min(model.solve_seconds, model.seconds);
    svg.text({left - 10, y + 17}, shortened(model.name, longest_name), Anchor::End);
    svg.rectangle({left, y + 4, axis.at(solve), y + row - 4}, "bar " + series_class(i),
                  model.name + ": solving " + seconds_text(solve) + " s");
    svg.rectangle({axis.at(solve), y + 4, axis.at(model.seconds), y + row - 4}, "bar pale " + series_class(i),
                  model.name + ": forward passes and statistics " + seconds_text(model.seconds - solve) + " s");
    svg.text({axis.at(model.seconds) + 8, y + 17}, seconds_text(model.seconds) + " s", Anchor::Start);
  }
  return svg.element("seconds of each recipe");
}

std::string legend(const ComparisonReport& report) {
  std::string items;
  for (std::size_t i = 0; i < report.recipes.size(); ++i) {
    Svg svg(12, 12);
    svg.mark({6, 6}, 4.5, i);
    items += "<li>" + svg.element("mark") + " " + escape(report.recipes[i].name) + "</li>\n";
  }
  return "<ul class=\"legend\">\n" + items + "</ul>\n";
}

}  // namespace halftone::page
