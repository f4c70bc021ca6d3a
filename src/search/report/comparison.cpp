// Before and after in figures: every candidate beside the original, and every prediction beside its measurement.
//
// A difference counts as one only beyond two standard errors. Better and worse are told apart by word and sign as well
// as by blue and orange, which look different to every kind of eye and on grey paper.
#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "search/report/metrics.h"
#include "search/report/sections.h"

namespace tailor::search::report {

static bool anyone_has(const Plan& plan, const Metric& m) {
    return std::any_of(plan.candidates.begin(), plan.candidates.end(),
                       [&](const Candidate& c) { return (c.*m.value).value.has_value(); });
}

static void write_difference(Markup& out, const Metric& m, const Measured& before, const Measured& after) {
    const std::string text = change(*before.value, *after.value);
    if (text.empty()) return;
    if (!differs(before, after)) return out.element("span", text + ", no clear difference", {{"class", "small"}});
    const bool better = (*after.value < *before.value) == (m.better == Better::lower);
    out.element("span", text + (better ? ", better" : ", worse"), {{"class", better ? "small better" : "small worse"}});
}

static void write_cell(Markup& out, const Plan& plan, const Metric& m, const Candidate& c) {
    const Markup::Scope cell = out.open("td", {{"class", c.chosen ? "chosen" : ""}});
    const Candidate* const original = plan.original();
    const Measured& value = c.*m.value;
    if (!value.value)
        return out.element("span", m.against_original && &c == original ? "reference" : "–", {{"class", "missing"}});
    out.text(quantity(value, m.unit));
    if (original && original != &c && !m.against_original && (original->*m.value).value)
        write_difference(out, m, original->*m.value, value);
    if (!keeps(plan, m, c)) out.element("span", "✗ over the budget", {{"class", "small worse"}});
}

static void write_metric_row(Markup& out, const Plan& plan, const Metric& m) {
    const Markup::Scope row = out.open("tr");
    {
        const Markup::Scope head = out.open("th", {{"scope", "row"}});
        out.text(m.name);
        if (const Budget* const budget = m.budget ? plan.budget(m.budget) : nullptr)
            out.element("span", "budget " + quantity(*budget->limit, m.unit), {{"class", "small"}});
    }
    for (const Candidate& c : plan.candidates) write_cell(out, plan, m, c);
}

static void write_budget_row(Markup& out, const Plan& plan) {
    const Markup::Scope row = out.open("tr");
    out.element("th", "Meets every budget", {{"scope", "row"}});
    for (const Candidate& c : plan.candidates) {
        const Markup::Scope cell = out.open("td", {{"class", c.chosen ? "chosen" : ""}});
        if (!c.meets_budget) out.element("span", "–", {{"class", "missing"}});
        else out.element("span", *c.meets_budget ? "✓ yes" : "✗ no", {{"class", *c.meets_budget ? "better" : "worse"}});
    }
}

static void write_meanings(Markup& out, const Plan& plan) {
    const Markup::Scope list = out.open("dl", {{"class", "meanings"}});
    const auto entry = [&](const char* name, const char* meaning) {
        const Markup::Scope pair = out.open("div");
        out.element("dt", name);
        out.element("dd", meaning);
    };
    for (const Metric& m : metrics())
        if (anyone_has(plan, m)) entry(m.name, m.meaning);
    entry("± standard error",
          "By about so much a result would differ if it were measured again, on other text or at another time.");
}

void write_comparison(Markup& out, const Plan& plan) {
    const Markup::Scope section = out.open("section");
    out.element("h2", "Before and after");
    if (plan.candidates.empty()) return write_note(out, "The plan holds no candidates.");
    write_note(out,
               "Every candidate, measured on this machine. Percentages are differences from the original; – means not measured.");
    {
        const Markup::Scope wrapper = open_scroll(out, "Before and after");
        const Markup::Scope table = out.open("table", {{"class", "comparison"}});
        {
            const Markup::Scope head = out.open("thead");
            const Markup::Scope row = out.open("tr");
            out.element("td", "");
            for (const Candidate& c : plan.candidates) {
                const Markup::Scope cell = out.open("th", {{"scope", "col"}, {"class", c.chosen ? "chosen" : ""}});
                out.text(c.name.empty() ? "unnamed" : c.name);
                if (c.chosen) out.element("span", "◆ chosen", {{"class", "small"}});
            }
        }
        const Markup::Scope body = out.open("tbody");
        for (const Metric& m : metrics())
            if (anyone_has(plan, m)) write_metric_row(out, plan, m);
        write_budget_row(out, plan);
    }
    write_meanings(out, plan);
}

/// A bar to the left or right of zero; full length is a difference by a quarter.
static void write_deviation(Markup& out, double deviation) {
    constexpr double half_width = 60, full = 0.25;
    const double length = std::clamp(deviation / full, -1.0, 1.0) * half_width;
    const Markup::Scope svg = out.open("svg", {{"class", "deviation"}, {"viewBox", "0 0 124 12"}, {"aria-hidden", "true"}});
    out.leaf("rect", {{"class", "used"}, {"x", core::format("{:.1f}", 62 + std::min(length, 0.0))}, {"y", "2"},
                      {"width", core::format("{:.1f}", std::fabs(length))}, {"height", "8"}});
    out.leaf("line", {{"class", "axis"}, {"x1", "62"}, {"x2", "62"}, {"y1", "0"}, {"y2", "12"}});
}

static void write_prediction(Markup& out, const Metric& m, const Candidate& c, double predicted) {
    const Measured& value = c.*m.value;
    const Markup::Scope row = out.open("tr");
    out.element("th", c.name, {{"scope", "row"}});
    out.element("td", m.name, {{"class", "words"}});
    out.element("td", quantity(predicted, m.unit));
    out.element("td", quantity(value, m.unit));
    out.element("td", predicted == 0 ? "–" : change(predicted, *value.value));
    const Markup::Scope cell = out.open("td");
    if (predicted != 0) write_deviation(out, (*value.value - predicted) / std::fabs(predicted));
}

void write_predictions(Markup& out, const Plan& plan) {
    struct Row { const Metric* metric; const Candidate* candidate; double predicted; };
    std::vector<Row> rows;
    for (const Candidate& c : plan.candidates)
        for (const Metric& m : metrics())
            if (m.predicted && c.predicted.*m.predicted && (c.*m.value).value)
                rows.push_back({&m, &c, *(c.predicted.*m.predicted)});
    if (rows.empty()) return;
    const Markup::Scope section = out.open("section");
    out.element("h2", "Predicted and measured");
    write_note(out,
               "The search works with predictions: sizes are counted, times are sums of the times of the parts, and "
               "divergences come from another text than this page's. The whole model was then measured; a bar to the right means "
               "that more was measured than predicted, its full length a difference by a quarter or more.");
    const Markup::Scope wrapper = open_scroll(out, "Predicted and measured");
    const Markup::Scope table = out.open("table", {{"class", "predictions"}});
    write_table_head(out, {"Candidate", "Quantity", "Predicted", "Measured", "Difference", ""});
    const Markup::Scope body = out.open("tbody");
    for (const Row& row : rows) write_prediction(out, *row.metric, *row.candidate, row.predicted);
}

}  // namespace tailor::search::report
