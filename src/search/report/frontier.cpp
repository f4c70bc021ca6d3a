// The frontier: the least divergence that the search can promise for each size, and for each time per token.
//
// Divergences spread over several powers of ten, so that axis is logarithmic. A frontier goes on down to the original,
// whose divergence is zero; the charts stop soon below the best uniform format and the answer, where the choice is made.
#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "search/report/metrics.h"
#include "search/report/scale.h"
#include "search/report/sections.h"
#include "search/report/svg.h"

namespace tailor::search::report {

namespace {

constexpr double width = 520, height = 380, letters = 13;
constexpr Box plot{66, 16, width - 14, height - 50};
// How far below the least mark of interest the frontier is followed; and how far when there is no such mark.
constexpr double follow = 8, follow_alone = 1e4;

/// One of the two charts: which number of a point, a candidate and its prediction stands on the horizontal axis.
struct Axis {
    const char* title;
    const char* name;
    const char* budget;
    Unit unit;
    Number Point::*of_point;
    Measured Candidate::*of_candidate;
    Number Predicted::*of_prediction;
    const std::vector<Point> Plan::*frontier;
};

const Axis axes[] = {
    {"Size against divergence", "file size", "size", Unit::bytes, &Point::file_bytes, &Candidate::file_bytes,
     &Predicted::file_bytes, &Plan::size_frontier},
    {"Time per token against divergence", "time per token", "decode", Unit::nanoseconds, &Point::decode_ns, &Candidate::decode_ns,
     &Predicted::decode_ns, &Plan::decode_frontier},
};

struct Spot {
    double x, kl;
    double x_error = 0, kl_error = 0;
    std::string name;
    bool measured = true;
};

/// What one chart shows, in the order in which it is drawn.
struct Chart {
    const Axis* axis;
    std::vector<Spot> frontier, uniform;
    std::optional<Spot> predicted, measured;
    Number limit, noise;
    double least = 0;  ///< divergence at which the frontier is cut; 0 when nothing has one
    bool empty() const { return frontier.empty() && uniform.empty(); }
};

}  // namespace

template <class Visit>
static void each_mark(const Chart& chart, const Visit& visit) {
    for (const Spot& m : chart.frontier) visit(m);
    for (const Spot& m : chart.uniform) visit(m);
    if (chart.predicted) visit(*chart.predicted);
    if (chart.measured) visit(*chart.measured);
}

/// Cuts the frontier where it becomes too good to matter, keeping one place below so that the line reaches the edge.
static void cut(Chart& chart) {
    double least = INFINITY, most = 0;
    each_mark(chart, [&](const Spot& m) { most = std::max(most, m.kl); });
    for (const Spot& m : chart.uniform) least = std::min(least, m.kl);
    for (const auto& m : {chart.predicted, chart.measured})
        if (m) least = std::min(least, m->kl);
    chart.least = least < INFINITY ? least / follow : most / follow_alone;
    const auto below =
        std::find_if(chart.frontier.begin(), chart.frontier.end(), [&](const Spot& m) { return m.kl < chart.least; });
    if (below != chart.frontier.end()) chart.frontier.erase(below + 1, chart.frontier.end());
}

static Chart gather(const Plan& plan, const Axis& axis) {
    Chart chart{&axis, {}, {}, {}, {}, {}, {}};
    for (const Point& p : plan.*axis.frontier)
        if (p.*axis.of_point && p.kl) chart.frontier.push_back({*(p.*axis.of_point), *p.kl});
    std::sort(chart.frontier.begin(), chart.frontier.end(), [](const Spot& a, const Spot& b) { return a.x < b.x; });
    for (const Point& p : plan.uniform)
        if (p.*axis.of_point && p.kl && *p.kl > 0)
            chart.uniform.push_back({*(p.*axis.of_point), *p.kl, 0, 0, p.format, p.measured});
    if (const Candidate* const c = plan.chosen()) {
        const Measured& x = c->*axis.of_candidate;
        if (x.value && c->kl_mean.value && *c->kl_mean.value > 0)
            chart.measured =
                Spot{*x.value, *c->kl_mean.value, x.standard_error.value_or(0), c->kl_mean.standard_error.value_or(0), c->name};
        if (const Number px = c->predicted.*axis.of_prediction; px && c->predicted.kl && *c->predicted.kl > 0)
            chart.predicted = Spot{*px, *c->predicted.kl, 0, 0, c->name};
    }
    if (const Budget* const budget = plan.budget(axis.budget)) chart.limit = budget->limit;
    chart.noise = plan.noise_floor_kl;
    cut(chart);
    return chart;
}

static Scale horizontal(const Chart& chart) {
    double low = INFINITY, high = -INFINITY;
    const auto include = [&](double x) { low = std::min(low, x), high = std::max(high, x); };
    each_mark(chart, [&](const Spot& m) { include(m.x); });
    if (chart.limit) include(*chart.limit);
    const double margin = (high - low) * 0.05;
    return Scale::linear(low - margin, high + margin, plot.left, plot.right);
}

static Scale vertical(const Chart& chart) {
    double low = INFINITY, high = 0;
    each_mark(chart, [&](const Spot& m) {
        if (m.kl > 0) low = std::min(low, std::max(m.kl, chart.least)), high = std::max(high, m.kl);
    });
    if (!(high > 0)) low = 1e-3, high = 1;
    // The noise floor is worth a longer axis, but not one on which it alone has room.
    if (chart.noise && *chart.noise > low / 5) low = std::min(low, *chart.noise);
    return Scale::logarithmic(low / 1.2, high * 1.6, plot.bottom, plot.top);
}

static std::string tooltip(const Chart& chart, const Spot& mark, const std::string& name) {
    return name + ": " + quantity(mark.x, chart.axis->unit) + ", divergence " +
           quantity(Measured{mark.kl, mark.kl_error}, Unit::nats);
}

static void draw_axes(Drawing& drawing, const Chart& chart, const Scale& x, const Scale& y) {
    const Scaled unit = scaled(x.high(), chart.axis->unit);
    const std::vector<double> ticks = x.ticks(7);
    const double step = ticks.size() > 1 ? (ticks[1] - ticks[0]) / unit.divisor : 1;
    for (const double tick : ticks) {
        drawing.line(x(tick), plot.top, x(tick), plot.bottom, "grid");
        drawing.text(x(tick), plot.bottom + 18, tick_label(tick / unit.divisor, step), "tick", Anchor::middle);
    }
    for (const double tick : y.ticks(6)) {
        drawing.line(plot.left, y(tick), plot.right, y(tick), "grid");
        drawing.text(plot.left - 7, y(tick) + 4.5, significant(tick, 1), "tick", Anchor::end);
    }
    drawing.line(plot.left, plot.bottom, plot.right, plot.bottom, "axis");
    drawing.line(plot.left, plot.top, plot.left, plot.bottom, "axis");
    drawing.text((plot.left + plot.right) / 2, height - 8, std::string(chart.axis->name) + ", " + unit.name, "axis-name",
                 Anchor::middle);
}

/// The budget, with what lies beyond it shaded, and the noise floor; their labels keep other labels away.
static void draw_limits(Drawing& drawing, const Chart& chart, const Scale& x, const Scale& y, Labels& labels) {
    if (chart.limit) {
        const double at = x(*chart.limit);
        const bool room = plot.right - at > 120;
        drawing.rectangle({at, plot.top, plot.right, plot.bottom}, "beyond");
        drawing.line(at, plot.top, at, plot.bottom, "limit");
        labels.avoid({{at, plot.top}, {at, plot.bottom}});
        const std::string text = "budget " + quantity(*chart.limit, chart.axis->unit);
        drawing.text(room ? at + 6 : at - 6, plot.top + 13, text, "limit-text", room ? Anchor::start : Anchor::end);
        labels.block(room ? Box{at, plot.top, at + 120, plot.top + 18} : Box{at - 120, plot.top, at, plot.top + 18});
    }
    if (chart.noise && y.contains(*chart.noise)) {
        const double at = y(*chart.noise);
        drawing.line(plot.left, at, plot.right, at, "noise");
        drawing.text(plot.right - 4, at - 5, "noise floor", "tick", Anchor::end);
        labels.block({plot.right - 80, at - 18, plot.right, at + 2});
    }
}

static void draw_chosen(Drawing& drawing, const Chart& chart, const Scale& x, const Scale& y, Labels& labels) {
    if (chart.predicted && chart.measured) {
        const Places join{{x(chart.predicted->x), y(chart.predicted->kl)}, {x(chart.measured->x), y(chart.measured->kl)}};
        drawing.path(join, "join");
        labels.avoid(join);
    }
    if (const auto& p = chart.predicted)
        drawing.diamond(x(p->x), y(p->kl), 7, "predicted", tooltip(chart, *p, p->name + ", predicted"));
    if (const auto& m = chart.measured) {
        const double px = x(m->x), py = y(m->kl);
        if (m->kl_error > 0) drawing.whisker_vertical(px, y(m->kl - m->kl_error), y(m->kl + m->kl_error), 4, "whisker");
        if (m->x_error > 0) drawing.whisker_horizontal(py, x(m->x - m->x_error), x(m->x + m->x_error), 4, "whisker");
        drawing.diamond(px, py, 7, "measured", tooltip(chart, *m, m->name + ", measured"));
    }
    if (const auto& m = chart.measured ? chart.measured : chart.predicted)
        labels.place(drawing, x(m->x), y(m->kl), 12, m->name, "label chosen");
}

static void draw(Markup& out, const Chart& chart) {
    const Scale x = horizontal(chart), y = vertical(chart);
    Drawing drawing(out, width, height,
                    std::string(chart.axis->title) + ": " + std::to_string(chart.frontier.size()) + " places on the frontier, " +
                        std::to_string(chart.uniform.size()) + " uniform formats");
    Labels labels(plot, letters);
    draw_axes(drawing, chart, x, y);
    draw_limits(drawing, chart, x, y, labels);
    Places places;
    for (const Spot& m : chart.frontier) places.emplace_back(x(m.x), y(m.kl));
    if (places.size() > 1) drawing.path(places, "frontier");
    labels.avoid(places);
    for (const Spot& m : chart.frontier) drawing.circle(x(m.x), y(m.kl), 2.5, "step", tooltip(chart, m, "frontier"));
    // Every mark is kept free before any label looks for a place.
    const auto block = [&](const Spot& m) { labels.block({x(m.x) - 6, y(m.kl) - 6, x(m.x) + 6, y(m.kl) + 6}); };
    for (const Spot& m : chart.uniform) block(m);
    if (chart.measured) block(*chart.measured);
    if (chart.predicted) block(*chart.predicted);
    for (const Spot& m : chart.uniform) {
        const double px = x(m.x), py = y(m.kl);
        drawing.rectangle({px - 4, py - 4, px + 4, py + 4}, m.measured ? "uniform" : "uniform guessed",
                          tooltip(chart, m, m.name + (m.measured ? ", measured" : ", predicted")));
    }
    draw_chosen(drawing, chart, x, y, labels);
    for (const Spot& m : chart.uniform) labels.place(drawing, x(m.x), y(m.kl), 9, m.name, "label");
}

/// The marks of the charts, each beside its name.
static void write_legend(Markup& out, bool has_guess, bool has_limit, bool has_noise) {
    const Markup::Scope list = out.open("ul", {{"class", "legend"}});
    const auto entry = [&](const char* name, const auto& draw_mark) {
        const Markup::Scope item = out.open("li");
        {
            Drawing drawing(out, 24, 16, name);
            draw_mark(drawing);
        }
        out.text(name);
    };
    entry("frontier, predicted", [](Drawing& d) { d.line(1, 8, 23, 8, "frontier"), d.circle(12, 8, 2.5, "step"); });
    entry("chosen, measured", [](Drawing& d) { d.diamond(12, 8, 7, "measured"); });
    entry("chosen, predicted", [](Drawing& d) { d.diamond(12, 8, 7, "predicted"); });
    entry("one format for all, measured", [](Drawing& d) { d.rectangle({8, 4, 16, 12}, "uniform"); });
    if (has_guess) entry("one format for all, predicted", [](Drawing& d) { d.rectangle({8, 4, 16, 12}, "uniform guessed"); });
    if (has_limit) entry("budget", [](Drawing& d) { d.rectangle({12, 0, 24, 16}, "beyond"), d.line(12, 0, 12, 16, "limit"); });
    if (has_noise) entry("noise floor", [](Drawing& d) { d.line(1, 8, 23, 8, "noise"); });
}

void write_frontier(Markup& out, const Plan& plan) {
    const Markup::Scope section = out.open("section");
    out.element("h2", "The frontier");
    std::vector<Chart> charts;
    for (const Axis& axis : axes)
        if (Chart chart = gather(plan, axis); !chart.empty()) charts.push_back(std::move(chart));
    if (charts.empty()) return write_note(out, "The plan holds no frontier.");
    write_note(out,
               "Each place on the line is a different mixture of formats, the one with the least predicted divergence for its "
               "size or time; further left is cheaper, further down is closer to the original. Squares give every tensor the "
               "same format. The distance between a square and the line below it is what choosing per tensor gains.");
    const bool has_limit = std::any_of(charts.begin(), charts.end(), [](const Chart& c) { return c.limit.has_value(); });
    const bool has_guess = std::any_of(plan.uniform.begin(), plan.uniform.end(), [](const Point& p) { return !p.measured; });
    const bool has_noise =
        std::any_of(charts.begin(), charts.end(), [](const Chart& c) { return c.noise && vertical(c).contains(*c.noise); });
    {
        const Markup::Scope grid = out.open("div", {{"class", "figures"}});
        for (const Chart& chart : charts) {
            const Markup::Scope figure = out.open("figure");
            out.element("figcaption", chart.axis->title);
            draw(out, chart);
        }
    }
    write_legend(out, has_guess, has_limit, has_noise);
    write_note(out,
               "The divergence is the mean Kullback-Leibler divergence per token, in nats, on a logarithmic axis; the frontier "
               "goes on below its end, down to the original. Below the noise floor a divergence cannot be told from the rounding "
               "that changes the original itself.");
}

}  // namespace tailor::search::report
