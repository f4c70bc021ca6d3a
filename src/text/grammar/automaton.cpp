// Frames, states and their transitions; see automaton.h.
#include "text/grammar/automaton.h"

#include <algorithm>

namespace tailor::text::grammar {

using Element = Rules::Element;

Automaton::Automaton(Rules rules) : rules_(std::move(rules)) { clear(); }

void Automaton::clear() {
    frames_.assign({{-1, -1, 0}, {-1, -1, 0}});
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
    const auto [it, is_new] = frame_ids_.emplace(key, static_cast<FrameId>(frames_.size()));
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
        const auto [element, parent, least] = frames_[static_cast<std::size_t>(frame)];
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
    const auto [it, is_new] = state_ids_.emplace(std::move(frames), static_cast<StateId>(states_.size()));
    if (is_new) {
        State& state = states_.emplace_back();
        state.frames = it->first;
        state.least_bytes = std::int64_t{1} << 60;
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

bool Automaton::has(StateId state, FrameId frame) const {
    const std::vector<FrameId>& all = frames(state);
    return std::binary_search(all.begin(), all.end(), frame);
}

StateId Automaton::step(StateId state, std::uint8_t byte) {
    auto& next = states_[static_cast<std::size_t>(state)].next;
    if (!next) next = std::make_unique<std::array<StateId, 256>>(), next->fill(-1);
    if ((*next)[byte] >= 0) return (*next)[byte];
    std::vector<FrameId> after;
    ++closure_;
    const std::vector<FrameId> before = frames(state);
    for (const FrameId f : before) {
        if (f == done || f == outside) continue;
        const auto [element, parent, least] = frames_[static_cast<std::size_t>(f)];
        const Element& e = rules_.elements[static_cast<std::size_t>(element)];
        if (byte >= e.low && byte <= e.high) add_closure(frame_of(element + 1, parent), after);
    }
    const StateId result = state_of(std::move(after));
    (*states_[static_cast<std::size_t>(state)].next)[byte] = result;
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
