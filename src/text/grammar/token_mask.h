// Which tokens may come next under a grammar.
//
// The tokens of the vocabulary stand in a tree of bytes; a walk of the tree beside the automaton finds all that are allowed. Most of
// the walk depends only on the place in the grammar, not on what lies below it (inside a string, on which property it is), so it is
// done once per place: its bits, and the nodes where the rule is left, from which alone the walk goes on with the true state. Masks
// of whole states are kept as well, one for all that are alike (Automaton::alike). Compare Dong et al., "XGrammar", 2024.
//
// With a number of tokens that remain, a token is allowed only if the text can still end within them. That is exact as long as every
// byte is a token of its own, as in byte-level and byte-fallback vocabularies.
#pragma once
#include <memory>
#include <span>

#include "text/grammar/automaton.h"
#include "text/tokenizer.h"

namespace tailor::text::grammar {

/// The tokens of a vocabulary in a tree of bytes, in the order of a walk.
class TokenTree {
  public:
    explicit TokenTree(const Tokenizer& tokenizer);

    /// The walk of a mask reads all of them from memory that the model's weights have pushed out of the caches: 12 bytes each.
    struct Node {
        std::uint32_t byte : 8, depth : 24;  ///< bytes from the root to this one, less one
        std::int32_t behind;                 ///< the node after all below this one
        std::int32_t first;                  ///< tokens() spelled by the path: from here to `first` of the next node
    };
    const Node& node(std::int32_t i) const { return nodes_[static_cast<std::size_t>(i)]; }
    std::int32_t size() const { return static_cast<std::int32_t>(nodes_.size()) - 1; }
    /// Tokens [first, end) in the order of the walk.
    std::span<const TokenId> tokens(std::int32_t first, std::int32_t end) const { return std::span(tokens_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(end - first)); }
    std::span<const TokenId> tokens(std::int32_t i) const { return tokens(node(i).first, node(i + 1).first); }
    std::int64_t vocabulary() const { return vocabulary_; }
    std::int32_t longest() const { return longest_; }

  private:
    std::vector<Node> nodes_;  ///< and one behind all
    std::vector<TokenId> tokens_;
    std::int64_t vocabulary_ = 0;
    std::int32_t longest_ = 0;
};

/// A text under way. The tokenizer must outlive it; not for use from several threads at once.
class TokenMask {
  public:
    TokenMask(Rules rules, const Tokenizer& tokenizer);

    /// Back to the beginning; what was learnt about the grammar stays.
    void restart() { state_ = automaton_.start(); }
    /// A bit per token; end tokens where the text may end. `remaining` >= 0: how many tokens may still be written. Valid until the next
    /// call.
    std::span<const std::uint64_t> allowed(std::int64_t remaining = -1);
    /// True if the text may end here; and if nothing else may come.
    bool may_end() const { return automaton_.may_end(state_); }
    bool must_end() const { return automaton_.must_end(state_); }
    /// Fewest tokens after which the text may end.
    std::int64_t least_tokens() const { return automaton_.least_bytes(state_); }
    /// True if the text can still end within `remaining` tokens, this one included.
    bool leaves_time(TokenId id, std::int64_t remaining);
    /// Goes on by one token; false, and nothing changes, if it is not allowed. End tokens are allowed where the text may end.
    bool accept(TokenId id);
    /// Goes on by bytes, as accept().
    bool accept(std::string_view bytes);

  private:
    using Bits = std::vector<std::uint64_t>;
    struct Local {
        Bits bits;
        std::vector<std::int32_t> exits;  ///< nodes at which its rules are left
    };
    const Local& local(StateId inner);
    const Bits& mask_of(StateId state);
    const std::vector<std::int32_t>& least_after(StateId state);
    template <class Visit, class Skip>
    void walk(StateId from, std::int32_t begin, std::int32_t end, std::int32_t depth, const Visit& visit, const Skip& skip);
    void allow(StateId from, std::int32_t begin, std::int32_t end, std::int32_t depth, Local& out);

    const Tokenizer* tokenizer_;
    TokenTree tree_;
    Automaton automaton_;
    StateId state_;
    std::vector<StateId> path_;  ///< states along the walk
    std::unordered_map<StateId, Local> locals_;
    std::unordered_map<StateId, Bits> masks_;
    std::unordered_map<StateId, std::vector<std::int32_t>> least_after_;
    std::vector<TokenId> end_ids_;
    Bits result_;
};

}  // namespace tailor::text::grammar
