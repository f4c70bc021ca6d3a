// Frames, states and their transitions; see automaton.h.
#include "text/grammar/automaton.h"

#include <algorithm>

#include "core/error.h"

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
    find_classes();
    find_beginnings();
    clear();
}

void Automaton::find_classes() {
    std::bitset<257> bounds;
    for (const Element& e : rules_.elements)
        if (e.kind == Element::Kind::bytes) bounds.set(e.low), bounds.set(std::size_t{e.high} + 1);
    for (std::size_t byte = 1; byte < 256; ++byte) class_of_[byte] = static_cast<std::uint8_t>(class_of_[byte - 1] + bounds[byte]);
    classes_ = std::size_t{class_of_[255]} + 1;
}

// Adds what an alternative may begin with, as far as that is known of the rules in it.
void Automaton::add_beginning(std::int32_t element, Beginning& out) const {
    for (bool empty = true; empty; ++element) {
        const Element& e = rules_.elements[static_cast<std::size_t>(element)];
        empty = e.kind == Element::Kind::rule && may_be_empty(element);
        if (e.kind == Element::Kind::rule) {
            const Beginning& inner = beginnings_[static_cast<std::size_t>(e.rule)];
            out.bytes |= inner.bytes, out.bounds |= inner.bounds;
        } else if (e.kind == Element::Kind::bytes) {
            out.bounds.set(e.low), out.bounds.set(std::size_t{e.high} + 1);
            for (std::size_t byte = e.low; byte <= e.high; ++byte) out.bytes.set(byte);
        }
    }
}

// By repeating until nothing changes, forwards and backwards: rules refer to later and to earlier ones.
void Automaton::find_beginnings() {
    const std::size_t count = rules_.alternatives.size();
    beginnings_.resize(count);
    for (bool changed = true, forwards = true; changed; forwards = !forwards) {
        changed = false;
        for (std::size_t n = 0; n < count; ++n) {
            Beginning& rule = beginnings_[forwards ? n : count - 1 - n];
            const Beginning before = rule;
            for (const std::int32_t first : rules_.alternatives[forwards ? n : count - 1 - n]) add_beginning(first, rule);
            changed |= rule != before;
        }
    }
}

// More bytes than any text has; twice as many can still be counted.
constexpr std::int64_t out_of_reach = std::int64_t{1} << 60;

void Automaton::clear() {
    numbers_.emplace(this);
    frames_.assign({{-1, -1, 0, false, done}, {-1, -1, 0, true, outside}});
    states_.clear();
    transitions_.clear();
    seen_.assign(2, 0);
    closure_ = 0;
    state_of({});
    std::vector<FrameId> first;
    for (const std::int32_t element : rules_.alternatives[static_cast<std::size_t>(rules_.root)]) first.push_back(return_frame(element, done));
    start_ = state_of(std::move(first));
}

std::size_t Automaton::Hash::operator()(StateId state) const {
    std::uint64_t hash = 0x9E3779B97F4A7C15u;
    for (const FrameId f : automaton->frames(state)) hash = (hash ^ static_cast<std::uint64_t>(f)) * 0xFF51AFD7ED558CCDu, hash ^= hash >> 32;
    return hash;
}

FrameId Automaton::frame_of(std::int32_t element, FrameId parent) {
    const std::uint64_t key = static_cast<std::uint64_t>(element) << 32 | static_cast<std::uint32_t>(parent);
    const auto [it, is_new] = numbers_->frames.try_emplace(key, static_cast<FrameId>(frames_.size()));
    if (is_new) {
        const Frame& below = frames_[static_cast<std::size_t>(parent)];
        frames_.push_back({element, parent, std::min(out_of_reach, rules_.least_bytes[static_cast<std::size_t>(element)] + below.least_bytes), below.above_outside});
        seen_.push_back(0);
    }
    return it->second;
}

// The frame of a place in a rule, or at its end the one that it returns to, which stands before the end of none. So the last thing of a
// rule returns to where the rule would, and a repetition does not grow.
FrameId Automaton::return_frame(std::int32_t element, FrameId parent) {
    return rules_.elements[static_cast<std::size_t>(element)].kind == Element::Kind::end ? parent : frame_of(element, parent);
}

bool Automaton::may_begin(std::int32_t element, std::uint8_t byte) const {
    for (;; ++element) {
        const Element& e = rules_.elements[static_cast<std::size_t>(element)];
        if (e.kind == Element::Kind::bytes) return byte >= e.low && byte <= e.high;
        if (e.kind == Element::Kind::end) return false;
        if (beginnings_[static_cast<std::size_t>(e.rule)].bytes[byte]) return true;
        if (!may_be_empty(element)) return false;
    }
}

constexpr int most_places = 50'000;

// Adds to after_ the frames behind `byte` that are reached from one without reading any other, and to bounds_ the bytes before which they may
// change. A place met twice for one byte is left the second time, which also ends repetitions of nothing.
void Automaton::read_byte(FrameId start, std::uint8_t byte) {
    pending_.assign(1, start);
    while (!pending_.empty()) {
        const FrameId frame = pending_.back();
        pending_.pop_back();
        if (frame == done || frame == outside || seen_[static_cast<std::size_t>(frame)] == closure_) continue;
        if (++places_ > most_places)
            core::fail(core::ErrorKind::unsupported, "the grammar can be read in more than {} ways at once; write it so that alternatives begin differently", most_places);
        seen_[static_cast<std::size_t>(frame)] = closure_;
        const auto [element, parent, least, above_outside, alike] = frames_[static_cast<std::size_t>(frame)];
        const Element& e = rules_.elements[static_cast<std::size_t>(element)];
        if (e.kind == Element::Kind::bytes) {
            bounds_.set(e.low), bounds_.set(std::size_t{e.high} + 1);
            if (byte >= e.low && byte <= e.high) after_.push_back(return_frame(element + 1, parent));
            continue;
        }
        const Beginning& beginning = beginnings_[static_cast<std::size_t>(e.rule)];
        const bool begins = beginning.bytes[byte];
        bounds_ |= beginning.bounds;
        if (!begins && !may_be_empty(element)) continue;
        const FrameId back = return_frame(element + 1, parent);
        if (may_be_empty(element)) pending_.push_back(back);
        for (const std::int32_t first : rules_.alternatives[static_cast<std::size_t>(e.rule)]) {
            if (!begins || !may_begin(first, byte)) continue;
            const bool is_byte = rules_.elements[static_cast<std::size_t>(first)].kind == Element::Kind::bytes;
            if (is_byte) after_.push_back(return_frame(first + 1, back));
            else pending_.push_back(frame_of(first, back));
        }
    }
}

StateId Automaton::state_of(std::vector<FrameId> frames) {
    std::sort(frames.begin(), frames.end());
    frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
    State& state = states_.emplace_back();
    state.frames = std::move(frames);
    const auto [it, is_new] = numbers_->states.insert(static_cast<StateId>(states_.size()) - 1);
    if (!is_new) {
        states_.pop_back();
        return *it;
    }
    state.least_bytes = out_of_reach;
    for (const FrameId f : state.frames) state.least_bytes = std::min(state.least_bytes, frames_[static_cast<std::size_t>(f)].least_bytes);
    transitions_.resize(states_.size() * classes_, -1);
    return *it;
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
    const StateId result = state_of(std::move(replaced));
    return states_[static_cast<std::size_t>(state)].alike = result;
}

constexpr int inner_places = 2;  // of a frame

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

// All bytes between two bounds lead to the same state, which is found once for them.
StateId Automaton::find_step(StateId state, std::uint8_t byte) {
    ++closure_;
    places_ = 0;
    after_.clear(), bounds_.reset(), bounds_.set(0), bounds_.set(256);
    for (const FrameId f : frames(state)) read_byte(f, byte);
    const StateId result = state_of(after_);
    std::size_t first = byte, end = std::size_t{byte} + 1;
    while (!bounds_[first]) --first;
    while (!bounds_[end]) ++end;
    std::fill(&transitions_[transition(state, static_cast<std::uint8_t>(first))], &transitions_[transition(state, static_cast<std::uint8_t>(end - 1))] + 1, result);
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
