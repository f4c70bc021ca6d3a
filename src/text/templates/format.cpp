// Python's two ways to format: "%s is %.2f" % (a, b) and "{} is {:.2f}".format(a, b).
//
// Both end in a field: a body (digits or text), a sign, and a width that is filled on one side. The fields are those of
// Python's documentation ("printf-style String Formatting", "Format Specification Mini-Language") for text, integers and
// reals; what is left out is an Error of kind unsupported.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/templates/builtins.h"
#include "text/templates/characters.h"

namespace tailor::text::templates {
namespace {

using core::ErrorKind;

// Nobody formats wider; a hostile width would ask for gigabytes.
constexpr std::int64_t widest = 10'000;

struct Field {
    std::string fill = " ";
    char align = 0;  ///< '<', '>', '^', or '=' for filling between sign and digits; 0: by the type
    char sign = '-';
    bool alternate = false, grouped = false;
    std::int64_t width = 0, precision = -1;
    char type = 0;
};

std::string filled(Runtime& runtime, const Field& field, std::string_view sign, std::string_view body, char default_align) {
    const auto size = static_cast<std::int64_t>(sign.size() + count_characters(body));
    const char align = field.align ? field.align : default_align;
    const std::int64_t missing = std::max<std::int64_t>(0, field.width - size);
    const std::int64_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
    runtime.work(static_cast<std::size_t>(missing));
    const auto padding = [&](std::int64_t count) {
        std::string text;
        for (; count > 0; --count) text += field.fill;
        return text;
    };
    if (align == '=') return std::string(sign) + padding(missing) + std::string(body);
    return padding(before) + std::string(sign) + std::string(body) + padding(missing - before);
}

std::string in_base(std::uint64_t value, int base, bool capital) {
    char buffer[72];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, base);
    std::string text(buffer, end.ptr);
    return capital ? upper(text) : text;
}

void group_thousands(std::string& digits) {
    const std::size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
    for (std::size_t at = end; at > 3; at -= 3) digits.insert(at - 3, ",");
}

std::string real_digits(double value, char type, std::int64_t precision, bool alternate) {
    if (!std::isfinite(value)) return std::isnan(value) ? "nan" : "inf";
    const std::string pattern = std::string(alternate ? "%#.*" : "%.*") + type;
    char buffer[400];
    const int size =
        std::snprintf(buffer, sizeof buffer, pattern.c_str(), static_cast<int>(std::min<std::int64_t>(precision < 0 ? 6 : precision, 60)), value);
    return {buffer, static_cast<std::size_t>(std::min<int>(size, sizeof buffer - 1))};
}

std::string sign_of(bool negative, char wish) { return negative ? "-" : wish == '-' ? "" : std::string(1, wish); }

std::string integer_field(Runtime& runtime, const Field& field, const Value& value) {
    const char type = field.type ? field.type : 'd';
    const std::int64_t number = value.as_integer();
    const std::uint64_t size = number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
    const int base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
    std::string digits = in_base(size, base, type == 'X');
    if (field.precision > static_cast<std::int64_t>(digits.size())) digits.insert(0, static_cast<std::size_t>(field.precision) - digits.size(), '0');
    if (field.grouped) group_thousands(digits);
    std::string sign = sign_of(number < 0, field.sign);
    if (field.alternate && base != 10) sign += std::string("0") + type;
    return filled(runtime, field, sign, digits, '>');
}

std::string real_field(Runtime& runtime, const Field& field, const Value& value) {
    const double number = value.as_real(), size = std::fabs(number);
    std::string digits;
    if (field.type == '%') digits = real_digits(size * 100, 'f', field.precision, field.alternate) + "%";
    else if (field.type == 0 && field.precision < 0) digits = real_text(size);
    else if (field.type == 0) {
        digits = real_digits(size, 'g', field.precision, false);
        if (digits.find_first_of(".en") == std::string::npos) digits += ".0";
    } else digits = real_digits(size, field.type, field.precision, field.alternate);
    if (field.grouped) group_thousands(digits);
    return filled(runtime, field, sign_of(std::signbit(number), field.sign), digits, '>');
}

std::string text_field(Runtime& runtime, const Field& field, std::string_view text) {
    if (field.precision >= 0) {
        std::size_t end = 0;
        for (std::int64_t i = 0; i < field.precision && end < text.size(); ++i) end += character_bytes(text, end);
        text = text.substr(0, end);
    }
    return filled(runtime, field, "", text, '<');
}

std::int64_t read_number(Runtime& runtime, std::string_view text, std::size_t& at) {
    std::int64_t value = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
        value = value * 10 + (text[at] - '0');
        if (value > widest) runtime.fail(ErrorKind::unsupported, "a format asks for more than {} characters", widest);
    }
    return value;
}

// ---- "..." % values ----

class PercentFormat {
  public:
    PercentFormat(Runtime& runtime, std::string_view format, const Value& values)
        : runtime_(runtime), format_(format), values_(values), out_(runtime, runtime.limits().bytes) {}

    std::string run() {
        while (at_ < format_.size()) {
            const std::size_t percent = std::min(format_.find('%', at_), format_.size());
            out_.write(format_.substr(at_, percent - at_));
            at_ = percent;
            if (at_ < format_.size()) conversion();
        }
        if (!is_tuple() && !values_.is(Type::dict) && used_ == 0 && !values_.is(Type::list)) runtime_.mistake("a format has no place for its value");
        if (is_tuple() && used_ < values_.as_list().items.size()) runtime_.mistake("a format has fewer places than values");
        return out_.take();
    }

  private:
    bool is_tuple() const { return values_.is(Type::list) && values_.as_list().nature == List::Nature::tuple; }

    Value next() {
        if (is_tuple()) {
            if (used_ >= values_.as_list().items.size()) runtime_.mistake("a format has more places than values");
            return values_.as_list().items[used_++];
        }
        if (used_++ > 0) runtime_.mistake("a format has more places than values");
        return values_;
    }

    std::int64_t number_or_star() {
        if (at_ >= format_.size() || format_[at_] != '*') return read_number(runtime_, format_, at_);
        ++at_;
        const Value value = next();
        if (!value.is_integral() || value.as_integer() < -widest || value.as_integer() > widest)
            runtime_.mistake("'*' in a format needs a small integer");
        return value.as_integer();
    }

    void conversion() {
        ++at_;
        Field field;
        Value value;
        bool has_value = false;
        if (at_ < format_.size() && format_[at_] == '(') {
            const std::size_t close = format_.find(')', at_);
            if (close == std::string_view::npos || !values_.is(Type::dict)) runtime_.mistake("'%(name)' in a format needs a dictionary");
            value = item(runtime_, values_, runtime_.text(std::string(format_.substr(at_ + 1, close - at_ - 1))));
            if (value.is(Type::undefined)) refuse_undefined(runtime_, value);
            has_value = true;
            at_ = close + 1;
        }
        bool zero = false;
        for (; at_ < format_.size() && std::string_view("-+ 0#").find(format_[at_]) != std::string_view::npos; ++at_) {
            const char flag = format_[at_];
            if (flag == '-') field.align = '<';
            else if (flag == '0') zero = true;
            else if (flag == '#') field.alternate = true;
            else if (field.sign != '+') field.sign = flag;
        }
        field.width = number_or_star();
        if (field.width < 0) field.align = '<', field.width = -field.width;
        if (at_ < format_.size() && format_[at_] == '.') {
            ++at_;
            field.precision = std::max<std::int64_t>(0, number_or_star());
        }
        if (at_ >= format_.size()) runtime_.mistake("a format ends inside of a place");
        field.type = format_[at_++];
        if (field.type == '%') return out_.write("%");
        if (!has_value) value = next();
        if (zero && !field.align && field.type != 's' && field.type != 'r' && field.type != 'a' && field.type != 'c')
            field.fill = "0", field.align = '=';
        write(field, value);
    }

    void write(Field& field, const Value& value) {
        switch (field.type) {
            case 's': return out_.write(align_right(field, to_text(runtime_, value)));
            case 'r': return out_.write(align_right(field, to_repr(runtime_, value)));
            case 'c': return out_.write(align_right(field, character_of(value)));
            case 'i':
            case 'u':
            case 'd': {
                if (!value.is_number()) runtime_.mistake("'%d' needs a number, not '{}'", type_name(value));
                const double number = std::trunc(value.as_real());
                if (value.is(Type::real) && !(std::fabs(number) < 9.2e18))
                    runtime_.fail(ErrorKind::unsupported, "the integer {} does not fit in 64 bits", real_text(number));
                field.type = 'd';
                return out_.write(integer_field(runtime_, field, value.is_integral() ? value : Value::integer(static_cast<std::int64_t>(number))));
            }
            case 'x':
            case 'X':
            case 'o':
                if (!value.is_integral()) runtime_.mistake("'%{}' needs an integer, not '{}'", std::string(1, field.type), type_name(value));
                return out_.write(integer_field(runtime_, field, value));
            case 'f':
            case 'F':
            case 'e':
            case 'E':
            case 'g':
            case 'G':
                if (!value.is_number()) runtime_.mistake("'%{}' needs a number, not '{}'", std::string(1, field.type), type_name(value));
                return out_.write(real_field(runtime_, field, value));
            default: runtime_.fail(ErrorKind::unsupported, "'%{}' in a format is not supported", std::string(1, field.type));
        }
    }

    std::string align_right(Field field, const std::string& text) {
        if (!field.align) field.align = '>';
        return text_field(runtime_, field, text);
    }

    std::string character_of(const Value& value) {
        if (!value.is(Type::text) || count_characters(value.as_text()) != 1)
            runtime_.fail(ErrorKind::unsupported, "'%c' needs a text of one character");
        return std::string(value.as_text());
    }

    Runtime& runtime_;
    std::string_view format_;
    const Value& values_;
    Output out_;
    std::size_t at_ = 0, used_ = 0;
};

// ---- "...".format(values) ----

// [[fill]align][sign][#][0][width][,][.precision][type]
Field read_field(Runtime& runtime, std::string_view text) {
    Field field;
    std::size_t at = 0;
    const auto is_align = [&](std::size_t i) { return i < text.size() && std::string_view("<>=^").find(text[i]) != std::string_view::npos; };
    const std::size_t first = text.empty() ? 0 : character_bytes(text, 0);
    if (is_align(first) && first) {
        field.fill = std::string(text.substr(0, first));
        field.align = text[first];
        at = first + 1;
    } else if (is_align(0)) {
        field.align = text[at++];
    }
    const auto take = [&](std::string_view set) { return at < text.size() && set.find(text[at]) != std::string_view::npos ? text[at++] : '\0'; };
    if (const char sign = take("+- ")) field.sign = sign;
    field.alternate = take("#");
    if (take("0") && !field.align) field.fill = "0", field.align = '=';
    field.width = read_number(runtime, text, at);
    field.grouped = take(",");
    if (take(".")) field.precision = read_number(runtime, text, at);
    field.type = take("sdxXobfFeEgG%");
    if (at < text.size()) runtime.fail(ErrorKind::unsupported, "the format '{}' is not supported", text);
    return field;
}

std::string formatted(Runtime& runtime, const Value& value, std::string_view specification) {
    const Field field = read_field(runtime, specification);
    const bool wants_real = field.type && std::string_view("fFeEgG%").find(field.type) != std::string_view::npos;
    if (value.is_number() && !(value.is(Type::boolean) && specification.empty())) {
        if (value.is(Type::real) || wants_real) {
            if (field.type && !wants_real) runtime.mistake("the format '{}' does not go with '{}'", specification, type_name(value));
            return real_field(runtime, field, value);
        }
        if (field.type == 's' || field.precision >= 0) runtime.mistake("the format '{}' does not go with '{}'", specification, type_name(value));
        return integer_field(runtime, field, value);
    }
    if (!specification.empty() && !value.is(Type::text)) runtime.mistake("the format '{}' does not go with '{}'", specification, type_name(value));
    if ((field.type && field.type != 's') || field.align == '=') runtime.mistake("the format '{}' does not go with text", specification);
    return text_field(runtime, field, to_text(runtime, value));
}

class BraceFormat {
  public:
    BraceFormat(const Call& call, std::string_view format) : call_(call), runtime_(call.runtime), format_(format) {}

    std::string run() {
        Output out(runtime_, runtime_.limits().bytes);
        while (at_ < format_.size()) {
            const std::size_t brace = std::min(format_.find_first_of("{}", at_), format_.size());
            out.write(format_.substr(at_, brace - at_));
            at_ = brace;
            if (at_ == format_.size()) break;
            if (format_.substr(at_, 2) == "{{" || format_.substr(at_, 2) == "}}") {
                out.write(format_.substr(at_, 1));
                at_ += 2;
            } else {
                out.write(field());
            }
        }
        return out.take();
    }

  private:
    std::string field() {
        const std::size_t close = format_.find('}', at_);
        if (format_[at_] == '}' || close == std::string_view::npos) call_.mistake("finds a single brace in its text");
        const std::string_view inside = format_.substr(at_ + 1, close - at_ - 1);
        if (inside.find('{') != std::string_view::npos) runtime_.fail(ErrorKind::unsupported, "nested places in a format are not supported");
        at_ = close + 1;
        const std::size_t colon = std::min(inside.find(':'), inside.size());
        std::string_view name = inside.substr(0, colon);
        const std::size_t mark = name.find('!');
        const std::string_view conversion = mark == std::string_view::npos ? std::string_view() : name.substr(mark + 1);
        Value value = looked_up(name.substr(0, mark));
        if (conversion == "r") value = runtime_.text(to_repr(runtime_, value));
        else if (conversion == "s") value = runtime_.text(to_text(runtime_, value));
        else if (!conversion.empty()) runtime_.fail(ErrorKind::unsupported, "'!{}' in a format is not supported", conversion);
        return formatted(runtime_, value, inside.substr(std::min(colon + 1, inside.size())));
    }

    // "", "0", "name", each with .attribute and [key] after it.
    Value looked_up(std::string_view path) {
        const std::size_t end = std::min(path.find_first_of(".["), path.size());
        Value value = argument(path.substr(0, end));
        for (path = path.substr(end); !path.empty();) {
            const bool by_key = path[0] == '[';
            const std::size_t stop = by_key ? path.find(']') : std::min(path.find_first_of(".[", 1), path.size());
            if (stop == std::string_view::npos) call_.mistake("finds '[' without ']' in its text");
            const std::string_view part = path.substr(1, stop - 1);
            std::int64_t position = 0;
            value = by_key && is_number(part, position) ? item(runtime_, value, Value::integer(position))
                                                        : item(runtime_, value, runtime_.text(std::string(part)));
            path = path.substr(by_key ? stop + 1 : stop);
            if (!path.empty() && path[0] != '.' && path[0] != '[') call_.mistake("finds a malformed place in its text");
        }
        return value;
    }

    static bool is_number(std::string_view text, std::int64_t& value) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        return error == std::errc() && end == text.data() + text.size() && !text.empty() && text[0] != '-';
    }

    Value argument(std::string_view name) {
        std::int64_t position = 0;
        if (name.empty()) position = next_++;
        else if (!is_number(name, position)) {
            for (const auto& [known, value] : call_.arguments.names)
                if (known == name) return value;
            call_.mistake("has no value for the place '{}'", name);
        }
        if (static_cast<std::size_t>(position) >= call_.arguments.positions.size()) call_.mistake("has no value number {}", position);
        return call_.arguments.positions[static_cast<std::size_t>(position)];
    }

    const Call& call_;
    Runtime& runtime_;
    std::string_view format_;
    std::size_t at_ = 0;
    std::int64_t next_ = 0;
};

}  // namespace

std::string percent_format(Runtime& runtime, std::string_view format, const Value& values) { return PercentFormat(runtime, format, values).run(); }

std::string brace_format(const Call& call, std::string_view format) { return BraceFormat(call, format).run(); }

}  // namespace tailor::text::templates
