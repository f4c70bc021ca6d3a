// From values to places on paper, and the round numbers to write beside an axis.
//
// A linear axis has steps of 1, 2 or 5 times a power of ten. A logarithmic one has powers of ten, with 2 and 5 between
// them when there are few, and only every second or third power when there are many.
#pragma once
#include <vector>

namespace tailor::search::report {

class Scale {
  public:
    /// `low` is drawn at `from`, `high` at `to` (which may be smaller: upward in SVG). An empty range is widened.
    static Scale linear(double low, double high, double from, double to);
    /// Both limits are positive.
    static Scale logarithmic(double low, double high, double from, double to);

    /// The place of a value; values outside the range are put on its edge, and on a logarithmic scale so is zero.
    double operator()(double value) const;
    bool contains(double value) const { return value >= low_ && value <= high_; }
    double low() const { return low_; }
    double high() const { return high_; }
    /// Round values within the range, ascending; about `count`, at least one.
    std::vector<double> ticks(int count) const;

  private:
    Scale(double low, double high, double from, double to, bool logarithmic);
    double low_, high_, from_, to_;
    bool logarithmic_;
};

/// The least of 1, 2, 5 times a power of ten that is not below `value` (positive).
double round_step(double value);

}  // namespace tailor::search::report
