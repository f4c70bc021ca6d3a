// Text formatting and small string helpers.
//
// `format("{} of {:.2f}", name, x)` follows the fmt syntax. Arguments are erased into a small array first, so that the
// heavy fmt headers are compiled once, in text.cpp, instead of in every file that writes a message.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tailor::core {

/// One formatting argument: an integer, a floating-point number, a truth value or text.
struct Argument {
    enum class Kind { signed_integer, unsigned_integer, real, boolean, text } kind;
    union {
        std::int64_t signed_value;
        std::uint64_t unsigned_value;
        double real_value;
        bool boolean_value;
    };
    std::string_view text_value{};

    template <class T>
    Argument(const T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            kind = Kind::boolean, boolean_value = value;
        } else if constexpr (std::is_enum_v<T>) {
            kind = Kind::signed_integer, signed_value = static_cast<std::int64_t>(value);
        } else if constexpr (std::is_floating_point_v<T>) {
            kind = Kind::real, real_value = value;
        } else if constexpr (std::is_integral_v<T> && std::is_unsigned_v<T>) {
            kind = Kind::unsigned_integer, unsigned_value = value;
        } else if constexpr (std::is_integral_v<T>) {
            kind = Kind::signed_integer, signed_value = value;
        } else {
            kind = Kind::text, unsigned_value = 0, text_value = std::string_view(value);
        }
    }
};

/// The text of `pattern` (fmt syntax) with `arguments` filled in. A bad pattern is an Error of kind bug.
std::string format_arguments(std::string_view pattern, std::initializer_list<Argument> arguments);

template <class... A>
std::string format(std::string_view pattern, const A&... arguments) {
    return format_arguments(pattern, {Argument(arguments)...});
}

/// 1536 -> "1.50 KiB"; units of 1024.
std::string human_bytes(double bytes);

/// Parses "1.5GB", "700MiB", "4096": K M G T are powers of 1000, Ki Mi Gi Ti of 1024, a trailing B is optional.
/// Throws Error(usage) naming `what` when the text is not a positive size.
std::uint64_t parse_bytes(std::string_view text, std::string_view what);

std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);
bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);
std::string lower(std::string_view text);

/// A table for people: first row is the header; columns padded; numbers (by their first character) to the right.
std::string table(const std::vector<std::vector<std::string>>& rows);

/// `text` with & < > " escaped for HTML.
std::string html_escape(std::string_view text);

/// True if `text` is well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

}  // namespace tailor::core
