// Building the nodes level by level; see trie.h.
#include "text/trie.h"

namespace tailor::text {

Trie::Trie(std::vector<Entry> entries) {
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.text < b.text; });
    // The entries below each node are a range of the sorted list: those that agree in their first `depth` bytes.
    struct Range {
        std::size_t begin, end, depth;
    };
    std::vector<Range> ranges{{0, entries.size(), 0}};
    nodes_.emplace_back();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        std::size_t at = ranges[i].begin;
        const std::size_t end = ranges[i].end, depth = ranges[i].depth;
        const auto ends_here = [&] { return at < end && entries[at].text.size() == depth; };
        if (depth && ends_here()) nodes_[i].value = entries[at].value;
        while (ends_here()) ++at;
        nodes_[i].first_child = static_cast<std::uint32_t>(nodes_.size());
        while (at < end) {
            const auto byte = static_cast<unsigned char>(entries[at].text[depth]);
            const std::size_t begin = at;
            while (at < end && static_cast<unsigned char>(entries[at].text[depth]) == byte) ++at;
            nodes_.push_back({0, -1, 0, byte});
            ranges.push_back({begin, at, depth + 1});
            ++nodes_[i].children;
        }
    }
}

}  // namespace tailor::text
