#include "pipeline/page/label_layout.hpp"

#include <algorithm>  // max, min
#include <cmath>

namespace halftone::page {
namespace {

constexpr double line_height = 14;

double common_area(const Box& a, const Box& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

double area(const Box& box) { return (box.right - box.left) * (box.bottom - box.top); }

/// A box of the text's size in the direction (x, y) from the mark, `distance` away from it.
Box box_towards(Point mark, double x, double y, double distance, double width) {
  const Point middle = {mark.x + x * (distance + width / 2), mark.y + y * (distance + line_height / 2)};
  return {middle.x - width / 2, middle.y - line_height / 2, middle.x + width / 2, middle.y + line_height / 2};
}

/// What a box would cover, and how much of it is outside.
double cost(const Box& box, const std::vector<Box>& taken, const Box& frame) {
  double sum = 2 * (area(box) - common_area(box, frame));
  for (const Box& other : taken) sum += common_area(box, other);
  return sum;
}

}  // namespace

std::vector<Label> place_labels(const std::vector<std::string>& texts, const std::vector<Point>& marks, double radius,
                                const Box& frame) {
  constexpr Point directions[] = {{1, 0}, {-1, 0}, {0, -1}, {0, 1}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, -0.9}, {-0.9, 0.9}};
  std::vector<Box> taken;
  for (const Point& mark : marks) taken.push_back({mark.x - radius, mark.y - radius, mark.x + radius, mark.y + radius});
  std::vector<Label> labels;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Label best;
    double least = -1;
    for (const double distance : {radius + 3, radius + 16, radius + 32, radius + 50, radius + 70})
      for (const Point& direction : directions) {
        const Box box = box_towards(marks[i], direction.x, direction.y, distance, text_width(texts[i]));
        const double covered = cost(box, taken, frame);
        if (least >= 0 && covered >= least - 1e-9) continue;
        least = covered;
        const Anchor anchor = direction.x > 0 ? Anchor::Start : direction.x < 0 ? Anchor::End : Anchor::Middle;
        best = {box, anchor, distance > radius + 4};
      }
    taken.push_back(best.box);
    labels.push_back(best);
  }
  return labels;
}

}  // namespace halftone::page
