// Every tensor with its figures, and below each the choices that the search had: folded, for those who look closely.
#include "core/text.h"
#include "search/report/sections.h"
#include "search/report/units.h"

namespace tailor::search::report {

static std::string shape_text(const Tensor& t) {
    std::vector<std::string> parts;
    for (const double dimension : t.shape) parts.push_back(fixed(dimension, 0));
    return parts.empty() ? "–" : core::join(parts, " × ");
}

static void write_choices(Markup& out, const Tensor& t) {
    if (t.choices.empty()) return out.element("td", "–");
    const Markup::Scope cell = out.open("td");
    const Markup::Scope details = out.open("details");
    out.element("summary", std::to_string(t.choices.size()));
    const Markup::Scope table = out.open("table");
    write_table_head(out, {"Format", "Size", "Per token", "Prompt", "Weighted error", "Divergence, predicted", "measured"});
    const Markup::Scope body = out.open("tbody");
    for (const Choice& c : t.choices) {
        const Markup::Scope row = out.open("tr", {{"class", c.format == t.format ? "chosen" : ""}});
        out.element("th", c.format, {{"scope", "row"}});
        out.element("td", quantity(c.bytes, Unit::bytes));
        out.element("td", quantity(c.decode_ns, Unit::nanoseconds));
        out.element("td", quantity(c.prompt_ns, Unit::nanoseconds));
        out.element("td", quantity(c.weighted_error, Unit::nats));
        out.element("td", quantity(c.predicted_kl, Unit::nats));
        out.element("td", quantity(c.measured_kl, Unit::nats));
    }
}

static void write_tensor(Markup& out, const Tensor& t) {
    const Markup::Scope row = out.open("tr");
    out.element("th", t.name, {{"scope", "row"}});
    out.element("td", shape_text(t));
    out.element("td", t.source_format.empty() ? "–" : t.source_format, {{"class", "words"}});
    out.element("td", t.format.empty() ? "–" : t.format, {{"class", "words"}});
    const Number bits = t.bits_per_value();
    out.element("td", bits ? significant(*bits) : "–");
    out.element("td", quantity(t.bytes, Unit::bytes));
    out.element("td", quantity(t.decode_ns, Unit::nanoseconds));
    out.element("td", quantity(t.prompt_ns, Unit::nanoseconds));
    out.element("td", quantity(t.predicted_kl, Unit::nats) + (t.measured ? " •" : ""));
    write_choices(out, t);
}

void write_tensors(Markup& out, const Plan& plan) {
    if (plan.tensors.empty()) return;
    const Markup::Scope section = out.open("section");
    const Markup::Scope details = out.open("details", {{"class", "all-tensors"}});
    out.element("summary", "All " + std::to_string(plan.tensors.size()) + " tensors in figures");
    write_note(out,
               "Divergence is what the tensor's format causes by itself; • marks those that were measured rather than predicted. "
               "The last column opens the choices that the search had; the one taken is bold.");
    const Markup::Scope wrapper = open_scroll(out, "All tensors");
    const Markup::Scope table = out.open("table", {{"class", "tensors"}});
    write_table_head(
        out, {"Tensor", "Shape", "Before", "After", "Bits per value", "Size", "Per token", "Prompt", "Divergence", "Choices"});
    const Markup::Scope body = out.open("tbody");
    for (const Tensor& t : plan.tensors) write_tensor(out, t);
}

}  // namespace tailor::search::report
