// The walk of the token tree beside the automaton; see token_mask.h.
#include "text/grammar/token_mask.h"

#include <algorithm>
#include <map>

#include "core/error.h"

namespace tailor::text::grammar {

// States that are remembered with their transitions (100 bytes each in most grammars, at most 1 KB), and masks of places and of whole
// states (4 KB per 32,000 tokens): JSON needs tens; a grammar that counts may need a new one at every step.
constexpr std::size_t most_states = 50'000, most_locals = 2'000, most_masks = 1'000, most_distances = 64;
constexpr std::int32_t out_of_reach = 1 << 30;

TokenTree::TokenTree(const Tokenizer& tokenizer) : vocabulary_(tokenizer.size()) {
    std::vector<std::pair<std::string, TokenId>> spelled;
    for (TokenId id = 0; id < vocabulary_; ++id)
        if (std::string piece = tokenizer.piece(id); !piece.empty() && !tokenizer.ends_generation(id)) spelled.emplace_back(std::move(piece), id);
    std::sort(spelled.begin(), spelled.end());
    std::vector<std::int32_t> open;  // the path to the current node
    std::string_view path;
    const auto close = [&](std::size_t depth) {
        for (; open.size() > depth; open.pop_back()) nodes_[static_cast<std::size_t>(open.back())].behind = static_cast<std::int32_t>(nodes_.size());
    };
    for (const auto& [piece, id] : spelled) {
        std::size_t common = 0;
        while (common < std::min(path.size(), piece.size()) && path[common] == piece[common]) ++common;
        if (common < piece.size()) close(common);
        for (std::size_t d = common; d < piece.size(); ++d) {
            open.push_back(static_cast<std::int32_t>(nodes_.size()));
            nodes_.push_back({static_cast<std::uint8_t>(piece[d]), static_cast<std::uint32_t>(d) & 0xFFFFFF, 0, static_cast<std::int32_t>(tokens_.size())});
        }
        tokens_.push_back(id);
        path = piece;
        longest_ = std::max(longest_, static_cast<std::int32_t>(piece.size()));
    }
    close(0);
    nodes_.push_back({0, 0, 0, static_cast<std::int32_t>(tokens_.size())});
}

TokenMask::TokenMask(Rules rules, const Tokenizer& tokenizer)
    : tokenizer_(&tokenizer), tree_(tokenizer), automaton_(std::move(rules), tree_.longest()), state_(automaton_.start()), path_(static_cast<std::size_t>(tree_.longest()) + 1) {
    for (TokenId id = 0; id < tokenizer.size(); ++id)
        if (tokenizer.ends_generation(id)) end_ids_.push_back(id);
    result_.resize(static_cast<std::size_t>((tree_.vocabulary() + 63) / 64));
}

static void set(std::vector<std::uint64_t>& bits, std::span<const TokenId> tokens) {
    for (const TokenId id : tokens) bits[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << id % 64;
}

// visit(index, state) for every node of [begin, end) that is reached from `from` at `depth`; it returns whether to go below. skip(first, index):
// nodes [first, index) were left out.
template <class Visit, class Skip>
void TokenMask::walk(StateId from, std::int32_t begin, std::int32_t end, std::int32_t depth, const Visit& visit, const Skip& skip) {
    path_[static_cast<std::size_t>(depth)] = from;
    for (std::int32_t i = begin; i < end;) {
        const TokenTree::Node node = tree_.node(i);
        const StateId state = automaton_.step(path_[node.depth], static_cast<std::uint8_t>(node.byte));
        const bool reached = state != Automaton::dead;
        if (!reached || !visit(i, state)) {
            skip(i + reached, node.behind);
            i = node.behind;
            continue;
        }
        path_[node.depth + 1] = state;
        ++i;
    }
}

// Adds what is allowed of nodes [begin, end): whatever lies outside can go on, or end. Tokens of nodes beside each other are set together.
void TokenMask::allow(StateId from, std::int32_t begin, std::int32_t end, std::int32_t depth, Local& out) {
    const auto visit = [&](std::int32_t i, StateId state) {
        if (!automaton_.leaves(state)) return true;
        if (tree_.node(i).behind > i + 1) out.exits.push_back(i);
        return !automaton_.must_leave(state);
    };
    const auto skip = [&](std::int32_t first, std::int32_t behind) {
        set(out.bits, tree_.tokens(tree_.node(begin).first, tree_.node(first).first));
        begin = behind;
    };
    walk(from, begin, end, depth, visit, skip);
    skip(end, end);
}

const TokenMask::Local& TokenMask::local(StateId inner) {
    const auto [it, is_new] = locals_.try_emplace(inner);
    if (!is_new) return it->second;
    it->second.bits.resize(result_.size());
    allow(inner, 0, tree_.size(), 0, it->second);
    return it->second;
}

const TokenMask::Bits& TokenMask::mask_of(StateId given) {
    const StateId state = automaton_.alike(given);
    if (const auto it = masks_.find(state); it != masks_.end()) return it->second;
    if (masks_.size() >= most_masks) masks_.clear();
    if (locals_.size() >= most_locals) locals_.clear();
    Local all{Bits(result_.size()), {}};
    std::map<FrameId, std::vector<FrameId>> places;  // inner parts by what lies below
    std::vector<FrameId> frames = automaton_.frames(state);
    for (std::size_t i = 0; i < frames.size(); ++i) {
        if (frames[i] == Automaton::done) continue;
        const FrameId inner = automaton_.inner_part(frames[i]), outer = automaton_.outer_part(frames[i]);
        places[outer].push_back(inner);
        if (automaton_.may_be_left(inner)) frames.push_back(outer);
    }
    for (auto& [outer, inner] : places) {
        const Local& here = local(automaton_.state_of(std::move(inner)));
        for (std::size_t i = 0; i < all.bits.size(); ++i) all.bits[i] |= here.bits[i];
        if (outer == Automaton::done || here.exits.empty()) continue;
        const StateId below = automaton_.state_of({outer});
        for (const std::int32_t exit : here.exits) {
            const TokenTree::Node& node = tree_.node(exit);
            allow(below, exit + 1, node.behind, static_cast<std::int32_t>(node.depth) + 1, all);
        }
    }
    if (automaton_.may_end(state)) set(all.bits, end_ids_);
    return masks_.emplace(state, std::move(all.bits)).first->second;
}

// Per token: fewest bytes to an end after it.
const std::vector<std::int32_t>& TokenMask::least_after(StateId state) {
    if (const auto it = least_after_.find(state); it != least_after_.end()) return it->second;
    if (least_after_.size() >= most_distances) least_after_.clear();
    std::vector<std::int32_t> least(static_cast<std::size_t>(tree_.vocabulary()), out_of_reach);
    const auto measure = [&](std::int32_t i, StateId after) {
        for (const TokenId id : tree_.tokens(i)) least[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(std::min<std::int64_t>(out_of_reach, automaton_.least_bytes(after)));
        return true;
    };
    walk(state, 0, tree_.size(), 0, measure, [](std::int32_t, std::int32_t) {});
    return least_after_.emplace(state, std::move(least)).first->second;
}

std::span<const std::uint64_t> TokenMask::allowed(std::int64_t remaining) {
    if (automaton_.states() > most_states) {
        masks_.clear(), locals_.clear(), least_after_.clear();
        state_ = automaton_.forget_all_but(state_);
    }
    result_ = mask_of(state_);
    if (remaining < 0) return result_;
    const std::vector<std::int32_t>& least = least_after(state_);
    for (std::size_t word = 0; word < result_.size(); ++word)
        for (std::uint64_t bits = result_[word]; bits; bits &= bits - 1) {
            const std::size_t id = word * 64 + static_cast<std::size_t>(__builtin_ctzll(bits));
            if (least[id] > remaining - 1 && !tokenizer_->ends_generation(static_cast<TokenId>(id))) result_[word] &= ~(bits & -bits);
        }
    return result_;
}

bool TokenMask::leaves_time(TokenId id, std::int64_t remaining) {
    if (tokenizer_->ends_generation(id)) return may_end();
    const StateId next = automaton_.step(state_, tokenizer_->piece(id));
    return next != Automaton::dead && automaton_.least_bytes(next) <= remaining - 1;
}

bool TokenMask::accept(std::string_view bytes) {
    const StateId next = automaton_.step(state_, bytes);
    if (next == Automaton::dead) return false;
    state_ = next;
    return true;
}

bool TokenMask::accept(TokenId id) {
    if (tokenizer_->ends_generation(id)) return may_end();
    const std::string piece = tokenizer_->piece(id);
    return !piece.empty() && accept(piece);
}

}  // namespace tailor::text::grammar
