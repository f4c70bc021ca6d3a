// The list of merges of byte-pair encoding, by token ids: (left, right) -> rank and result.
//
// One open-addressing table of 16-byte slots, since looking up neighbours is most of the work of encoding.
#pragma once
#include <cstdint>
#include <vector>

#include "text/merge.h"

namespace tailor::text {

class MergeTable {
  public:
    /// Merge::priority is exact up to this many merges.
    static constexpr std::size_t most = std::size_t{1} << 24;

    MergeTable() : MergeTable(0) {}
    /// For `count` merges, at most `most`.
    explicit MergeTable(std::size_t count) {
        std::size_t slots = 16;
        while (slots < count * 2) slots *= 2;
        slots_.resize(slots);
    }

    /// At most as many times as the constructor was told. Of equal pairs the first one added counts; ids are not negative.
    void add(TokenId left, TokenId right, std::size_t rank, TokenId result) {
        Slot& place = slots_[slot(left, right)];
        if (place.left < 0) place = {left, right, static_cast<std::int32_t>(rank), result};
    }

    /// What two tokens merge into; an earlier merge has a higher priority.
    Merge find(TokenId left, TokenId right) const {
        if (left < 0 || right < 0) return {};
        const Slot& merge = slots_[slot(left, right)];
        return {-static_cast<float>(merge.rank), merge.result};
    }

  private:
    struct Slot {
        TokenId left = -1, right = -1;
        std::int32_t rank = 0;
        TokenId result = -1;
    };
    std::size_t slot(TokenId left, TokenId right) const {
        const auto key = static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
        // Fibonacci hashing: the upper half of the product depends on all bits of both ids.
        const std::uint64_t hash = key * 0x9E3779B97F4A7C15u;
        std::size_t at = (hash ^ hash >> 32) & (slots_.size() - 1);
        while (slots_[at].left >= 0 && (slots_[at].left != left || slots_[at].right != right)) at = (at + 1) & (slots_.size() - 1);
        return at;
    }
    std::vector<Slot> slots_;  ///< a power of two, at most half full
};

}  // namespace tailor::text
