// A pushdown automaton over bytes that runs Rules.
//
// A frame is a place in a rule and the frame to return to. A state is the set of frames that the text may stand at, since a grammar may
// leave open which alternative it is in; rules are entered only when a byte is known, and only those that may begin with it. Frames and
// states are kept once each and named by numbers, so that a state met again, as most are in JSON, finds its transitions, and the masks
// made for it, where they were left.
#pragma once
#include <array>
#include <bitset>
#include <memory_resource>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "text/grammar/rules.h"

namespace tailor::text::grammar {

using FrameId = std::int32_t;
using StateId = std::int32_t;

/// Not for use from several threads at once.
class Automaton {
  public:
    /// `reach`: the longest text that alike() regards.
    explicit Automaton(Rules rules, std::int64_t reach = 0);
    Automaton(const Automaton&) = delete;
    Automaton& operator=(const Automaton&) = delete;

    /// Nothing more may come, not even the end.
    static constexpr StateId dead = 0;
    /// The frame below the root: the text may end.
    static constexpr FrameId done = 0;
    /// A frame that stands for whatever comes after a rule, unknown.
    static constexpr FrameId outside = 1;

    StateId start() const { return start_; }
    /// The state after one byte; `dead` if the byte cannot come.
    StateId step(StateId state, std::uint8_t byte) {
        const StateId next = transitions_[transition(state, byte)];
        return next >= 0 ? next : find_step(state, byte);
    }
    StateId step(StateId state, std::string_view bytes);
    /// True if the text may end here; and if nothing else may come.
    bool may_end(StateId state) const { return least_bytes(state) == 0 && !above_outside(state); }
    bool must_end(StateId state) const { return is_only(state, done); }
    /// True if `outside` may come next; and if nothing else may.
    bool leaves(StateId state) const { return least_bytes(state) == 0 && above_outside(state); }
    bool must_leave(StateId state) const { return is_only(state, outside); }
    const std::vector<FrameId>& frames(StateId state) const { return states_[static_cast<std::size_t>(state)].frames; }

    std::int32_t element(FrameId frame) const { return frames_[static_cast<std::size_t>(frame)].element; }
    FrameId parent(FrameId frame) const { return frames_[static_cast<std::size_t>(frame)].parent; }
    /// A state before which the same texts of up to `reach` bytes may come, and the same for all counts that no such text can exhaust: of a
    /// thousand places in a string of up to a thousand characters, all but the last few are alike.
    StateId alike(StateId state);
    /// The state of frames in any order.
    StateId state_of(std::vector<FrameId> frames);
    /// The frame of a place in a rule and the place in the rule around it, with `outside` below: how many characters of a string there were,
    /// and that a quote ends it, but not which string it is.
    FrameId inner_part(FrameId frame);
    /// What lies below inner_part(); `done` where nothing does.
    FrameId outer_part(FrameId frame) const;
    /// True if nothing need come before what lies at the bottom.
    bool may_be_left(FrameId frame) const { return frames_[static_cast<std::size_t>(frame)].least_bytes == 0; }
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
        bool above_outside;  ///< `outside` lies at the bottom, not `done`
        FrameId alike = -1;  ///< -1: not known yet
    };
    struct State {
        std::vector<FrameId> frames;  ///< in the order of their numbers, none before the end of its rule
        std::int64_t least_bytes = 0;
        StateId alike = -1;  ///< -1: not known yet
    };
    struct Hash {
        const Automaton* automaton;
        std::size_t operator()(StateId state) const;
    };
    struct Same {
        const Automaton* automaton;
        bool operator()(StateId a, StateId b) const { return automaton->frames(a) == automaton->frames(b); }
    };
    /// Of frames by element and parent, and of states. They only grow until all is forgotten, so their memory is not given back one by one.
    struct Numbers {
        std::pmr::monotonic_buffer_resource memory;
        std::pmr::unordered_map<std::uint64_t, FrameId> frames{&memory};
        std::pmr::unordered_set<StateId, Hash, Same> states;
        explicit Numbers(const Automaton* of) : states(0, Hash{of}, Same{of}, &memory) {}
    };
    /// What a rule may begin with.
    struct Beginning {
        std::bitset<256> bytes;
        std::bitset<257> bounds;  ///< bytes before which what the rule makes of a first byte may change
        bool operator==(const Beginning&) const = default;
    };

    bool is_only(StateId state, FrameId frame) const { return frames(state).size() == 1 && frames(state)[0] == frame; }
    bool above_outside(StateId state) const { return !frames(state).empty() && frames_[static_cast<std::size_t>(frames(state)[0])].above_outside; }
    std::size_t transition(StateId state, std::uint8_t byte) const { return static_cast<std::size_t>(state) * classes_ + class_of_[byte]; }
    bool may_be_empty(std::int32_t element) const { return rules_.least_bytes[static_cast<std::size_t>(element)] == rules_.least_bytes[static_cast<std::size_t>(element) + 1]; }
    bool may_begin(std::int32_t element, std::uint8_t byte) const;
    void find_classes();
    void find_beginnings();
    void add_beginning(std::int32_t element, Beginning& out) const;
    FrameId frame_of(std::int32_t element, FrameId parent);
    FrameId return_frame(std::int32_t element, FrameId parent);
    StateId find_step(StateId state, std::uint8_t byte);
    FrameId alike_frame(FrameId frame);
    void read_byte(FrameId start, std::uint8_t byte);
    void clear();

    Rules rules_;
    std::vector<std::int32_t> alike_;  ///< per element: the place of its repetition that stands for it
    std::vector<Beginning> beginnings_;  ///< per rule
    std::array<std::uint8_t, 256> class_of_{};  ///< bytes of one class are in the same ranges of all rules
    std::size_t classes_ = 0;

    std::vector<Frame> frames_;
    std::vector<State> states_;
    std::optional<Numbers> numbers_;
    std::vector<StateId> transitions_;  ///< [state][class]; -1: not known yet
    std::vector<std::uint32_t> seen_;   ///< per frame: the closure that met it last
    std::uint32_t closure_ = 0;
    int places_ = 0;  ///< looked at for one byte
    std::vector<FrameId> pending_, after_;  ///< of read_byte
    std::bitset<257> bounds_;
    StateId start_ = 0;
};

}  // namespace tailor::text::grammar
