// Before and after as a figure: one small panel for each quantity, one line in it for each candidate, with error bars.
//
// Amounts are bars from zero, so that lengths compare; perplexity and agreement differ by per cents and are dots on a cut
// axis, which is then labelled.
#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "search/report/metrics.h"
#include "search/report/scale.h"
#include "search/report/sections.h"
#include "search/report/svg.h"

namespace tailor::search::report {

namespace {

// The view box is about as wide as a telephone's screen has points, so that letters of 13 stay readable there.
constexpr double width = 480, row_height = 26, top = 6, foot = 24, letters = 13, gap = 10;

struct Line {
    const Candidate* candidate;
    double value, error;
    std::string text;
};

struct Panel {
    const Metric* metric;
    std::vector<Line> lines;
    Number limit;
    double left, right;  ///< where bars begin and end

    double row(std::size_t i) const { return top + row_height * (static_cast<double>(i) + 0.5); }
    double bottom() const { return top + row_height * static_cast<double>(lines.size()); }
};

}  // namespace

static Panel make_panel(const Plan& plan, const Metric& m) {
    Panel panel{&m, {}, {}, 0, 0};
    double names = 0, values = 0;
    for (const Candidate& c : plan.candidates) {
        const Measured& measured = c.*m.value;
        if (!measured.value) continue;
        panel.lines.push_back({&c, *measured.value, measured.standard_error.value_or(0), quantity(measured, m.unit)});
        names = std::max(names, text_width(c.name, letters));
        values = std::max(values, text_width(panel.lines.back().text, letters));
    }
    if (const Budget* const budget = m.budget ? plan.budget(m.budget) : nullptr) panel.limit = budget->limit;
    panel.left = std::min(names, width * 0.35) + gap;
    panel.right = width - std::min(values, width * 0.35) - gap;
    return panel;
}

static Scale make_scale(const Panel& panel) {
    double low = panel.lines[0].value, high = low;
    for (const Line& line : panel.lines) {
        low = std::min(low, line.value - line.error);
        high = std::max(high, line.value + line.error);
    }
    if (panel.limit) high = std::max(high, *panel.limit);
    if (panel.metric->mark == Mark::bar) return Scale::linear(0, high > 0 ? high * 1.02 : 1, panel.left, panel.right);
    const double margin = high > low ? (high - low) * 0.1 : std::max(std::fabs(high) * 0.01, 1e-9);
    return Scale::linear(low - margin, high + margin, panel.left, panel.right);
}

static void draw_line(Drawing& drawing, const Panel& panel, const Scale& scale, std::size_t i) {
    const Line& line = panel.lines[i];
    const double y = panel.row(i), x = scale(line.value);
    const std::string chosen = line.candidate->chosen ? " chosen" : "";
    const std::string tooltip = line.candidate->name + ": " + line.text;
    drawing.text(panel.left - gap, y + 4.5, line.candidate->name, "label" + chosen, Anchor::end);
    if (panel.metric->mark == Mark::bar)
        drawing.rectangle({panel.left, y - 8, std::max(x, panel.left + 0.5), y + 8}, "bar" + chosen, tooltip);
    else drawing.circle(x, y, 5, "dot" + chosen, tooltip);
    if (line.error > 0)
        for (const char* const style : {"halo", "whisker"})
            drawing.whisker_horizontal(y, scale(line.value - line.error), scale(line.value + line.error), 4, style);
    drawing.text(width, y + 4.5, line.text, "value" + chosen, Anchor::end);
}

static void draw_foot(Drawing& drawing, const Panel& panel, const Scale& scale) {
    const double y = panel.bottom();
    drawing.line(panel.left, panel.metric->mark == Mark::bar ? top : y, panel.left, y, "axis");
    if (panel.limit && scale.contains(*panel.limit)) {
        const double x = scale(*panel.limit);
        drawing.line(x, top - 2, x, y + 4, "limit");
        drawing.text(x, y + 18, "budget " + quantity(*panel.limit, panel.metric->unit), "limit-text",
                     x > width * 0.7 ? Anchor::end : Anchor::middle);
    }
    if (panel.metric->mark != Mark::dot) return;
    drawing.line(panel.left, y, panel.right, y, "axis");
    const Scaled unit = scaled(scale.high(), panel.metric->unit);
    const std::vector<double> ticks = scale.ticks(5);
    const double step = ticks.size() > 1 ? (ticks[1] - ticks[0]) / unit.divisor : 1;
    for (const double tick : ticks) {
        drawing.line(scale(tick), top, scale(tick), y, "grid");
        const std::string label = tick_label(tick / unit.divisor, step) + (unit.name.empty() ? "" : " " + unit.name);
        drawing.text(scale(tick), y + 16, label, "tick", Anchor::middle);
    }
}

static void write_panel(Markup& out, const Panel& panel) {
    const Scale scale = make_scale(panel);
    const Markup::Scope figure = out.open("figure");
    out.element("figcaption", panel.metric->name);
    std::string description = panel.metric->name;
    for (const Line& line : panel.lines) description += "; " + line.candidate->name + " " + line.text;
    const double below = panel.limit || panel.metric->mark == Mark::dot ? foot : 6;
    Drawing drawing(out, width, panel.bottom() + below, description);
    draw_foot(drawing, panel, scale);
    for (std::size_t i = 0; i < panel.lines.size(); ++i) draw_line(drawing, panel, scale, i);
}

void write_panels(Markup& out, const Plan& plan) {
    std::vector<Panel> panels;
    for (const Metric& m : metrics()) {
        if (m.mark == Mark::none) continue;
        Panel panel = make_panel(plan, m);
        if (panel.lines.size() >= 2) panels.push_back(std::move(panel));
    }
    if (panels.empty()) return;
    const Markup::Scope section = out.open("section");
    out.element("h2", "Side by side");
    write_note(out,
               "The same figures as lengths and places. Thin brackets reach one standard error to each side; a dashed line is a "
               "budget. Bars begin at zero; dots stand on an axis that does not.");
    const Markup::Scope grid = out.open("div", {{"class", "figures"}});
    for (const Panel& panel : panels) write_panel(out, panel);
}

}  // namespace tailor::search::report
