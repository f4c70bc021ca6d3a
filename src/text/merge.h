// Byte-pair merging, the step that all BPE tokenizers share.
//
// A word starts as a chain of small symbols (bytes or characters). As long as two neighbours can merge, the pair of
// highest priority merges, the leftmost one among equals; what remains are the tokens. Byte-level BPE takes priorities
// from the order of the merges that training found (Sennrich, Haddow, Birch 2016), SentencePiece from the scores of the
// merged tokens (Kudo, Richardson 2018).
//
// Rescanning the chain for the best pair costs a square of its length, and a SentencePiece word may be a whole file. So
// pairs wait in a heap and the chain is a doubly linked list in an array: n symbols cost O(n log n). A merge makes the
// waiting pairs of its two symbols stale; instead of being searched for, they are recognized when they surface: symbols
// only grow, so the length noted with a stale pair no longer fits.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "text/tokenizer.h"

namespace tailor::text {

struct Symbol {
    std::uint32_t begin = 0, length = 0;  ///< bytes of the word; length 0: merged into its left neighbour
    std::int32_t previous = -1, next = -1;
    TokenId id = -1;  ///< -1: not a token
};

/// What two neighbours would merge into; id -1 if they cannot.
struct Merge {
    float priority = 0;  ///< ranks as their negative: exact up to 2^24 merges
    TokenId id = -1;
};

/// Working memory of merge_symbols, kept between words so that a word allocates nothing.
class Merger {
  public:
    /// Starts a new word.
    void clear() { symbols_.clear(); }
    /// Appends a symbol of `length` > 0 bytes to the right of the chain.
    void add(std::uint32_t length, TokenId id) {
        const auto index = static_cast<std::int32_t>(symbols_.size());
        const std::uint32_t begin = index ? symbols_.back().begin + symbols_.back().length : 0;
        if (index) symbols_.back().next = index;
        symbols_.push_back({begin, length, index - 1, -1, id});
    }

    /// Merges until nothing merges. `find(left, right)` gives the Merge of two neighbouring Symbols.
    template <class Find>
    void run(const Find& find) {
        queue_.clear();
        for (std::size_t i = 0; i + 1 < symbols_.size(); ++i)
            if (const Pair pair = candidate(static_cast<std::int32_t>(i), find); pair.id >= 0) queue_.push_back(pair);
        std::make_heap(queue_.begin(), queue_.end(), &later);
        while (!queue_.empty()) {
            const Pair best = queue_.front();
            std::pop_heap(queue_.begin(), queue_.end(), &later);
            queue_.pop_back();
            Symbol& left = symbol(best.left);
            if (left.length == 0 || left.next < 0 || left.length + symbol(left.next).length != best.length) continue;
            Symbol& right = symbol(left.next);
            left.length = best.length;
            left.id = best.id;
            left.next = right.next;
            right.length = 0;
            if (left.next >= 0) symbol(left.next).previous = best.left;
            if (left.previous >= 0) push(left.previous, find);
            push(best.left, find);
        }
    }

    /// Calls visit(symbol) for every remaining symbol, from left to right.
    template <class Visit>
    void each(const Visit& visit) const {
        for (const Symbol& s : symbols_)
            if (s.length) visit(s);
    }

  private:
    struct Pair {
        float priority;
        std::int32_t left;
        std::uint32_t length;  ///< of both together when the pair was seen
        TokenId id;
    };
    static bool later(const Pair& a, const Pair& b) {
        return a.priority < b.priority || (a.priority == b.priority && a.left > b.left);
    }
    Symbol& symbol(std::int32_t i) { return symbols_[static_cast<std::size_t>(i)]; }

    template <class Find>
    Pair candidate(std::int32_t left, const Find& find) {
        const Symbol& a = symbol(left);
        if (a.next < 0) return {0, left, 0, -1};
        const Merge merge = find(a, symbol(a.next));
        return {merge.priority, left, a.length + symbol(a.next).length, merge.id};
    }

    template <class Find>
    void push(std::int32_t left, const Find& find) {
        const Pair pair = candidate(left, find);
        if (pair.id < 0) return;
        queue_.push_back(pair);
        std::push_heap(queue_.begin(), queue_.end(), &later);
    }

    std::vector<Symbol> symbols_;
    std::vector<Pair> queue_;
};

}  // namespace tailor::text
