// Lines, marks and labels; see svg.h.
#include "search/report/svg.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"

namespace tailor::search::report {

/// A tenth of a unit is finer than any screen shows a drawing.
static std::string at(double coordinate) {
    std::string text = core::format("{:.1f}", coordinate);
    if (text.ends_with(".0")) text.resize(text.size() - 2);
    return text == "-0" ? "0" : text;
}

Drawing::Drawing(Markup& out, double width, double height, std::string_view description)
    : out_(out), scope_(out.open("svg", {{"viewBox", "0 0 " + at(width) + " " + at(height)},
                                         {"role", "img"},
                                         {"aria-label", std::string(description)}})) {}

void Drawing::line(double x1, double y1, double x2, double y2, std::string_view style) {
    out_.leaf("line", {{"class", std::string(style)}, {"x1", at(x1)}, {"y1", at(y1)}, {"x2", at(x2)}, {"y2", at(y2)}});
}

void Drawing::rectangle(const Box& box, std::string_view style, std::string_view tooltip) {
    out_.leaf_with_title("rect", tooltip, {{"class", std::string(style)}, {"x", at(box.left)}, {"y", at(box.top)},
                                           {"width", at(box.right - box.left)}, {"height", at(box.bottom - box.top)}});
}

void Drawing::circle(double x, double y, double radius, std::string_view style, std::string_view tooltip) {
    out_.leaf_with_title("circle", tooltip, {{"class", std::string(style)}, {"cx", at(x)}, {"cy", at(y)}, {"r", at(radius)}});
}

void Drawing::diamond(double x, double y, double radius, std::string_view style, std::string_view tooltip) {
    const std::string d = "M" + at(x) + " " + at(y - radius) + "L" + at(x + radius) + " " + at(y) + "L" + at(x) + " " +
                          at(y + radius) + "L" + at(x - radius) + " " + at(y) + "Z";
    out_.leaf_with_title("path", tooltip, {{"class", std::string(style)}, {"d", d}});
}

void Drawing::path(const Places& places, std::string_view style) {
    std::string d;
    for (const auto& [x, y] : places) d += (d.empty() ? "M" : "L") + at(x) + " " + at(y);
    out_.leaf("path", {{"class", std::string(style)}, {"d", d}});
}

void Drawing::text(double x, double y, std::string_view content, std::string_view style, Anchor anchor) {
    const char* const name = anchor == Anchor::middle ? "middle" : anchor == Anchor::end ? "end" : "";
    out_.element("text", content, {{"class", std::string(style)}, {"x", at(x)}, {"y", at(y)}, {"text-anchor", name}});
}

void Drawing::whisker_vertical(double x, double y1, double y2, double cap, std::string_view style) {
    line(x, y1, x, y2, style);
    for (const double y : {y1, y2}) line(x - cap, y, x + cap, y, style);
}

void Drawing::whisker_horizontal(double y, double x1, double x2, double cap, std::string_view style) {
    line(x1, y, x2, y, style);
    for (const double x : {x1, x2}) line(x, y - cap, x, y + cap, style);
}

double text_width(std::string_view text, double size) {
    double letters = 0;
    for (const char c : text) letters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return letters * size * 0.56;
}

void Labels::avoid(const Places& line) {
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
        const auto [x1, y1] = line[i];
        const auto [x2, y2] = line[i + 1];
        // Small boxes along the segment: one around the whole of it would cover far more than the line.
        const int pieces = 1 + static_cast<int>(std::hypot(x2 - x1, y2 - y1) / 6);
        for (int p = 0; p <= pieces; ++p) {
            const double x = x1 + (x2 - x1) * p / pieces, y = y1 + (y2 - y1) * p / pieces;
            avoided_.push_back({x - 2, y - 2, x + 2, y + 2});
        }
    }
}

/// Whether nothing of `boxes` lies in `box`.
static bool is_free(const Box& box, const std::vector<Box>& boxes) {
    return std::none_of(boxes.begin(), boxes.end(), [&](const Box& other) { return box.overlaps(other); });
}

void Labels::place(Drawing& drawing, double x, double y, double distance, std::string_view text, std::string_view style) {
    struct Try { double right, down; Anchor anchor; };
    static constexpr Try tries[] = {{1, 0, Anchor::start},  {0.7, -0.7, Anchor::start}, {0, -1, Anchor::middle},
                                    {-1, 0, Anchor::end},   {-0.7, -0.7, Anchor::end},  {0.7, 0.7, Anchor::start},
                                    {0, 1, Anchor::middle}, {-0.7, 0.7, Anchor::end}};
    const double width = text_width(text, size_);
    for (const double reach : {distance, distance * 2.5, distance * 4})
        for (const bool strict : {true, false})
            for (const Try& t : tries) {
                const double at = x + t.right * reach, base = y + t.down * reach + size_ * (0.35 + 0.4 * t.down);
                const double from = t.anchor == Anchor::start ? at : t.anchor == Anchor::end ? at - width : at - width / 2;
                const Box box{from, base - size_ * 0.8, from + width, base + size_ * 0.2};
                if (!box.within(frame_) || !is_free(box, taken_) || (strict && !is_free(box, avoided_))) continue;
                taken_.push_back(box);
                if (reach > distance) drawing.line(x, y, x + t.right * (reach - 2), y + t.down * (reach - 2), "leader");
                return drawing.text(at, base, text, style, t.anchor);
            }
}

}  // namespace tailor::search::report
