// A compiler of small normalization tables for tests; see text/precompiled_map.h for the layout.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tailor::text::testing {

/// The table that rewrites every first to its second. Every node has a block of 256 units for its children.
inline std::string compiled_map(const std::vector<std::pair<std::string, std::string>>& rules) {
    struct Node {
        std::map<unsigned char, std::size_t> children;
        std::int64_t value = -1;
    };
    std::vector<Node> nodes(1);
    std::string replacements;
    for (const auto& [from, to] : rules) {
        std::size_t node = 0;
        for (const char c : from) {
            const auto [place, is_new] = nodes[node].children.try_emplace(static_cast<unsigned char>(c), nodes.size());
            node = place->second;
            if (is_new) nodes.emplace_back();
        }
        nodes[node].value = static_cast<std::int64_t>(replacements.size());
        replacements += to + '\0';
    }
    const auto block = [](std::size_t node) { return (node + 1) * 256; };
    std::vector<std::uint32_t> units((nodes.size() + 1) * 256, 0x80);  // a label that no byte in these tests has
    std::vector<std::size_t> place(nodes.size(), 0);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        for (const auto& [byte, child] : nodes[i].children) {
            place[child] = block(i) ^ byte;
            units[place[child]] = byte;
        }
        const auto distance = static_cast<std::uint32_t>(place[i] ^ block(i));
        units[place[i]] = (i ? units[place[i]] : 0) | distance << 10 | (nodes[i].value >= 0 ? 1u << 8 : 0);
        if (nodes[i].value >= 0) units[block(i)] = 1u << 31 | static_cast<std::uint32_t>(nodes[i].value);
    }
    std::string table;
    const auto put = [&](std::uint32_t number) {
        for (int shift = 0; shift < 32; shift += 8) table += static_cast<char>(number >> shift & 0xFF);
    };
    put(static_cast<std::uint32_t>(units.size() * 4));
    for (const std::uint32_t unit : units) put(unit);
    return table + replacements;
}

}  // namespace tailor::text::testing
