// A drawing: an inline SVG whose colours come from the page's style, so that it follows the light or dark scheme.
//
// Coordinates are those of the view box; the drawing is as wide as its place on the page and keeps its proportions. A
// class names what a mark is ("measured", "limit"), the style says how that looks. Marks may carry a tooltip.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "search/report/markup.h"

namespace tailor::search::report {

struct Box {
    double left, top, right, bottom;
    bool overlaps(const Box& other) const {
        return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
    }
    bool within(const Box& other) const {
        return left >= other.left && right <= other.right && top >= other.top && bottom <= other.bottom;
    }
};

enum class Anchor { start, middle, end };
using Places = std::vector<std::pair<double, double>>;

class Drawing {
  public:
    /// `description` says in words what is drawn, for those who cannot see it.
    Drawing(Markup& out, double width, double height, std::string_view description);

    void line(double x1, double y1, double x2, double y2, std::string_view style);
    void rectangle(const Box& box, std::string_view style, std::string_view tooltip = {});
    void circle(double x, double y, double radius, std::string_view style, std::string_view tooltip = {});
    /// A square standing on its corner, `radius` from centre to corner.
    void diamond(double x, double y, double radius, std::string_view style, std::string_view tooltip = {});
    /// Straight lines through the places.
    void path(const Places& places, std::string_view style);
    void text(double x, double y, std::string_view text, std::string_view style, Anchor anchor = Anchor::start);
    /// A bar between two values with caps across its ends, `cap` to each side: an error bar.
    void whisker_vertical(double x, double y1, double y2, double cap, std::string_view style);
    void whisker_horizontal(double y, double x1, double x2, double cap, std::string_view style);

  private:
    Markup& out_;
    Markup::Scope scope_;
};

/// About how wide a text is, in units of the view box: proportional digits and small letters are near 0.56 of their size.
double text_width(std::string_view text, double size);

/// Finds places for labels where they cover neither each other nor a mark.
class Labels {
  public:
    Labels(Box frame, double size) : frame_(frame), size_(size) {}
    void block(const Box& box) { taken_.push_back(box); }
    /// Labels keep off this line where they can.
    void avoid(const Places& line);
    /// Writes `text` beside (x, y), `distance` away: to the right if there is room, else above, left, below; if there is
    /// room nowhere, further away with a line to the mark; if not there either, not at all (tooltips name every mark).
    void place(Drawing& drawing, double x, double y, double distance, std::string_view text, std::string_view style);

  private:
    Box frame_;
    double size_;
    std::vector<Box> taken_, avoided_;
};

}  // namespace tailor::search::report
