// See quoted.h. A cut goes before a UTF-8 continuation byte (10xxxxxx) is reached, so that half a character never shows.
#include "files/quoted.h"

#include "core/text.h"

namespace tailor::files {

std::string quoted(std::string_view name) {
    constexpr std::size_t most_shown = 100;
    if (name.size() <= most_shown) return core::format("'{}'", name);
    std::size_t cut = most_shown;
    while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xC0) == 0x80) --cut;
    return core::format("'{}...' ({} bytes)", name.substr(0, cut), name.size());
}

}  // namespace tailor::files
