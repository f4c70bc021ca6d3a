// tojson: what Python's json.dumps writes, by default on one line with ", " and ": " and without escaping what is not
// ASCII, as Hugging Face defines the filter. (Jinja's own filter escapes < > & ' for HTML; models never saw that.)
#include <algorithm>
#include <cmath>

#include "text/templates/builtins.h"
#include "text/templates/characters.h"

namespace tailor::text::templates {
namespace {

struct Style {
    std::int64_t indent;
    bool ascii, sorted;
    std::string_view item_separator, key_separator;
};

class JsonWriter {
  public:
    JsonWriter(Runtime& runtime, const Style& style) : runtime_(runtime), style_(style), out_(runtime, runtime.limits().bytes) {}

    std::string run(const Value& value) {
        write(value);
        return out_.take();
    }

  private:
    void write(const Value& value) {
        const Nesting nesting(runtime_);
        switch (value.type()) {
            case Type::none: return out_.write("null");
            case Type::boolean: return out_.write(value.as_integer() ? "true" : "false");
            case Type::integer: return out_.write(std::to_string(value.as_integer()));
            case Type::real: return out_.write(real(value.as_real()));
            case Type::text: return quoted(value.as_text());
            case Type::dict: return object(value.as_dict());
            case Type::list:
                if (value.as_list().nature == List::Nature::list || value.as_list().nature == List::Nature::tuple) return array(value.as_list());
                [[fallthrough]];
            default: runtime_.mistake("a value of type '{}' cannot be written as JSON", type_name(value));
        }
    }

    static std::string real(double value) {
        if (std::isnan(value)) return "NaN";
        return std::isinf(value) ? value > 0 ? "Infinity" : "-Infinity" : real_text(value);
    }

    void line_break(bool between) {
        if (between) out_.write(style_.item_separator);
        if (style_.indent < 0) return;
        out_.write("\n");
        for (std::int64_t i = 0; i < level_ * style_.indent; ++i) out_.write(" ");
    }

    void array(const List& list) {
        if (list.items.empty()) return out_.write("[]");
        out_.write("[");
        ++level_;
        for (std::size_t i = 0; i < list.items.size(); ++i) {
            line_break(i > 0);
            write(list.items[i]);
        }
        --level_;
        line_break(false);
        out_.write("]");
    }

    std::string key_text(const Value& key) {
        switch (key.type()) {
            case Type::text: return std::string(key.as_text());
            case Type::none: return "null";
            case Type::boolean: return key.as_integer() ? "true" : "false";
            case Type::integer: return std::to_string(key.as_integer());
            case Type::real: return real(key.as_real());
            default: runtime_.mistake("a key of type '{}' cannot be written as JSON", type_name(key));
        }
    }

    void object(const Dict& dict) {
        if (dict.members.empty()) return out_.write("{}");
        std::vector<const std::pair<Value, Value>*> members;
        for (const auto& member : dict.members) members.push_back(&member);
        if (style_.sorted)
            std::stable_sort(members.begin(), members.end(), [&](const auto* a, const auto* b) { return less(runtime_, a->first, b->first); });
        out_.write("{");
        ++level_;
        for (std::size_t i = 0; i < members.size(); ++i) {
            line_break(i > 0);
            quoted(key_text(members[i]->first));
            out_.write(style_.key_separator);
            write(members[i]->second);
        }
        --level_;
        line_break(false);
        out_.write("}");
    }

    void quoted(std::string_view text) {
        out_.write("\"");
        for (std::size_t at = 0, bytes = 0; at < text.size(); at += bytes) {
            bytes = character_bytes(text, at);
            const char32_t c = character(text, at);
            static constexpr std::string_view named = "\"\\\n\r\t\f\b", letters = "\"\\nrtfb";
            const std::size_t escape = c < 0x80 ? named.find(static_cast<char>(c)) : std::string_view::npos;
            if (escape != std::string_view::npos) out_.write(std::string("\\") + letters[escape]);
            else if (c < 0x20 || (style_.ascii && c > 0x7F && c < 0x10000)) unit(static_cast<std::uint32_t>(c));
            else if (style_.ascii && c >= 0x10000) {
                unit(0xD800 + static_cast<std::uint32_t>((c - 0x10000) >> 10));
                unit(0xDC00 + static_cast<std::uint32_t>((c - 0x10000) & 0x3FF));
            } else out_.write(text.substr(at, bytes));
        }
        out_.write("\"");
    }

    void unit(std::uint32_t value) { out_.write(core::format("\\u{:04x}", value)); }

    Runtime& runtime_;
    const Style& style_;
    Output out_;
    std::int64_t level_ = 0;
};

}  // namespace

std::string json_text(Runtime& runtime, const Value& value, std::int64_t indent, bool ascii, bool sorted, std::string_view item_separator,
                      std::string_view key_separator) {
    const Style style{indent, ascii, sorted, item_separator, key_separator};
    return JsonWriter(runtime, style).run(value);
}

}  // namespace tailor::text::templates
