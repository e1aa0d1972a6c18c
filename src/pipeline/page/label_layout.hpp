// Where the labels of a scatter go, so that they cover neither each other nor the marks.
#pragma once

#include <string>
#include <vector>

#include "pipeline/page/svg.hpp"

namespace halftone::page {

struct Label {
  Box box;                         ///< of the text
  Anchor anchor = Anchor::Middle;  ///< the side of the box that is towards the mark
  bool leader = false;             ///< it stands away from its mark and needs a line to it
};

/// A place inside `frame` for each of `texts`, whose marks of radius `radius` are at `marks`. One after the other takes
/// the nearest place that is free: beside, above or below its mark, then farther away; where all is full, the one that
/// covers least.
std::vector<Label> place_labels(const std::vector<std::string>& texts, const std::vector<Point>& marks, double radius,
                                const Box& frame);

}  // namespace halftone::page
