#include <fmt/format.h>

#include <filesystem>

#include "halftone/core/version.hpp"
#include "pipeline/comparison_cells.hpp"
#include "pipeline/page/charts.hpp"
#include "pipeline/page/svg.hpp"

namespace halftone {
namespace {

using page::escape;

/// Eight colours that can be told apart on white and on black (Okabe and Ito's, the yellow and the black of each ground
/// changed), and the looks of everything else.
constexpr std::string_view style = R"(
:root { color-scheme: light dark; --ground: #fff; --ink: #1a1a1a; --faint: #d9d9d9; --pale: #666;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #b58900; --c5: #3aa0d8; --c6: #7a5195; --c7: #555; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #e6e6e6; --faint: #3a3d42; --pale: #9aa0a6;
  --c0: #4aa8e0; --c1: #f28e4b; --c2: #35c99b; --c3: #e5a3c7; --c4: #e0b93c; --c5: #8fd0f5; --c6: #b593d6; --c7: #b0b0b0; } }
body { background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 1040px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .3rem .5rem; text-align: left; border-bottom: 1px solid var(--faint); }
th.number, td.number { text-align: right; }
tr.original td { color: var(--pale); }
.scroll + p.remark { margin-top: 1rem; }
ul.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; }
ul.legend svg { width: 12px; height: 12px; }
p.remark, figcaption { color: var(--pale); margin: .2rem 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0; overflow-x: auto; } figure > svg { width: 100%; min-width: 640px; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg text.small { font-size: 10px; fill: var(--pale); }
.grid { stroke: var(--faint); } .leader { stroke: var(--pale); stroke-width: .8; }
.line { fill: none; stroke-width: 1.6; } .dashed { stroke-dasharray: 5 4; }
.mark { stroke: var(--ground); stroke-width: .8; fill-opacity: .88; } .pale { opacity: .45; }
)";

/// The rules that give each series its colour.
std::string series_style() {
  std::string rules;
  for (int i = 0; i < 8; ++i)
    rules += fmt::format(".mark.c{0}, .bar.c{0} {{ fill: var(--c{0}); }} .line.c{0} {{ stroke: var(--c{0}); }}\n", i);
  return rules;
}

/// The last part of a path.
std::string folder_name(const std::string& path) {
  const std::filesystem::path name = std::filesystem::path(path).lexically_normal();
  return name.has_filename() ? name.filename().string() : name.parent_path().filename().string();
}

std::string table_row(const ComparisonRow& row, std::string_view tag, std::string_view style_of_row) {
  std::string text = style_of_row.empty() ? "<tr>" : fmt::format("<tr class=\"{}\">", style_of_row);
  for (std::size_t i = 0; i < row.size(); ++i)
    text += fmt::format("<{0}{1}>{2}</{0}>", tag, i < first_number ? "" : " class=\"number\"", escape(row[i]));
  return text + "</tr>\n";
}

std::string table_of(const ComparisonReport& report) {
  std::string text =
      "<div class=\"scroll\"><table>\n<thead>" + table_row(comparison_header(), "th", "") + "</thead>\n<tbody>\n";
  const std::vector<ComparisonRow> rows = comparison_rows(report);
  for (std::size_t i = 0; i < rows.size(); ++i) text += table_row(rows[i], "td", i == 0 ? "original" : "");
  return text + "</tbody>\n</table></div>\n";
}

std::string figure(std::string_view heading, std::string_view caption, const std::string& content) {
  return fmt::format("<h2>{}</h2>\n<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n", heading, content, caption);
}

}  // namespace

std::string comparison_page(const ComparisonReport& report) {
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{0}: recipes "
      "compared</title>\n"
      "<style>{1}{2}</style>\n</head>\n<body>\n<h1>{0}: recipes compared</h1>\n",
      escape(folder_name(report.model)), style, series_style());
  text += table_of(report);
  text += "<p class=\"remark\">" + escape(report.model) + "</p>\n";
  for (const std::string& remark : comparison_remarks(report))
    text += "<p class=\"remark\">" + escape(remark) + "</p>\n";
  text +=
      figure("Quality against size",
             "Mean KL(original ‖ quantised), the lower the better, over the bits that a quantised weight takes with "
             "its scales, zeros, outliers and indices.",
             page::quality_chart(report));
  text += figure("Error of every layer",
                 "tr((Q−W) H (Q−W)ᵀ) / tr(W H Wᵀ) over the calibration tokens; dashed: of the plain weights, where "
                 "a recipe has no statistics.",
                 page::legend(report) + page::layer_chart(report));
  text +=
      figure("Time",
             "Full colour: solving the matrices. Pale: the recipe's own forward passes, statistics and factors. The "
             "original's passes, which all share, and the evaluation are left out.",
             page::time_chart(report));
  return text + fmt::format("<p class=\"remark\">halftone {}</p>\n</body>\n</html>\n", library_version());
}

}  // namespace halftone
