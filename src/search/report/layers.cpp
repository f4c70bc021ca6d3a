// The model as a map: a row for each layer, a column for each role (attn_q, ffn_down, ...), once coloured by the bits
// that each value got and once by how much the output suffers.
//
// The maps are tables rather than drawings: a table is read aloud cell by cell, its text can be selected, and eighty
// layers break across printed pages with the head repeated. Colours have fixed steps of bits per value, so that two
// reports can be compared; the format's name stands in each cell, since a colour alone says nothing to some readers.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "core/text.h"
#include "search/report/sections.h"
#include "search/report/units.h"

namespace tailor::search::report {

namespace {

constexpr int steps = 8;

struct Row {
    std::string label;
    std::vector<const Tensor*> cells;  ///< one per role, nullptr where there is none
};

struct Map {
    std::vector<std::string> roles;
    std::vector<Row> layers;
    std::vector<const Tensor*> before, after;  ///< matrices outside layers
    int vectors = 0;                           ///< one-dimensional tensors, not shown
};

struct Place {
    std::string layer, role;
};

/// What a cell shows.
struct Cell {
    std::string text, style, tooltip;
};

}  // namespace

/// "blk.12.attn_q.weight" -> {"12", "attn_q"}: the first part that is a number is the layer.
static std::optional<Place> place_of(const std::string& name) {
    std::vector<std::string> parts = core::split(name, '.');
    if (parts.size() > 1 && parts.back() == "weight") parts.pop_back();
    const auto is_number = [](const std::string& s) {
        return !s.empty() && std::all_of(s.begin(), s.end(), [](unsigned char c) { return std::isdigit(c); });
    };
    const auto number = std::find_if(parts.begin(), parts.end(), is_number);
    if (number == parts.end() || number + 1 == parts.end()) return {};
    const std::vector<std::string> before(parts.begin(), number), after(number + 1, parts.end());
    const std::string family = core::join(before, ".");
    return Place{(family == "blk" || family.empty() ? "" : family + " ") + *number, core::join(after, ".")};
}

/// Roles in the order in which a layer uses them; those not listed come after, as the file has them.
static std::size_t rank(const std::string& role) {
    static const char* const order[] = {"attn_qkv", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate_inp", "ffn_gate",
                                        "ffn_gate_exps", "ffn_up", "ffn_up_exps", "ffn_down", "ffn_down_exps"};
    return static_cast<std::size_t>(std::find(std::begin(order), std::end(order), role) - std::begin(order));
}

static Map make_map(const Plan& plan) {
    Map map;
    std::vector<std::pair<Place, const Tensor*>> placed;
    for (const Tensor& t : plan.tensors) {
        if (t.shape.size() == 1 && t.choices.size() <= 1) {
            ++map.vectors;
        } else if (const auto place = place_of(t.name)) {
            placed.emplace_back(*place, &t);
            if (std::find(map.roles.begin(), map.roles.end(), place->role) == map.roles.end()) map.roles.push_back(place->role);
        } else {
            (core::starts_with_ignoring_case(t.name, "output") ? map.after : map.before).push_back(&t);
        }
    }
    std::stable_sort(map.roles.begin(), map.roles.end(),
                     [](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
    std::map<std::string, std::size_t> row_of;
    for (const auto& [place, tensor] : placed) {
        const auto [at, added] = row_of.try_emplace(place.layer, map.layers.size());
        if (added) map.layers.push_back({place.layer, std::vector<const Tensor*>(map.roles.size(), nullptr)});
        const auto role = std::find(map.roles.begin(), map.roles.end(), place.role) - map.roles.begin();
        map.layers[at->second].cells[static_cast<std::size_t>(role)] = tensor;
    }
    return map;
}

/// The limits lie between the formats in use: 2-, 3-, 4-, 5-, 6-, 8-, 16- and 32-bit ones with their scales.
static constexpr double bit_limits[steps - 1] = {2.5, 3.5, 4.75, 5.75, 7, 9, 16};

static int bit_step(double bits) {
    return static_cast<int>(
        std::find_if(std::begin(bit_limits), std::end(bit_limits), [&](double limit) { return bits <= limit; }) -
        std::begin(bit_limits));
}

static std::string bit_style(const Tensor& t) {
    const Number bits = t.bits_per_value();
    return bits ? "b" + std::to_string(bit_step(*bits)) : "";
}

static std::string describe(const Tensor& t) {
    std::string text = t.name + ": " + (t.format.empty() ? "format unknown" : t.format);
    if (const Number bits = t.bits_per_value()) text += ", " + significant(*bits) + " bits per value";
    if (t.bytes) text += ", " + quantity(t.bytes, Unit::bytes);
    if (!t.source_format.empty()) text += "; before: " + t.source_format;
    if (t.predicted_kl)
        text += "; divergence by itself " + quantity(t.predicted_kl, Unit::nats) + (t.measured ? " (measured)" : " (predicted)");
    if (t.decode_ns) text += "; " + quantity(t.decode_ns, Unit::nanoseconds) + " per token";
    return text;
}

/// The format that most matrices got and every matrix was offered: the fairest one to compare sensitivities with.
static std::string common_format(const Plan& plan) {
    std::map<std::string, int> offered, taken;
    int groups = 0;
    for (const Tensor& t : plan.tensors) {
        if (t.choices.size() <= 1) continue;
        ++groups, ++taken[t.format];
        for (const Choice& c : t.choices) offered[c.format] += c.predicted_kl.has_value();
    }
    std::string best;
    for (const auto& [format, count] : taken)
        if (offered[format] == groups && (best.empty() || count > taken[best])) best = format;
    return best;
}

/// The divergence that `format` would cause in this tensor; for an empty name, what the chosen one causes.
static Number sensitivity(const Tensor& t, const std::string& format) {
    if (format.empty()) return t.predicted_kl;
    for (const Choice& c : t.choices)
        if (c.format == format) return c.predicted_kl;
    return {};
}

static void write_table_cell(Markup& out, const Cell& cell, std::size_t span) {
    out.element("td", cell.text,
                {{"class", cell.style}, {"title", cell.tooltip}, {"colspan", span > 1 ? std::to_string(span) : ""}});
}

/// A role's name, which may be broken after its underscores.
static void write_role(Markup& out, const std::string& role) {
    for (std::size_t at = 0; at < role.size();) {
        const std::size_t end = std::min(role.find('_', at), role.size() - 1) + 1;
        out.text(role.substr(at, end - at));
        if (end < role.size()) out.raw("<wbr/>");
        at = end;
    }
}

/// A map whose cells are `show(tensor)`.
template <class Show>
static void write_map(Markup& out, const Map& map, const char* caption, const Show& show) {
    const Markup::Scope wrapper = open_scroll(out, caption);
    const Markup::Scope table = out.open("table", {{"class", map.layers.size() > 24 ? "map dense" : "map"}});
    out.element("caption", caption);
    {
        const Markup::Scope head = out.open("thead");
        const Markup::Scope row = out.open("tr");
        out.element("th", "layer", {{"scope", "col"}});
        for (const std::string& role : map.roles) {
            const Markup::Scope cell = out.open("th", {{"scope", "col"}});
            const Markup::Scope name = out.open("span");
            write_role(out, role);
        }
    }
    const Markup::Scope body = out.open("tbody");
    const auto whole_row = [&](const Tensor* t) {
        const Markup::Scope row = out.open("tr");
        const std::string name = t->name.ends_with(".weight") ? t->name.substr(0, t->name.size() - 7) : t->name;
        out.element("th", name == "token_embd" ? "embed" : name, {{"scope", "row"}, {"class", "whole"}});
        write_table_cell(out, show(*t), map.roles.size());
    };
    for (const Tensor* const t : map.before) whole_row(t);
    for (const Row& layer : map.layers) {
        const Markup::Scope row = out.open("tr");
        out.element("th", layer.label, {{"scope", "row"}});
        for (const Tensor* const t : layer.cells) write_table_cell(out, t ? show(*t) : Cell{}, 1);
    }
    for (const Tensor* const t : map.after) whole_row(t);
}

static void write_format_map(Markup& out, const Map& map) {
    const Markup::Scope part = out.open("div");
    write_map(out, map, "Chosen formats", [](const Tensor& t) {
        return Cell{t.format.empty() ? "–" : t.format, bit_style(t), describe(t)};
    });
}

/// Steps of equal ratio from the least to the greatest divergence, at most four powers of ten: what is weaker still
/// does not matter.
static void write_sensitivity_map(Markup& out, const Plan& plan, const Map& map) {
    const std::string format = common_format(plan);
    double low = INFINITY, high = 0;
    for (const Tensor& t : plan.tensors)
        if (const Number kl = sensitivity(t, format); kl && *kl > 0) low = std::min(low, *kl), high = std::max(high, *kl);
    if (!(high > 0)) return;
    low = std::max(low, high / 1e4);
    const Markup::Scope part = out.open("div");
    const std::string caption =
        format.empty() ? "Sensitivity: divergence that the chosen format adds"
                       : "Sensitivity: divergence that " + format + " adds here";
    write_map(out, map, caption.c_str(), [&](const Tensor& t) {
        const Number kl = sensitivity(t, format);
        if (!kl) return Cell{"–", "", describe(t)};
        const double share = *kl > 0 && high > low ? std::clamp(std::log(*kl / low) / std::log(high / low), 0.0, 1.0) : 0;
        const int step = std::min(static_cast<int>(share * steps), steps - 1);
        const std::string what =
            format.empty() ? "" : t.name + " as " + format + ": divergence " + quantity(*kl, Unit::nats) + ". Chosen: ";
        return Cell{compact(*kl), "s" + std::to_string(step), what + describe(t)};
    });
}

struct FormatTotal {
    int tensors = 0;
    double values = 0, bytes = 0;
};

/// Which formats were used and for how much of the model: also the key to the colours.
static void write_formats(Markup& out, const Plan& plan) {
    std::map<std::string, FormatTotal> totals;
    FormatTotal all;
    for (const Tensor& t : plan.tensors) {
        FormatTotal& total = totals[t.format.empty() ? "–" : t.format];
        for (FormatTotal* const sum : {&total, &all})
            ++sum->tensors, sum->values += t.elements().value_or(0), sum->bytes += t.bytes.value_or(0);
    }
    const auto bits = [](const FormatTotal& t) { return t.values > 0 ? t.bytes * 8 / t.values : 0; };
    std::vector<std::pair<std::string, FormatTotal>> rows(totals.begin(), totals.end());
    std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return bits(a.second) < bits(b.second); });
    const Markup::Scope wrapper = open_scroll(out, "Formats used");
    const Markup::Scope table = out.open("table", {{"class", "formats"}});
    out.element("caption", "Formats used, and the key to the colours of the first map");
    write_table_head(out, {"Format", "Bits per value", "Tensors", "Share of values", "Share of bytes"});
    const Markup::Scope body = out.open("tbody");
    for (const auto& [format, total] : rows) {
        const Markup::Scope row = out.open("tr");
        out.element("th", format,
                    {{"scope", "row"}, {"class", bits(total) > 0 ? "b" + std::to_string(bit_step(bits(total))) : ""}});
        out.element("td", bits(total) > 0 ? significant(bits(total)) : "–");
        out.element("td", std::to_string(total.tensors));
        out.element("td", all.values > 0 ? quantity(total.values / all.values, Unit::share) : "–");
        out.element("td", all.bytes > 0 ? quantity(total.bytes / all.bytes, Unit::share) : "–");
    }
}

void write_layers(Markup& out, const Plan& plan) {
    const Markup::Scope section = out.open("section");
    out.element("h2", "Layer by layer");
    if (plan.tensors.empty()) return write_note(out, "The plan holds no tensors.");
    const Map map = make_map(plan);
    std::string note =
        "The first map shows the format that each tensor got; a stronger colour means more bits per value. The second shows how "
        "sensitive each tensor is: how much divergence it adds to the whole model when it is rounded, a stronger colour meaning "
        "more. The search spends bits where the second map is strong. Point at a cell for its figures.";
    if (map.vectors)
        note += core::format(" Not shown: {} one-dimensional tensors (norms, biases), which are small.", map.vectors);
    write_note(out, note);
    {
        const Markup::Scope maps = out.open("div", {{"class", "maps"}});
        write_format_map(out, map);
        write_sensitivity_map(out, plan, map);
    }
    write_formats(out, plan);
}

}  // namespace tailor::search::report
