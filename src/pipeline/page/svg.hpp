// A drawing in SVG: shapes as text, and axes that say where a number lies. Shapes get their looks from CSS classes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace halftone::page {

/// Text that may stand between tags and in quoted attributes of HTML and SVG: & < > " ' escaped, bytes that are no
/// UTF-8 and control characters replaced by U+FFFD.
std::string escape(std::string_view text);
/// The first `most` characters, the last of them an ellipsis where some are left out.
std::string shortened(const std::string& text, std::size_t most);
/// About how wide a line of text is, in user units, at a font size of 12.
double text_width(std::string_view text);

struct Point {
  double x = 0, y = 0;
};
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

enum class Anchor { Start, Middle, End };

class Svg {
 public:
  Svg(double width, double height) : width_(width), height_(height) {}

  void line(Point a, Point b, std::string_view style);
  void polyline(const std::vector<Point>& points, std::string_view style);
  void rectangle(const Box& box, std::string_view style, std::string_view tip = {});
  /// A mark of a series: its shape tells series apart that share a colour. `tip` shows when one points at it.
  void mark(Point at, double radius, std::size_t series, std::string_view tip = {});
  void text(Point at, std::string_view text, Anchor anchor = Anchor::Start, std::string_view style = {});
  /// Text that runs upwards.
  void text_upwards(Point at, std::string_view text, Anchor anchor = Anchor::Middle);

  double width() const { return width_; }
  double height() const { return height_; }
  /// The element; `title` says to a screen reader what is seen.
  std::string element(std::string_view title) const;

 private:
  double width_, height_;
  std::string body_;
};

/// The class of a series' colour: there are eight, and then they repeat.
std::string series_class(std::size_t series);

/// Maps numbers to places along an axis.
class Axis {
 public:
  /// `low` .. `high` to `from` .. `to`, with round numbers as ticks. `log`: by logarithm; both must then be positive.
  Axis(double low, double high, double from, double to, bool log);
  double at(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  void linear_ticks();
  void log_ticks();

  double low_, high_, from_, to_;
  bool log_;
  std::vector<double> ticks_;
};

/// A tick's number: "0.001", "2.5".
std::string tick_text(double value);

}  // namespace halftone::page
