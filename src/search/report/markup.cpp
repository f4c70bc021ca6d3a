// Tags that balance; see markup.h.
#include "search/report/markup.h"

#include "core/text.h"

namespace tailor::search::report {

std::string escape(std::string_view text) {
    std::string clean(text);
    const bool utf8 = core::is_utf8(text);
    for (char& c : clean) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F || (byte >= 0x80 && !utf8)) c = '?';
    }
    return core::html_escape(clean);
}

Markup::Scope::~Scope() { out_.html_ += "</" + tag_ + ">"; }

void Markup::start(std::string_view tag, Attributes attributes) {
    html_ += '<';
    html_ += tag;
    for (const Attribute& attribute : attributes) {
        if (attribute.value.empty()) continue;
        html_ += ' ';
        html_ += attribute.name;
        html_ += "=\"" + escape(attribute.value) + '"';
    }
}

Markup::Scope Markup::open(std::string_view tag, Attributes attributes) {
    html_ += '\n';
    start(tag, attributes);
    html_ += '>';
    return Scope(*this, std::string(tag));
}

void Markup::element(std::string_view tag, std::string_view content, Attributes attributes) {
    const Scope scope = open(tag, attributes);
    text(content);
}

void Markup::leaf(std::string_view tag, Attributes attributes) {
    html_ += '\n';
    start(tag, attributes);
    html_ += "/>";
}

void Markup::leaf_with_title(std::string_view tag, std::string_view title, Attributes attributes) {
    if (title.empty()) return leaf(tag, attributes);
    const Scope scope = open(tag, attributes);
    element("title", title);
}

void Markup::text(std::string_view content) { html_ += escape(content); }

}  // namespace tailor::search::report
