// Numbers in words: three significant digits and the unit that fits.
//
// "3.98 MB", "4.20 ms", "97.3 %", "0.0123 ± 0.0012". Prefixes are powers of 1000, as in the sizes that a user asks for.
// Below a thousandth a number is written as a power of ten. A measured value is rounded where its standard error's
// second digit stands; more digits would claim what was not measured.
#pragma once
#include <string>

#include "search/report/plan.h"

namespace tailor::search::report {

enum class Unit {
    bytes,
    nanoseconds,
    bits,
    nats,   ///< written without its name
    share,  ///< 0 to 1, written as per cent
    plain,
    count,  ///< of things: 8.03 million
};

/// How an axis or a pair of numbers shares one prefix: divide by `divisor`, then write `name`, which may be empty.
struct Scaled {
    double divisor = 1;
    std::string name;
};
/// The prefix in which `value` has one to three digits before the point.
Scaled scaled(double value, Unit unit);

/// `value` rounded to `digits` significant digits, without a unit: "3.98", "0.0123", "3.2×10⁻⁵", "−4.0".
std::string significant(double value, int digits = 3);
/// With the fewest characters, for small places: "3.2e-4", "0.12".
std::string compact(double value);
/// A linear axis' tick with no more digits than its step needs: 12.5 with steps of 0.5, 40 with steps of 10.
std::string tick_label(double value, double step);
/// `value` with a fixed number of digits after the point and a true minus sign.
std::string fixed(double value, int decimals);

std::string quantity(double value, Unit unit);
/// "–" when there is no value.
std::string quantity(const Number& value, Unit unit);
/// With "± standard error" when that is known.
std::string quantity(const Measured& value, Unit unit);

/// How much `after` differs from `before`: "−75.9 %"; "0 %" when that is all there is to say.
std::string change(double before, double after);
/// "4.1×"; `ratio` is positive.
std::string times(double ratio);

}  // namespace tailor::search::report
