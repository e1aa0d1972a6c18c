#include "pipeline/page/svg.hpp"

#include <fmt/format.h>

#include <cmath>

#include "text/utf8.hpp"

namespace halftone::page {
namespace {

std::string place(double value) { return fmt::format("{:.1f}", value); }

std::string joined(const std::vector<Point>& points) {
  std::string text;
  for (const Point& point : points) text += (text.empty() ? "" : " ") + place(point.x) + "," + place(point.y);
  return text;
}

std::string_view word_of(Anchor anchor) {
  return anchor == Anchor::Start ? "start" : anchor == Anchor::Middle ? "middle" : "end";
}

std::string with_tip(std::string_view tag, const std::string& attributes, std::string_view tip) {
  return tip.empty() ? fmt::format("<{} {}/>\n", tag, attributes)
                     : fmt::format("<{} {}><title>{}</title></{}>\n", tag, attributes, escape(tip), tag);
}

}  // namespace

std::string escape(std::string_view text) {
  std::string result;
  for (const char c : text::replace_invalid_utf8(text)) switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? std::string("\uFFFD") : std::string(1, c);
    }
  return result;
}

std::string shortened(const std::string& text, std::size_t most) {
  std::size_t characters = 0, cut = 0;
  for (std::size_t at = 0; at < text.size(); at += text::utf8_step(text, at).length) {
    if (++characters == most) cut = at;
    if (characters > most) return text.substr(0, cut) + "…";
  }
  return text;
}

double text_width(std::string_view text) {
  double width = 0;
  for (std::size_t at = 0; at < text.size(); at += text::utf8_step(text, at).length) width += 7;
  return width;
}

void Svg::line(Point a, Point b, std::string_view style) {
  body_ += fmt::format("<line class=\"{}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n", style, place(a.x), place(a.y),
                       place(b.x), place(b.y));
}

void Svg::polyline(const std::vector<Point>& points, std::string_view style) {
  if (points.size() > 1) body_ += fmt::format("<polyline class=\"{}\" points=\"{}\"/>\n", style, joined(points));
}

void Svg::rectangle(const Box& box, std::string_view style, std::string_view tip) {
  const std::string attributes =
      fmt::format("class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", style, place(box.left), place(box.top),
                  place(box.right - box.left), place(box.bottom - box.top));
  body_ += with_tip("rect", attributes, tip);
}

void Svg::mark(Point at, double radius, std::size_t series, std::string_view tip) {
  const std::string style = "class=\"mark " + series_class(series) + "\"";
  const double r = radius * 1.15;
  if (series / 8 % 3 == 0) {
    body_ += with_tip(
        "circle", fmt::format("{} cx=\"{}\" cy=\"{}\" r=\"{}\"", style, place(at.x), place(at.y), place(radius)), tip);
    return;
  }
  const std::vector<Point> diamond = {{at.x, at.y - r}, {at.x + r, at.y}, {at.x, at.y + r}, {at.x - r, at.y}};
  const std::vector<Point> triangle = {{at.x, at.y - r}, {at.x + r, at.y + r}, {at.x - r, at.y + r}};
  body_ += with_tip("polygon", fmt::format("{} points=\"{}\"", style, joined(series / 8 % 3 == 1 ? diamond : triangle)),
                    tip);
}

void Svg::text(Point at, std::string_view text, Anchor anchor, std::string_view style) {
  body_ += fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>\n", style, place(at.x),
                       place(at.y), word_of(anchor), escape(text));
}

void Svg::text_upwards(Point at, std::string_view text, Anchor anchor) {
  body_ += fmt::format("<text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"{}\">{}</text>\n", place(at.x),
                       place(at.y), word_of(anchor), escape(text));
}

std::string Svg::element(std::string_view title) const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {} {}\" aria-label=\"{}\">\n{}</svg>\n",
      place(width_), place(height_), escape(title), body_);
}

std::string series_class(std::size_t series) { return fmt::format("c{}", series % 8); }

Axis::Axis(double low, double high, double from, double to, bool log)
    : low_(low), high_(high), from_(from), to_(to), log_(log) {
  if (log_ ? high_ / low_ < 1.5 : high_ - low_ < 1e-9) {  // one value: room on both sides
    low_ = log_ ? low_ / 2 : low_ - 0.5;
    high_ = log_ ? high_ * 2 : high_ + 0.5;
  }
  log_ ? log_ticks() : linear_ticks();
}

double Axis::at(double value) const {
  const double share = log_ ? std::log(value / low_) / std::log(high_ / low_) : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

/// Multiples of 1, 2 or 5 times a power of ten: at most eight.
void Axis::linear_ticks() {
  double step = std::pow(10, std::floor(std::log10(high_ - low_)) - 1);
  for (const double factor : {2.0, 2.5, 2.0, 2.0, 2.5, 2.0}) {
    if ((high_ - low_) / step <= 8) break;
    step *= factor;
  }
  for (double tick = std::ceil(low_ / step - 1e-9); tick * step <= high_ + 1e-9 * step; ++tick)
    ticks_.push_back(tick * step + 0.0);  // no negative zero
}

/// Powers of ten; where there are few of them, 2 and 5 times as well; within one, as on a linear axis.
void Axis::log_ticks() {
  const double decades = std::log10(high_ / low_);
  if (decades < 1) return linear_ticks();
  for (double power = std::floor(std::log10(low_)); power <= std::log10(high_) + 1e-9; ++power)
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10, power);
      if ((factor == 1 || decades < 3.5) && tick >= low_ * (1 - 1e-9) && tick <= high_ * (1 + 1e-9))
        ticks_.push_back(tick);
    }
}

std::string tick_text(double value) { return fmt::format("{:.4g}", value); }

}  // namespace halftone::page
