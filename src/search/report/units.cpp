// Numbers in words; see units.h.
#include "search/report/units.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"

namespace tailor::search::report {

static constexpr const char* minus = "−";

/// Power of ten of the first digit, after rounding to `digits`: 999.7 with three digits has the exponent 3.
static int exponent_of(double value, int digits) {
    if (value == 0) return 0;
    const int exponent = static_cast<int>(std::floor(std::log10(std::fabs(value))));
    const double unit = std::pow(10.0, exponent - digits + 1);
    return std::round(std::fabs(value) / unit) * unit >= std::pow(10.0, exponent + 1) * (1 - 1e-12) ? exponent + 1 : exponent;
}

static std::string superscript(int number) {
    static const char* const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    std::string result = number < 0 ? "⁻" : "";
    for (const char c : std::to_string(std::abs(number))) result += digits[c - '0'];
    return result;
}

Scaled scaled(double value, Unit unit) {
    static const char* const bytes[] = {"bytes", "kB", "MB", "GB", "TB"};
    static const char* const times[] = {"ns", "µs", "ms", "s"};
    static const char* const counts[] = {"", "thousand", "million", "billion", "trillion"};
    const auto pick = [&](const char* const* names, int size) {
        const int step = std::clamp(exponent_of(value, 3) / 3, 0, size - 1);
        return Scaled{std::pow(1000.0, step), names[step]};
    };
    switch (unit) {
        case Unit::bytes: return pick(bytes, 5);
        case Unit::nanoseconds: return pick(times, 4);
        case Unit::count: return pick(counts, 5);
        case Unit::share: return {0.01, "%"};
        case Unit::bits: return {1, "bits"};
        case Unit::nats:
        case Unit::plain: break;
    }
    return {};
}

std::string fixed(double value, int decimals) {
    const double magnitude = std::fabs(value);
    std::string text = core::format("{:.{}f}", magnitude, std::max(decimals, 0));
    const bool zero = text.find_first_not_of("0.") == std::string::npos;
    return value < 0 && !zero ? minus + text : text;
}

std::string significant(double value, int digits) {
    if (value == 0) return "0";
    const int exponent = exponent_of(value, digits);
    if (exponent < -3 || exponent > 6)
        return fixed(value / std::pow(10.0, exponent), digits - 1) + "×10" + superscript(exponent);
    return fixed(value, digits - 1 - exponent);
}

std::string compact(double value) {
    if (value == 0) return "0";
    const int exponent = exponent_of(value, 2);
    if (exponent >= -2 && exponent <= 3) return fixed(value, 1 - exponent);
    return core::format("{:.1f}e{}", value / std::pow(10.0, exponent), exponent);
}

std::string tick_label(double value, double step) {
    return fixed(value, static_cast<int>(std::clamp(-std::floor(std::log10(step) + 1e-9), 0.0, 9.0)));
}

static std::string with_unit(const std::string& number, const std::string& unit) {
    return unit.empty() ? number : number + " " + unit;
}

std::string quantity(double value, Unit unit) {
    const Scaled scale = scaled(value, unit);
    const double number = value / scale.divisor;
    // Whole things below a thousand have no digits after the point.
    const bool whole = (unit == Unit::bytes || unit == Unit::count) && scale.divisor == 1 && number == std::floor(number);
    // Of a small share only the magnitude matters.
    const int digits = unit == Unit::share && std::fabs(number) < 0.1 ? 1 : 3;
    return with_unit(whole ? fixed(number, 0) : significant(number, digits), scale.name);
}

std::string quantity(const Number& value, Unit unit) { return value ? quantity(*value, unit) : "–"; }

std::string quantity(const Measured& measured, Unit unit) {
    if (!measured.value || !measured.standard_error || !(*measured.standard_error > 0)) return quantity(measured.value, unit);
    const Scaled scale = scaled(*measured.value, unit);
    double value = *measured.value / scale.divisor, error = *measured.standard_error / scale.divisor;
    const int lead = exponent_of(std::max(std::fabs(value), error), 2);
    if (lead >= -3) {
        const int decimals = std::clamp(1 - exponent_of(error, 2), 0, 6);
        return with_unit(fixed(value, decimals) + " ± " + fixed(error, decimals), scale.name);
    }
    const double power = std::pow(10.0, lead);
    value /= power, error /= power;
    const int decimals = std::clamp(1 - exponent_of(error, 2), 0, 4);
    return with_unit("(" + fixed(value, decimals) + " ± " + fixed(error, decimals) + ")×10" + superscript(lead), scale.name);
}

std::string change(double before, double after) {
    if (before == 0) return after == 0 ? "0 %" : "";
    const double percent = 100 * (after - before) / std::fabs(before);
    const int decimals = std::fabs(percent) < 99.95 ? 1 : 0;
    const std::string text = fixed(percent, decimals);
    if (text.find_first_not_of("0.") == std::string::npos) return "0 %";
    return (percent > 0 ? "+" : "") + text + " %";
}

std::string times(double ratio) { return fixed(ratio, ratio < 99.5 ? 1 : 0) + "×"; }

}  // namespace tailor::search::report
