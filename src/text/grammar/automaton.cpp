// Frames, states and their transitions; see automaton.h.
#include "text/grammar/automaton.h"

#include <algorithm>

namespace tailor::text::grammar {

using Element = Rules::Element;

Automaton::Automaton(Rules rules, std::int64_t reach) : rules_(std::move(rules)), alike_(rules_.elements.size(), -1) {
    // How many more times each place may be met; then those with more than reach allows stand for one another.
    std::vector<std::int32_t> ahead(rules_.elements.size(), -1), chain;
    for (std::size_t i = 0; i < ahead.size(); ++i) {
        for (auto e = static_cast<std::int32_t>(i); e >= 0 && ahead[static_cast<std::size_t>(e)] < 0; e = rules_.repetitions[static_cast<std::size_t>(e)].later) chain.push_back(e);
        for (; !chain.empty(); chain.pop_back()) {
            const auto e = static_cast<std::size_t>(chain.back());
            const auto [later, bytes] = rules_.repetitions[e];
            ahead[e] = later < 0 ? 0 : ahead[static_cast<std::size_t>(later)] + 1;
            const bool many = bytes > 0 && ahead[e] > reach / bytes + 2;
            alike_[e] = many ? alike_[static_cast<std::size_t>(later)] : static_cast<std::int32_t>(e);
        }
    }
    clear();
}

void Automaton::clear() {
    frames_.assign({{-1, -1, 0, done}, {-1, -1, 0, outside}});
    frame_ids_.clear();
    state_ids_.clear();
    states_.clear();
    seen_.assign(2, 0);
    closure_ = 0;
    state_of(std::vector<FrameId>{});
    std::vector<FrameId> first;
    ++closure_;
    for (const std::int32_t element : rules_.alternatives[static_cast<std::size_t>(rules_.root)]) add_closure(frame_of(element, done), first);
    start_ = state_of(std::move(first));
}

std::size_t Automaton::Hash::operator()(const std::vector<FrameId>& frames) const {
    std::uint64_t hash = 0x9E3779B97F4A7C15u;
    for (const FrameId f : frames) hash = (hash ^ static_cast<std::uint64_t>(f)) * 0xFF51AFD7ED558CCDu, hash ^= hash >> 32;
    return hash;
}

FrameId Automaton::frame_of(std::int32_t element, FrameId parent) {
    const std::uint64_t key = static_cast<std::uint64_t>(element) << 32 | static_cast<std::uint32_t>(parent);
    const auto [it, is_new] = frame_ids_.try_emplace(key, static_cast<FrameId>(frames_.size()));
    if (is_new) {
        frames_.push_back({element, parent, rules_.least_bytes[static_cast<std::size_t>(element)] + frames_[static_cast<std::size_t>(parent)].least_bytes});
        seen_.push_back(0);
    }
    return it->second;
}

// Adds the frames before bytes that are reached from one without reading any. A place met twice in one closure is left the second
// time, which also ends repetitions of nothing.
void Automaton::add_closure(FrameId start, std::vector<FrameId>& out) {
    std::vector<FrameId> pending{start};
    while (!pending.empty()) {
        const FrameId frame = pending.back();
        pending.pop_back();
        if (seen_[static_cast<std::size_t>(frame)] == closure_) continue;
        seen_[static_cast<std::size_t>(frame)] = closure_;
        if (frame == done || frame == outside) {
            out.push_back(frame);
            continue;
        }
        const auto [element, parent, least, alike] = frames_[static_cast<std::size_t>(frame)];
        const Element& e = rules_.elements[static_cast<std::size_t>(element)];
        if (e.kind == Element::Kind::bytes) out.push_back(frame);
        else if (e.kind == Element::Kind::end) pending.push_back(parent);
        else {
            // The last thing of a rule returns to where the rule would: a repetition does not grow.
            const bool last = rules_.elements[static_cast<std::size_t>(element) + 1].kind == Element::Kind::end;
            const FrameId back = last ? parent : frame_of(element + 1, parent);
            for (const std::int32_t first : rules_.alternatives[static_cast<std::size_t>(e.rule)]) pending.push_back(frame_of(first, back));
        }
    }
}

StateId Automaton::state_of(std::vector<FrameId> frames) {
    std::sort(frames.begin(), frames.end());
    const auto [it, is_new] = state_ids_.try_emplace(std::move(frames), static_cast<StateId>(states_.size()));
    if (is_new) {
        State& state = states_.emplace_back();
        state.frames = it->first;
        state.least_bytes = std::int64_t{1} << 60;
        state.leaves = std::binary_search(state.frames.begin(), state.frames.end(), outside);
        for (const FrameId f : state.frames) state.least_bytes = std::min(state.least_bytes, frames_[static_cast<std::size_t>(f)].least_bytes);
    }
    return it->second;
}

StateId Automaton::state_of(FrameId frame) {
    std::vector<FrameId> frames;
    ++closure_;
    add_closure(frame, frames);
    return state_of(std::move(frames));
}

// Frames of repetitions of repetitions are counted at each level, so what lies below is replaced as well.
FrameId Automaton::alike_frame(FrameId frame) {
    std::vector<FrameId> stack;
    for (; frames_[static_cast<std::size_t>(frame)].alike < 0; frame = parent(frame)) stack.push_back(frame);
    FrameId result = frames_[static_cast<std::size_t>(frame)].alike;
    for (; !stack.empty(); stack.pop_back()) {
        result = frame_of(alike_[static_cast<std::size_t>(element(stack.back()))], result);
        frames_[static_cast<std::size_t>(stack.back())].alike = result;
    }
    return result;
}

StateId Automaton::alike(StateId state) {
    if (states_[static_cast<std::size_t>(state)].alike >= 0) return states_[static_cast<std::size_t>(state)].alike;
    std::vector<FrameId> replaced;
    for (const FrameId f : frames(state)) replaced.push_back(alike_frame(f));
    std::sort(replaced.begin(), replaced.end());
    replaced.erase(std::unique(replaced.begin(), replaced.end()), replaced.end());
    const StateId result = state_of(std::move(replaced));
    return states_[static_cast<std::size_t>(state)].alike = result;
}

constexpr int inner_places = 3;

FrameId Automaton::inner_part(FrameId frame) {
    std::array<std::int32_t, inner_places> places;
    std::size_t count = 0;
    for (; count < places.size() && frame != done && frame != outside; frame = parent(frame)) places[count++] = element(frame);
    FrameId inner = outside;
    while (count > 0) inner = frame_of(places[--count], inner);
    return inner;
}

FrameId Automaton::outer_part(FrameId frame) const {
    for (int i = 0; i < inner_places && frame != done && frame != outside; ++i) frame = parent(frame);
    return frame;
}

bool Automaton::has(StateId state, FrameId frame) const {
    const std::vector<FrameId>& all = frames(state);
    return std::binary_search(all.begin(), all.end(), frame);
}

// Bytes between the same bounds of all ranges lead to the same state, which is found once for all of them.
StateId Automaton::find_step(StateId state, std::uint8_t byte) {
    std::vector<FrameId> after;
    int first = 0, last = 255;
    ++closure_;
    const std::vector<FrameId> before = frames(state);
    for (const FrameId f : before) {
        if (f == done || f == outside) continue;
        const auto [element, parent, least, alike] = frames_[static_cast<std::size_t>(f)];
        const Element& e = rules_.elements[static_cast<std::size_t>(element)];
        if (byte < e.low) last = std::min(last, e.low - 1);
        else if (byte > e.high) first = std::max(first, e.high + 1);
        else {
            first = std::max<int>(first, e.low), last = std::min<int>(last, e.high);
            add_closure(frame_of(element + 1, parent), after);
        }
    }
    const StateId result = state_of(std::move(after));
    auto& next = states_[static_cast<std::size_t>(state)].next;
    if (!next) next = std::make_unique<std::array<StateId, 256>>(), next->fill(-1);
    std::fill(next->begin() + first, next->begin() + last + 1, result);
    return result;
}

StateId Automaton::step(StateId state, std::string_view bytes) {
    for (const char c : bytes)
        if (state != dead) state = step(state, static_cast<std::uint8_t>(c));
    return state;
}

StateId Automaton::forget_all_but(StateId state) {
    // Each frame as the elements from it to the bottom.
    std::vector<std::vector<std::int32_t>> stacks;
    for (FrameId f : frames(state)) {
        std::vector<std::int32_t>& stack = stacks.emplace_back();
        for (; f != done; f = parent(f)) stack.push_back(element(f));
    }
    clear();
    std::vector<FrameId> kept;
    for (const std::vector<std::int32_t>& stack : stacks) {
        FrameId f = done;
        for (std::size_t i = stack.size(); i-- > 0;) f = frame_of(stack[i], f);
        kept.push_back(f);
    }
    return state_of(std::move(kept));
}

}  // namespace tailor::text::grammar
