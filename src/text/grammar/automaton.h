// A pushdown automaton over bytes that runs Rules.
//
// A frame is a place in a rule and the frame to return to. A state is the set of frames that may come next, each before a range of
// bytes, since a grammar may leave open which alternative it is in. Frames and states are kept once each and named by numbers, so
// that a state met again, as most are in JSON, finds its transitions, and the masks made for it, where they were left.
#pragma once
#include <array>
#include <memory>
#include <unordered_map>

#include "text/grammar/rules.h"

namespace tailor::text::grammar {

using FrameId = std::int32_t;
using StateId = std::int32_t;

/// Not for use from several threads at once.
class Automaton {
  public:
    /// `reach`: the longest text that alike() regards.
    explicit Automaton(Rules rules, std::int64_t reach = 0);

    /// Nothing more may come, not even the end.
    static constexpr StateId dead = 0;
    /// The frame below the root: the text may end.
    static constexpr FrameId done = 0;
    /// A frame that stands for whatever comes after a rule, unknown.
    static constexpr FrameId outside = 1;

    StateId start() const { return start_; }
    /// The state after one byte; `dead` if the byte cannot come.
    StateId step(StateId state, std::uint8_t byte) {
        const auto& next = states_[static_cast<std::size_t>(state)].next;
        return next && (*next)[byte] >= 0 ? (*next)[byte] : find_step(state, byte);
    }
    StateId step(StateId state, std::string_view bytes);
    bool may_end(StateId state) const { return has(state, done); }
    bool has(StateId state, FrameId frame) const;
    /// True if `outside` may come next; and if nothing else may.
    bool leaves(StateId state) const { return states_[static_cast<std::size_t>(state)].leaves; }
    bool must_leave(StateId state) const { return leaves(state) && frames(state).size() == 1; }
    const std::vector<FrameId>& frames(StateId state) const { return states_[static_cast<std::size_t>(state)].frames; }

    std::int32_t element(FrameId frame) const { return frames_[static_cast<std::size_t>(frame)].element; }
    FrameId parent(FrameId frame) const { return frames_[static_cast<std::size_t>(frame)].parent; }
    /// A state before which the same texts of up to `reach` bytes may come, and the same for all counts that no such text can exhaust: of a
    /// thousand places in a string of up to a thousand characters, all but the last few are alike.
    StateId alike(StateId state);
    /// The state of one frame, whose place need not be before bytes.
    StateId state_of(FrameId frame);
    /// The state of frames before bytes.
    StateId state_of(std::vector<FrameId> frames);
    /// The frame of a place in a rule and the places in the two rules around it, with `outside` below: a character, how many of a string
    /// there were, and that a quote ends it, but not which string it is.
    FrameId inner_part(FrameId frame);
    /// What lies below inner_part(); `done` where nothing does.
    FrameId outer_part(FrameId frame) const;
    /// Fewest bytes after which the text may end.
    std::int64_t least_bytes(StateId state) const { return states_[static_cast<std::size_t>(state)].least_bytes; }

    std::size_t states() const { return states_.size(); }
    /// Forgets all states but what is needed for `state`, which gets the number that is returned.
    StateId forget_all_but(StateId state);

  private:
    struct Frame {
        std::int32_t element;
        FrameId parent;
        std::int64_t least_bytes;
        FrameId alike = -1;  ///< -1: not known yet
    };
    struct State {
        std::vector<FrameId> frames;
        std::int64_t least_bytes = 0;
        StateId alike = -1;  ///< -1: not known yet
        bool leaves = false;
        std::unique_ptr<std::array<StateId, 256>> next;  ///< -1: not known yet
    };
    struct Hash {
        std::size_t operator()(const std::vector<FrameId>& frames) const;
    };
    FrameId frame_of(std::int32_t element, FrameId parent);
    StateId find_step(StateId state, std::uint8_t byte);
    FrameId alike_frame(FrameId frame);
    void add_closure(FrameId frame, std::vector<FrameId>& out);
    void clear();

    Rules rules_;
    std::vector<std::int32_t> alike_;  ///< per element: the place of its repetition that stands for it
    std::vector<Frame> frames_;
    std::unordered_map<std::uint64_t, FrameId> frame_ids_;
    std::vector<State> states_;
    std::unordered_map<std::vector<FrameId>, StateId, Hash> state_ids_;
    std::vector<std::uint32_t> seen_;  ///< per frame: the closure that met it last
    std::uint32_t closure_ = 0;
    StateId start_ = 0;
};

}  // namespace tailor::text::grammar
