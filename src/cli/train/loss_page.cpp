// Curves, legend and numbers of the page; see loss_page.h.
#include "cli/train/loss_page.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "search/report/scale.h"
#include "search/report/sections.h"
#include "search/report/svg.h"
#include "search/report/units.h"

namespace tailor::cli::train_command {

using namespace search::report;

namespace {

constexpr std::string_view begin_mark = "<script type=\"application/json\" id=\"runs\">", end_mark = "</script>";
// Distinct in hue and lightness on white and on black; a seventh run begins anew.
constexpr std::string_view run_style = R"(
:root { --r0: #0b5fa5; --r1: #b0460a; --r2: #2b7a3d; --r3: #8a2d8f; --r4: #8a6d00; --r5: #b3123f; }
@media screen and (prefers-color-scheme: dark) { :root { --r0: #74baf5; --r1: #f2a65e; --r2: #7fd08f; --r3: #dd9be2; --r4: #e0c65a; --r5: #ff8fa8; } }
.learned { fill: none; stroke-width: 1.2; opacity: 0.55; } .held { fill: none; stroke-width: 2.2; }
th svg { display: inline-block; width: 24px; height: 12px; margin-right: 8px; vertical-align: -1px; }
th[scope=row] { min-width: 22ch; } th .small { white-space: normal; max-width: 60ch; }
)";
constexpr std::size_t colours = 6;

std::string colour_style() {
    std::string style(run_style);
    for (std::size_t i = 0; i < colours; ++i) style += core::format(".r{0} {{ stroke: var(--r{0}); }} .d{0} {{ fill: var(--r{0}); }}\n", i);
    return style;
}

core::Json points_json(const std::vector<LossPoint>& points) {
    core::Json list{core::Json::Array{}};
    for (const LossPoint& p : points) list.add(core::Json(core::Json::Array{p.step, p.tokens, p.seconds, p.loss}));
    return list;
}

std::vector<LossPoint> points_of(const core::Json& list) {
    std::vector<LossPoint> points;
    for (const core::Json& item : list.items()) {
        const core::Json::Array& numbers = item.items();
        if (numbers.size() != 4) core::fail(core::ErrorKind::format, "a point of {} numbers", numbers.size());
        points.push_back({numbers[0].integer(), numbers[1].number(), numbers[2].number(), numbers[3].number()});
    }
    return points;
}

struct Axis {
    const char* title;
    const char* name;
    double LossPoint::*value;
    double divisor;
};

// Losses fall fast and then slowly: what is above the loss after a tenth of the first run's points is cut off at the top edge.
double highest(const std::vector<LossRun>& runs) {
    double high = 0;
    for (const LossRun& run : runs)
        for (const std::vector<LossPoint>* const points : {&run.learned, &run.held_out})
            if (!points->empty()) high = std::max(high, (*points)[points->size() / 10].loss);
    return high;
}

double lowest(const std::vector<LossRun>& runs) {
    double low = HUGE_VAL;
    for (const LossRun& run : runs)
        for (const std::vector<LossPoint>* const points : {&run.learned, &run.held_out})
            for (const LossPoint& p : *points) low = std::min(low, p.loss);
    return std::isfinite(low) ? low : 0;
}

constexpr double width = 640, height = 360, left = 52, right = 12, top = 12, bottom = 44;

void draw_axes(Drawing& drawing, const Scale& x, const Scale& y, const Axis& axis) {
    const auto label = [](const std::vector<double>& ticks, double value) { return tick_label(value, ticks.size() > 1 ? ticks[1] - ticks[0] : 1); };
    const std::vector<double> rows = y.ticks(6), columns = x.ticks(6);
    for (const double value : rows) {
        drawing.line(left, y(value), width - right, y(value), "grid");
        drawing.text(left - 8, y(value) + 4, label(rows, value), "tick", Anchor::end);
    }
    for (const double value : columns) drawing.text(x(value), height - bottom + 18, label(columns, value), "tick", Anchor::middle);
    drawing.line(left, height - bottom, width - right, height - bottom, "axis");
    drawing.text((left + width - right) / 2, height - 6, axis.name, "axis-name", Anchor::middle);
}

void draw(Markup& out, const std::vector<LossRun>& runs, const Axis& axis) {
    double far = 0;
    for (const LossRun& run : runs)
        for (const std::vector<LossPoint>* const points : {&run.learned, &run.held_out})
            for (const LossPoint& p : *points) far = std::max(far, p.*axis.value / axis.divisor);
    const Markup::Scope figure = out.open("figure");
    out.element("figcaption", axis.title);
    Drawing drawing(out, width, height, core::format("{}: one thin line per run for the text that is learned, one thick for the text that is held out", axis.title));
    const Scale x = Scale::linear(0, far, left, width - right), y = Scale::linear(lowest(runs), highest(runs), height - bottom, top);
    draw_axes(drawing, x, y, axis);
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const auto places = [&](const std::vector<LossPoint>& points) {
            Places list;
            for (const LossPoint& p : points) list.emplace_back(x(p.*axis.value / axis.divisor), y(p.loss));
            return list;
        };
        const std::string colour = core::format("r{}", i % colours);
        if (runs[i].learned.size() > 1) drawing.path(places(runs[i].learned), "learned " + colour);
        if (runs[i].held_out.size() > 1) drawing.path(places(runs[i].held_out), "held " + colour);
        for (const LossPoint& p : runs[i].held_out)
            drawing.circle(x(p.*axis.value / axis.divisor), y(p.loss), 2.6, core::format("d{}", i % colours),
                           core::format("{}: step {}, held-out loss {:.4f}, perplexity {:.2f}", runs[i].name, p.step, p.loss, std::exp(p.loss)));
    }
}

void write_table(Markup& out, const std::vector<LossRun>& runs) {
    const Markup::Scope scroll = open_scroll(out, "The runs");
    const Markup::Scope table = out.open("table");
    write_table_head(out, {"Run", "Steps", "Tokens", "Time", "Loss", "Held-out loss", "Held-out perplexity"});
    const Markup::Scope body = out.open("tbody");
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const LossRun& run = runs[i];
        const LossPoint end = run.learned.empty() ? LossPoint{} : run.learned.back();
        const Markup::Scope row = out.open("tr");
        {
            const Markup::Scope cell = out.open("th", {{"scope", "row"}});
            Drawing(out, 24, 12, "the colour of the run").line(1, 6, 23, 6, core::format("held r{}", i % colours));
            out.text(run.name);
            out.element("span", run.about, {{"class", "small"}});
        }
        out.element("td", core::format("{}", end.step));
        out.element("td", quantity(end.tokens, Unit::count));
        out.element("td", core::format("{:.1f} min", end.seconds / 60));
        out.element("td", run.learned.empty() ? "–" : core::format("{:.3f}", end.loss));
        out.element("td", run.held_out.empty() ? "–" : core::format("{:.3f}", run.held_out.back().loss));
        out.element("td", run.held_out.empty() ? "–" : core::format("{:.2f}", std::exp(run.held_out.back().loss)));
    }
}

/// "<" could end the element that the numbers stand in.
std::string safe(const std::string& json) {
    std::string text;
    for (const char c : json) text += c == '<' ? std::string("\\u003c") : std::string(1, c);
    return text;
}

}  // namespace

std::string loss_page(const std::vector<LossRun>& runs) {
    Markup out;
    out.raw("<!DOCTYPE html>");
    {
        const Markup::Scope html = out.open("html", {{"lang", "en"}});
        {
            const Markup::Scope head = out.open("head");
            out.leaf("meta", {{"charset", "utf-8"}});
            out.leaf("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
            out.element("title", "Training");
            const Markup::Scope sheet = out.open("style");
            out.raw(style());
            out.raw(colour_style());
        }
        const Markup::Scope body = out.open("body");
        {
            const Markup::Scope main = out.open("main");
            out.element("h1", "The course of the loss");
            out.element("p", "In nats per token: thin for the text that is learned, thick with dots for the text that is held out.", {{"class", "note"}});
            {
                const Markup::Scope figures = out.open("div", {{"class", "figures"}});
                draw(out, runs, {"Loss against tokens", "million tokens learned", &LossPoint::tokens, 1e6});
                draw(out, runs, {"Loss against time", "minutes", &LossPoint::seconds, 60});
            }
            const Markup::Scope section = out.open("section");
            out.element("h2", "Runs");
            write_table(out, runs);
        }
        out.element("footer", "Written by tailor train. This page loads nothing from elsewhere.");
        core::Json list{core::Json::Array{}};
        for (const LossRun& run : runs)
            list.add(core::Json().set("name", run.name).set("about", run.about).set("learned", points_json(run.learned)).set("held_out", points_json(run.held_out)));
        out.raw(begin_mark);
        out.raw(safe(list.text(-1)));
        out.raw(end_mark);
    }
    out.raw("\n");
    return out.html();
}

std::vector<LossRun> runs_of_page(const std::string& html, const std::string& path) {
    const std::size_t begin = html.find(begin_mark), end = html.find(end_mark, begin);
    if (begin == std::string::npos || end == std::string::npos) core::fail(core::ErrorKind::format, "{}: this is no page of tailor train; choose another name", path);
    std::vector<LossRun> runs;
    const std::size_t first = begin + begin_mark.size();
    const core::Json list = core::Json::parse(std::string_view(html).substr(first, end - first), path);
    for (const core::Json& run : list.items())
        runs.push_back({run.at("name").string(), run.at("about").string(), points_of(run.at("learned")), points_of(run.at("held_out"))});
    return runs;
}

}  // namespace tailor::cli::train_command
