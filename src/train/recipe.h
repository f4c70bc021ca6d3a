// Recipes: all that a training needs to be told, as a text file.
//
//     [model]                         # a comment
//     family = "llama"
//     layers = 8
//     [budget]
//     minutes = 60
// The file is TOML 1.0 (toml.io), read with toml++, whose headers only recipe.cpp includes. What keys there are is the caller's to say: it
// binds each to a variable. A key that nobody bound is an error that names file, line and the key most like it, since a setting that
// is silently ignored costs an hour of training.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "files/metadata.h"

namespace tailor::train {

/// A key of a recipe, "optimizer.rate", and the variable that takes its value. Integers are taken where numbers are wanted, and a text
/// where a list of texts is.
struct RecipeKey {
    using Target = std::variant<std::string*, std::int64_t*, std::uint64_t*, double*, std::optional<double>*, bool*, std::vector<std::string>*>;
    std::string_view name;
    Target target;
};

/// Reads the recipe at `path` into the variables of `keys`; those that it does not name stay as they are. What stands under the section
/// `open_section` may have any name and goes into `open`. Throws Error(io), or Error(usage) naming file and line for text that is
/// no TOML, a key that there is not, and a value of another kind or out of range.
void read_recipe(const std::string& path, std::span<const RecipeKey> keys, std::string_view open_section, files::Metadata& open);

/// The name among `names` with the fewest letters to insert, drop or replace (Levenshtein, 1966); empty if more than a third of
/// its letters differ.
std::string_view most_like(std::string_view name, std::span<const std::string_view> names);

}  // namespace tailor::train
