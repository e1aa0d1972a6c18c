// The page of a comparison: whole in itself, well-formed whatever the names, with the numbers of the table.
#include <cmath>
#include <regex>

#include "pipeline/comparison_cells.hpp"
#include "pipeline/page/label_layout.hpp"
#include "pipeline/page/svg.hpp"
#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;
using page::Axis;
using page::Box;
using page::Point;

namespace {

ComparedModel model_of(const std::string& name, double bits, double kl, double seconds) {
  ComparedModel model;
  model.name = name;
  model.method = "gptq";
  model.format = "compressed-tensors";
  model.bits_per_weight = bits;
  model.bytes = static_cast<Index>(bits * 1'234'567);
  model.evaluation = {.tokens = 99, .nll = 3 + kl, .perplexity = std::exp(3 + kl), .divergence = {}};
  model.evaluation.divergence = Divergence{kl, 7 * kl, 1 - kl};
  model.seconds = seconds;
  model.solve_seconds = seconds / 3;
  for (int block = 0; block < 3; ++block)
    for (const char* kind : {"self_attn.q_proj", "mlp.down_proj"}) {
      LayerReport layer;
      layer.module = concat("model.layers.", block, ".", kind);
      layer.solve.relative_error = kl * (block + 1);
      layer.solve.tokens = block + 1;
      model.layers.push_back(layer);
    }
  return model;
}

ComparisonReport report_of(const std::vector<std::string>& names) {
  ComparisonReport report;
  report.model = "/models/a <b> & \"c\"";
  report.calibration = "text's.jsonl";
  report.original = model_of("original", 16, 0, 0);
  report.original.method = "";
  double step = 1;
  for (const std::string& name : names) {
    report.recipes.push_back(model_of(name, 2.3 + 0.37 * step, 0.2 / step, 1.5 * step));
    ++step;
  }
  report.recipes.front().notes.push_back("a note with <tags>");
  return report;
}

/// Fails unless every tag is closed in its turn, attributes are quoted, and & and < stand for nothing else.
void require_well_formed(const std::string& page) {
  static const std::regex tag(R"re(<(/?)([a-zA-Z0-9]+)((?: [a-zA-Z0-9-]+="[^"<]*")*) ?(/?)>)re");
  static const std::regex entity("&(amp|lt|gt|quot|#39);");
  REQUIRE(page.rfind("<!DOCTYPE html>\n", 0) == 0);
  std::vector<std::string> open;
  for (std::size_t at = page.find('\n'); at < page.size(); ++at) {
    const std::string_view rest = std::string_view(page).substr(at);
    std::match_results<std::string_view::const_iterator> match;
    const auto here = std::regex_constants::match_continuous;
    if (page[at] == '<') {
      INFO(rest.substr(0, 80));
      REQUIRE(std::regex_search(rest.begin(), rest.end(), match, tag, here));
      if (match[1].length() > 0) {
        REQUIRE(!open.empty());
        REQUIRE(open.back() == match[2].str());
        open.pop_back();
      } else if (match[4].length() == 0) {
        open.push_back(match[2].str());
      }
      at += static_cast<std::size_t>(match[0].length()) - 1;
    } else if (page[at] == '&') {
      INFO(rest.substr(0, 20));
      REQUIRE(std::regex_search(rest.begin(), rest.end(), match, entity, here));
    } else {
      REQUIRE((static_cast<unsigned char>(page[at]) >= 0x20 || page[at] == '\n'));
    }
  }
  CHECK(open.empty());
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

bool overlap(const Box& a, const Box& b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

}  // namespace

TEST_CASE("the page is well-formed and escapes what comes from outside") {
  const ComparisonReport report = report_of({"<script>alert(\"1\")</script>", "a & b's", "π ≈ 3",
                                             "broken \xff\xc3 bytes", "tab\tand\x01", "]]>", std::string(300, 'x')});
  const std::string page = comparison_page(report);
  require_well_formed(page);
  CHECK(contains(page, "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
  CHECK(contains(page, "a &amp; b&#39;s"));
  CHECK(contains(page, "π ≈ 3"));
  CHECK(contains(page, "broken \uFFFD\uFFFD bytes"));
  CHECK(contains(page, "tab\uFFFDand\uFFFD"));
  CHECK(contains(page, "a &lt;b&gt; &amp; &quot;c&quot;: recipes compared"));
  CHECK(contains(page, "a note with &lt;tags&gt;"));
  CHECK(contains(page, std::string(300, 'x')));
}

TEST_CASE("the page needs nothing from elsewhere") {
  std::string page = comparison_page(report_of({"a", "b"}));
  const std::regex name_space("xmlns=\"http://www.w3.org/2000/svg\"");
  page = std::regex_replace(page, name_space, "");
  for (const char* word : {"http", "<script", "<img", "<link", "src=", "href", "url(", "@import"})
    CHECK_FALSE(contains(page, word));
  CHECK(contains(page, "prefers-color-scheme: dark"));
}

TEST_CASE("the numbers of the page are the table's") {
  const ComparisonReport report = report_of({"a", "b", "c"});
  const std::string page = comparison_page(report), table = comparison_table(report);
  for (const ComparisonRow& row : comparison_rows(report))
    for (std::size_t i = 0; i < row.size(); ++i) {
      CHECK(contains(table, row[i]));
      const std::string cell = i < first_number ? "<td>" : "<td class=\"number\">";
      CHECK(contains(page, cell + page::escape(row[i]) + "</td>"));
    }
  for (std::size_t i = 0; i < report.recipes.size(); ++i) {
    const ComparisonRow row = comparison_rows(report)[i + 1];
    CHECK(contains(page, "<title>" + row[0] + ": " + row[3] + " bits, KL " + row[7] + "</title>"));
    CHECK(contains(page, ">" + row[10] + " s</text>"));
  }
  for (const std::string& remark : comparison_remarks(report)) {
    CHECK(contains(table, remark));
    CHECK(contains(page, page::escape(remark)));
  }
}

TEST_CASE("what has no logarithm is named or left out, not drawn") {
  ComparisonReport report = report_of({"a", "exact", "nowhere"});
  report.recipes[1].evaluation.divergence->kl = 0;
  report.recipes[1].layers.resize(1);
  report.recipes[1].layers[0].solve.relative_error = 0;
  report.recipes[1].layers[0].module = "head";
  report.recipes[2].evaluation.divergence->kl = std::nan("");
  report.recipes[2].layers.clear();
  report.recipes[2].seconds = 0;
  for (std::size_t recipes = 3; recipes > 0; --recipes) {
    const std::string page = comparison_page(report);
    require_well_formed(page);
    CHECK(contains(page, "exact has a KL of 0: no place on this axis"));
    for (const char* word : {"\"nan\"", "\"-nan\"", "\"inf\"", "\"-inf\"", "nan,", "inf,"})
      CHECK_FALSE(contains(page, word));
    report.recipes.erase(report.recipes.begin());
    if (recipes == 2) break;  // "nowhere" alone says nothing of "exact"
  }
  require_well_formed(comparison_page(report));
}

TEST_CASE("labels of a scatter keep off each other and stay inside") {
  const Box frame{0, 0, 900, 400};
  std::vector<std::string> texts;
  std::vector<Point> marks;
  for (int i = 0; i < 10; ++i) {
    texts.push_back("recipe number " + std::to_string(i));
    marks.push_back({i % 2 == 0 ? 890.0 : 450.0, 200.0 + i});
  }
  const auto labels = page::place_labels(texts, marks, 5, frame);
  REQUIRE(labels.size() == texts.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    CHECK(labels[i].box.left >= frame.left);
    CHECK(labels[i].box.right <= frame.right);
    for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(overlap(labels[i].box, labels[j].box));
    for (const Point& mark : marks)
      CHECK_FALSE(overlap(labels[i].box, {mark.x - 5, mark.y - 5, mark.x + 5, mark.y + 5}));
  }
}

TEST_CASE("axes put numbers in their places and have a few round ticks") {
  for (const bool log : {false, true})
    for (const auto& [low, high] :
         std::vector<std::pair<double, double>>{{0.001, 0.16}, {2.1, 4.6}, {1e-9, 3}, {5, 5}, {0.7, 0.71}, {1, 1000}}) {
      INFO(low << " .. " << high << (log ? ", log" : ""));
      const Axis axis(low, high, 400, 20, log);
      CHECK(axis.at(axis.low()) == Approx(400));
      CHECK(axis.at(axis.high()) == Approx(20));
      CHECK(axis.low() <= low);
      CHECK(axis.high() >= high);
      CHECK(axis.ticks().size() >= 2);
      CHECK(axis.ticks().size() <= 12);
      CHECK(std::is_sorted(axis.ticks().begin(), axis.ticks().end()));
      for (const double tick : axis.ticks()) {
        CHECK(axis.at(tick) <= 400.1);
        CHECK(axis.at(tick) >= 19.9);
      }
    }
  const Axis log(0.01, 1, 0, 100, true);
  CHECK(log.at(0.1) == Approx(50));
  CHECK(page::tick_text(Axis(0, 1, 0, 1, false).ticks().front()) == "0");
}

TEST_CASE("text is shortened by characters, not bytes") {
  CHECK(page::shortened("short", 5) == "short");
  CHECK(page::shortened("longer", 5) == "long…");
  CHECK(page::shortened("ππππππ", 4) == "πππ…");
}
