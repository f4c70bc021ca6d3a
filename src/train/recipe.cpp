// The only file that includes toml++; see recipe.h.
#include "train/recipe.h"

#include <toml++/toml.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/mapped_file.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

namespace {

struct Reader {
    const std::string& path;
    std::span<const RecipeKey> keys;
    std::string_view open_section;
    files::Metadata& open;

    template <class... A>
    [[noreturn]] void refuse(const toml::node& node, std::string_view pattern, const A&... arguments) const {
        fail(ErrorKind::usage, "{}:{}: {}", path, node.source().begin.line, core::format(pattern, arguments...));
    }

    void read_table(const toml::table& table, const std::string& section);
    void read_value(const toml::node& node, const std::string& name);
    void read_open(const toml::node& node, const std::string& name);
    [[noreturn]] void refuse_name(const toml::node& node, const std::string& name) const;

    void take(const toml::node& node, const std::string& name, std::string* target) const;
    void take(const toml::node& node, const std::string& name, std::int64_t* target) const;
    void take(const toml::node& node, const std::string& name, std::uint64_t* target) const;
    void take(const toml::node& node, const std::string& name, double* target) const;
    void take(const toml::node& node, const std::string& name, std::optional<double>* target) const;
    void take(const toml::node& node, const std::string& name, bool* target) const;
    void take(const toml::node& node, const std::string& name, std::vector<std::string>* target) const;
};

void Reader::take(const toml::node& node, const std::string& name, std::string* target) const {
    if (!node.is_string()) refuse(node, "{} must be a text in quotes", name);
    *target = node.as_string()->get();
}

void Reader::take(const toml::node& node, const std::string& name, std::int64_t* target) const {
    if (!node.is_integer()) refuse(node, "{} must be a whole number", name);
    *target = node.as_integer()->get();
}

void Reader::take(const toml::node& node, const std::string& name, std::uint64_t* target) const {
    std::int64_t value = 0;
    take(node, name, &value);
    if (value < 0) refuse(node, "{} must not be negative", name);
    *target = static_cast<std::uint64_t>(value);
}

void Reader::take(const toml::node& node, const std::string& name, double* target) const {
    if (!node.is_number()) refuse(node, "{} must be a number", name);
    *target = *node.value<double>();
}

void Reader::take(const toml::node& node, const std::string& name, std::optional<double>* target) const {
    double value = 0;
    take(node, name, &value);
    *target = value;
}

void Reader::take(const toml::node& node, const std::string& name, bool* target) const {
    if (!node.is_boolean()) refuse(node, "{} must be true or false", name);
    *target = node.as_boolean()->get();
}

void Reader::take(const toml::node& node, const std::string& name, std::vector<std::string>* target) const {
    std::vector<std::string> texts(1);
    if (const toml::array* const list = node.as_array()) {
        texts.assign(list->size(), {});
        for (std::size_t i = 0; i < list->size(); ++i) take((*list)[i], name, &texts[i]);
    } else {
        take(node, name, texts.data());
    }
    *target = std::move(texts);
}

void Reader::read_open(const toml::node& node, const std::string& name) {
    if (const toml::array* const list = node.as_array()) {
        std::vector<std::int64_t> integers(list->size());
        for (std::size_t i = 0; i < list->size(); ++i) take((*list)[i], name, &integers[i]);
        open.set_integers(name, std::move(integers));
    } else if (node.is_string()) {
        open.set_text(name, node.as_string()->get());
    } else if (node.is_boolean()) {
        open.set_boolean(name, node.as_boolean()->get());
    } else if (node.is_floating_point()) {
        open.set_real(name, node.as_floating_point()->get());
    } else if (node.is_integer() && node.as_integer()->get() >= 0) {
        open.set_integer(name, node.as_integer()->get());
    } else {
        refuse(node, "{} must be a text, a number of at least 0, true, false, or a list of whole numbers", name);
    }
}

void Reader::refuse_name(const toml::node& node, const std::string& name) const {
    std::vector<std::string_view> names;
    for (const RecipeKey& key : keys) names.push_back(key.name);
    std::string_view like = most_like(name, names);
    // A key of the right name in a wrong section is the more likely slip.
    const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
    for (const std::string_view other : names)
        if (other.substr(other.rfind('.') + 1) == last) like = other;
    if (like.empty()) refuse(node, "there is no {}; tailor train --help lists all settings", name);
    refuse(node, "there is no {}; the nearest is {}", name, like);
}

void Reader::read_value(const toml::node& node, const std::string& name) {
    const auto key = std::find_if(keys.begin(), keys.end(), [&](const RecipeKey& k) { return k.name == name; });
    if (key == keys.end()) refuse_name(node, name);
    std::visit([&](auto* target) { take(node, name, target); }, key->target);
}

void Reader::read_table(const toml::table& table, const std::string& section) {
    for (const auto& [key, node] : table) {
        const std::string word(key.str()), name = section.empty() ? word : section + "." + word;
        if (section == open_section) read_open(node, word);
        else if (node.is_table()) read_table(*node.as_table(), name);
        else read_value(node, name);
    }
}

}  // namespace

void read_recipe(const std::string& path, std::span<const RecipeKey> keys, std::string_view open_section, files::Metadata& open) {
    const std::string text = core::read_text_file(path);
    try {
        const toml::table table = toml::parse(std::string_view(text));
        Reader{path, keys, open_section, open}.read_table(table, "");
    } catch (const toml::parse_error& error) {
        fail(ErrorKind::usage, "{}:{}: {}", path, error.source().begin.line, error.description());
    }
}

std::string_view most_like(std::string_view name, std::span<const std::string_view> names) {
    std::string_view best;
    std::size_t least = 0;
    for (const std::string_view other : names) {
        // One row of the table of distances between prefixes at a time.
        std::vector<std::size_t> row(other.size() + 1);
        std::iota(row.begin(), row.end(), std::size_t{0});
        for (std::size_t i = 0; i < name.size(); ++i) {
            std::size_t diagonal = row[0]++;
            for (std::size_t j = 0; j < other.size(); ++j) {
                const std::size_t replaced = diagonal + (name[i] != other[j]);
                diagonal = row[j + 1];
                row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
            }
        }
        if (3 * row.back() <= other.size() && (best.empty() || row.back() < least)) best = other, least = row.back();
    }
    return best;
}

}  // namespace tailor::train
