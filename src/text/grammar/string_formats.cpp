// Formats of strings as regular expressions; see string_formats.h. Anchored, since a format is about the whole string.
#include "text/grammar/string_formats.h"

#include <utility>
#include <vector>

namespace tailor::text::grammar {
namespace {

using Formats = std::vector<std::pair<std::string_view, std::string>>;

// RFC 3339, with the days that a month has; leap seconds are left out, and the year 0, which many programs do not know.
std::string date() {
    const std::string any_day = "(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])", long_days = "(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31";
    const std::string leap_year = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)";
    const std::string year = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])";
    return "(" + year + "-(" + any_day + "|" + long_days + ")|" + leap_year + "-02-29)";
}
std::string time() { return "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"; }

// RFC 3339, appendix A: units without gaps between the largest and the smallest.
std::string duration() {
    const std::string n = "[0-9]{1,6}", seconds = n + "S", minutes = n + "M(" + seconds + ")?", hours = n + "H(" + minutes + ")?";
    const std::string clock = "T(" + hours + "|" + minutes + "|" + seconds + ")", days = n + "D", months = n + "M(" + days + ")?", years = n + "Y(" + months + ")?";
    return "P((" + years + "|" + months + "|" + days + ")(" + clock + ")?|" + clock + "|" + n + "W)";
}

// RFC 1123, of lengths that keep the whole below 253 characters.
std::string label() { return "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"; }
std::string host() { return label() + "(\\." + label() + "){0,6}"; }

std::string ipv4() {
    const std::string byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    return byte + "(\\." + byte + "){3}";
}

// RFC 4291, without an IPv4 address at its end: eight groups, or fewer around one "::".
std::string ipv6() {
    const std::string group = "[0-9a-fA-F]{1,4}";
    std::string all = "(" + group + ":){7}" + group + "|:((:" + group + "){1,7}|:)";
    for (int before = 1; before <= 7; ++before) {
        all += "|(" + group + ":){" + std::to_string(before) + "}";
        all += before == 7 ? ":" : "(:|(:" + group + "){1," + std::to_string(7 - before) + "})";
    }
    return "(" + all + ")";
}

// RFC 5321's local parts without quotes, at a name of two labels or more.
std::string email() { return "[A-Za-z0-9]+([._+-][A-Za-z0-9]+)*@(" + label() + "\\.){1,5}[A-Za-z]{2,20}"; }

// RFC 3986: a scheme, and a host with a path or a path alone.
std::string uri() {
    const std::string character = "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})", more = "([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*";
    return "[A-Za-z][A-Za-z0-9+.-]*:(//" + host() + "(:[0-9]{1,5})?(/" + character + "*)*|" + character + "+(/" + character + "*)*)(\\?" + more + ")?(#" + more + ")?";
}

const Formats& formats() {
    static const std::string hexadecimal = "[0-9a-fA-F]";
    static const Formats all = {
        {"date", date()},
        {"time", time()},
        {"date-time", date() + "T" + time()},
        {"duration", duration()},
        {"uuid", hexadecimal + "{8}(-" + hexadecimal + "{4}){3}-" + hexadecimal + "{12}"},
        {"ipv4", ipv4()},
        {"ipv6", ipv6()},
        {"hostname", host()},
        {"email", email()},
        {"uri", uri()},
    };
    return all;
}

}  // namespace

std::string pattern_of_format(std::string_view name) {
    for (const auto& [format, pattern] : formats())
        if (format == name) return "^" + pattern + "$";
    return {};
}

std::string format_names() {
    std::string names;
    for (const auto& [name, pattern] : formats()) names.append(names.empty() ? "" : &name == &formats().back().first ? " and " : ", ").append(name);
    return names;
}

}  // namespace tailor::text::grammar
