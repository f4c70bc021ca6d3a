// Decimal numbers within bounds, as expressions.
#pragma once
#include <optional>

#include "text/grammar/rules.h"

namespace tailor::text::grammar {

/// A bound of numbers; absent: none on that side.
struct Bound {
    double value = 0;
    bool exclusive = false;
};

/// Whole numbers within the bounds. `where` names the place in errors: Error(unsupported) where no number of at most 15 digits lies between.
Expression integers_between(std::optional<Bound> least, std::optional<Bound> most, const std::string& where);
/// Numbers of at most 15 digits within the bounds, with a fraction of at most `places` digits or none, without an exponent; errors as above.
Expression numbers_between(std::optional<Bound> least, std::optional<Bound> most, std::int64_t places, const std::string& where);
/// Any number, with an exponent of up to two digits.
Expression any_number();

}  // namespace tailor::text::grammar
