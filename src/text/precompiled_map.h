// The table by which a SentencePiece model rewrites text before it is tokenized (its rule "nmt_nfkc" and the like).
//
// The model file holds it compiled: 4 bytes that give the length of a double-array trie (Aoe 1989), the trie, and the
// replacements, each ended by a zero byte. A key's value in the trie is where its replacement begins. A unit of the array
// is 32 bits: bits 0 to 7 (and 31) the byte that leads to it, bit 8 whether a key ends here, bits 10 to 30 the distance
// to its children, 256 times as far if bit 9 is set; the unit of a value has bit 31 set and the value below. Kudo and
// Richardson 2018, section 3.2.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::text {

class PrecompiledMap {
  public:
    struct Match {
        std::size_t bytes = 0;  ///< of the key; 0: no key begins the text
        std::string_view replacement;
    };
    /// The empty map, which changes nothing.
    PrecompiledMap() = default;
    /// Throws Error(format) naming `what` if the table is malformed.
    PrecompiledMap(std::string_view table, std::string_view what);

    bool empty() const { return units_.empty(); }
    /// The longest key that `text` begins with.
    Match longest(std::string_view text) const;
    /// The shortest.
    Match shortest(std::string_view text) const;

  private:
    Match find(std::string_view text, bool shortest) const;

    std::vector<std::uint32_t> units_;
    std::string replacements_;
};

}  // namespace tailor::text
