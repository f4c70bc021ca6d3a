// The key-value part of a model file.
//
// Keys keep their order. A value is a number, a truth value, text, or an array of one of these; GGUF's integer widths are
// kept so that writing gives back the same bytes. Text points into the file's mapping where it can, so a vocabulary of
// 128,000 strings costs no copies; `Metadata` must not outlive the File it came from unless the text was set by hand.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/json.h"

namespace tailor::files {

/// The value types of GGUF v3, with its numbers.
enum class MetaType : std::uint32_t {
    u8 = 0, i8 = 1, u16 = 2, i16 = 3, u32 = 4, i32 = 5, f32 = 6, boolean = 7, string = 8, array = 9, u64 = 10, i64 = 11, f64 = 12,
};

/// "u32", "boolean", "array": as in messages and in --json output.
std::string_view name(MetaType type);
/// True for u8 to u64 and i8 to i64; booleans are not integers.
bool is_integer(MetaType type);
/// True for f32 and f64.
bool is_real(MetaType type);

/// A value: integers of any width as std::int64_t (u64 above 2^63 - 1 is an error on reading), floats as double.
struct MetaValue {
    MetaType type = MetaType::u32;          ///< of the value, or MetaType::array
    MetaType item_type = MetaType::u32;     ///< of the items, if an array
    std::int64_t integer = 0;               ///< integers and booleans
    double real = 0;                        ///< f32 and f64
    std::string_view text;                  ///< string
    std::vector<std::int64_t> integers;     ///< array of integers or booleans
    std::vector<double> reals;              ///< array of f32 or f64
    std::vector<std::string_view> texts;    ///< array of strings
    std::shared_ptr<const std::string> own; ///< holds `text` or all of `texts` when they do not point into a mapping

    std::size_t items() const { return integers.size() + reals.size() + texts.size(); }
    /// Long arrays are cut after `most_items` and a count is added.
    core::Json json(std::size_t most_items = SIZE_MAX) const;
};

class Metadata {
  public:
    const std::vector<std::pair<std::string, MetaValue>>& entries() const { return entries_; }

    /// nullptr when missing.
    const MetaValue* find(std::string_view key) const;

    /// Typed look-ups. The first form throws Error(format) naming the key and what was found when it is missing or of
    /// another type; the second returns `fallback` when it is missing, and throws when it has another type. real() and
    /// reals() also take integers (some converters write 10000 for 10000.0).
    std::int64_t integer(std::string_view key) const;
    std::int64_t integer(std::string_view key, std::int64_t fallback) const;
    double real(std::string_view key) const;
    double real(std::string_view key, double fallback) const;
    bool boolean(std::string_view key, bool fallback) const;
    std::string_view text(std::string_view key) const;
    std::string_view text(std::string_view key, std::string_view fallback) const;
    /// Empty when missing.
    const std::vector<std::string_view>& texts(std::string_view key) const;
    const std::vector<std::int64_t>& integers(std::string_view key) const;
    std::vector<double> reals(std::string_view key) const;

    /// Adds or replaces.
    void set(std::string_view key, MetaValue value);
    /// Adds without looking for an older value: for readers, which reject duplicate keys themselves.
    void append(std::string_view key, MetaValue value) { entries_.emplace_back(std::string(key), std::move(value)); }
    void set_integer(std::string_view key, std::int64_t value, MetaType type = MetaType::u32);
    void set_real(std::string_view key, double value, MetaType type = MetaType::f32);
    void set_boolean(std::string_view key, bool value);
    void set_text(std::string_view key, std::string value);
    void set_texts(std::string_view key, const std::vector<std::string>& values);
    void set_integers(std::string_view key, std::vector<std::int64_t> values, MetaType type = MetaType::i32);
    void set_reals(std::string_view key, std::vector<double> values, MetaType type = MetaType::f32);

  private:
    std::vector<std::pair<std::string, MetaValue>> entries_;
};

}  // namespace tailor::files
