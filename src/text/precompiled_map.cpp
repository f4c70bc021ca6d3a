// Walking the double array; see precompiled_map.h.
#include "text/precompiled_map.h"

#include "core/error.h"

namespace tailor::text {

using core::ErrorKind;

static std::uint32_t little_endian(std::string_view bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
}

PrecompiledMap::PrecompiledMap(std::string_view table, std::string_view what) {
    if (table.empty()) return;
    const std::size_t size = table.size() < 4 ? 0 : little_endian(table, 0);
    if (size < 4 || size % 4 != 0 || size > table.size() - 4)
        core::fail(ErrorKind::format, "{}: {} bytes that begin with a trie of {} bytes; it must have at least one unit of 4 bytes "
                   "and fit", what, table.size(), size);
    for (std::size_t at = 4; at < 4 + size; at += 4) units_.push_back(little_endian(table, at));
    replacements_ = table.substr(4 + size);
    if (replacements_.empty() || replacements_.back() != '\0')
        core::fail(ErrorKind::format, "{}: the last replacement has no zero byte at its end", what);
    for (const std::uint32_t unit : units_)
        if (unit >> 31 && (unit & 0x7FFFFFFF) >= replacements_.size())
            core::fail(ErrorKind::format, "{}: a key's replacement begins at byte {}, but the replacements have {}", what,
                       unit & 0x7FFFFFFF, replacements_.size());
}

PrecompiledMap::Match PrecompiledMap::find(std::string_view text, bool shortest) const {
    const auto distance = [](std::uint32_t unit) -> std::size_t { return (unit >> 10) << ((unit & 1u << 9) >> 6); };
    Match best;
    if (units_.empty()) return best;
    std::size_t node = distance(units_[0]);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        node ^= byte;
        if (node >= units_.size()) break;
        const std::uint32_t unit = units_[node];
        if ((unit & (1u << 31 | 0xFFu)) != byte) break;
        node ^= distance(unit);
        if (!(unit & 1u << 8)) continue;
        // A value's unit lies where a zero byte would lead; in a table that was damaged it may be missing.
        if (node >= units_.size() || !(units_[node] >> 31)) break;
        best = {i + 1, replacements_.data() + (units_[node] & 0x7FFFFFFF)};
        if (shortest) break;
    }
    return best;
}

PrecompiledMap::Match PrecompiledMap::longest(std::string_view text) const { return find(text, false); }
PrecompiledMap::Match PrecompiledMap::shortest(std::string_view text) const { return find(text, true); }

}  // namespace tailor::text
