// A set of byte strings with a number each, asked for its members that begin a text.
//
// Nodes lie in the order of a breadth-first walk, so that the children of a node are neighbours, sorted by their byte: a
// node is 12 bytes and a step a search among at most 256 neighbours, most often one or two. A vocabulary of 250,000
// tokens makes about a million nodes. Nothing can be added later, which is what allows this.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tailor::text {

class Trie {
  public:
    struct Entry {
        std::string_view text;
        std::int32_t value = -1;  ///< not negative
    };
    struct Match {
        std::size_t bytes = 0;    ///< 0: none
        std::int32_t value = -1;
    };
    Trie() = default;
    /// Of equal texts the first counts; empty ones are ignored. Keeps nothing of the texts.
    explicit Trie(std::vector<Entry> entries);

    /// Calls visit(bytes, value) for every entry that `text` begins with, the shortest first.
    template <class Visit>
    void each_prefix(std::string_view text, const Visit& visit) const {
        const Node* node = nodes_.data();
        for (std::size_t i = 0; i < text.size() && !nodes_.empty(); ++i) {
            const Node* const first = nodes_.data() + node->first_child;
            const Node* const last = first + node->children;
            const auto byte = static_cast<unsigned char>(text[i]);
            node = std::lower_bound(first, last, byte, [](const Node& n, unsigned char b) { return n.byte < b; });
            if (node == last || node->byte != byte) return;
            if (node->value >= 0) visit(i + 1, node->value);
        }
    }
    /// The longest entry that `text` begins with.
    Match longest(std::string_view text) const {
        Match best;
        each_prefix(text, [&](std::size_t bytes, std::int32_t value) { best = {bytes, value}; });
        return best;
    }

  private:
    struct Node {
        std::uint32_t first_child = 0;
        std::int32_t value = -1;
        std::uint16_t children = 0;
        unsigned char byte = 0;
    };
    std::vector<Node> nodes_;
};

}  // namespace tailor::text
