// Writing HTML and SVG so that tags always balance and text is always escaped.
//
//     const Markup::Scope table = out.open("table", {{"class", "wide"}});
//     out.element("caption", name);
//
// An element is closed when its scope ends. Whatever is a value (text, attribute) is escaped on its way; raw() is for
// constants of this program only.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

namespace tailor::search::report {

/// Left out when its value is empty.
struct Attribute {
    std::string_view name;
    std::string value;
};
using Attributes = std::initializer_list<Attribute>;

class Markup {
  public:
    /// An open element; its destructor writes the end tag. Scopes end in the opposite order, as C++ has it.
    class Scope {
      public:
        Scope(Markup& out, std::string tag) : out_(out), tag_(std::move(tag)) {}
        ~Scope();
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

      private:
        Markup& out_;
        std::string tag_;
    };

    [[nodiscard]] Scope open(std::string_view tag, Attributes attributes = {});
    /// An element that holds only text.
    void element(std::string_view tag, std::string_view text, Attributes attributes = {});
    /// An element without content: <circle ... />.
    void leaf(std::string_view tag, Attributes attributes = {});
    /// A leaf with a tooltip, which is also what a screen reader says: an SVG <title>.
    void leaf_with_title(std::string_view tag, std::string_view title, Attributes attributes);
    void text(std::string_view text);
    void raw(std::string_view trusted) { html_ += trusted; }

    /// Everything written so far.
    const std::string& html() const { return html_; }

  private:
    void start(std::string_view tag, Attributes attributes);
    std::string html_;
};

/// `text` as it may stand between tags and in quoted attributes: & < > " escaped, control characters and bytes that are
/// not UTF-8 replaced by "?".
std::string escape(std::string_view text);

}  // namespace tailor::search::report
