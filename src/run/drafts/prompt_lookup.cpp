// Prompt lookup: the text goes on as it did the last time its last tokens stood there.
//
// The longest run of tokens that ends the history and stands earlier in it is looked for, of equally long ones the latest, and what
// followed it is proposed. It costs no model, and is right where a text repeats itself or its prompt: summaries, edits, code, data.
// Saxena, "Prompt lookup decoding", 2023; Yang et al., "Inference with reference", 2023.
//
// Every place is compared backwards with the end: of the few thousand tokens of a context that takes microseconds, and needs no index.
#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "run/drafts/drafter.h"

namespace tailor::run::drafts::prompt_lookup_draft {

// A single token that was seen before says little about the next; two already name a place in most texts.
constexpr std::int64_t usual_least = 2;
// Longer matches are no better a reason to choose a place.
constexpr std::int64_t longest = 16;

class PromptLookup : public Drafter {
  public:
    explicit PromptLookup(std::int64_t least) : least_(least) {}

    void propose(std::span<const text::TokenId> history, std::int64_t, std::int64_t most, Proposal& proposal) override {
        const auto size = static_cast<std::int64_t>(history.size());
        std::int64_t best_length = least_ - 1, best_end = -1;
        for (std::int64_t end = size - 1; end >= least_ && best_length < longest; --end) {
            std::int64_t length = 0;
            while (length < std::min(end, longest) && history[static_cast<std::size_t>(end - 1 - length)] == history[static_cast<std::size_t>(size - 1 - length)]) ++length;
            if (length > best_length) best_length = length, best_end = end;
        }
        if (best_end < 0) return;
        // Behind the end of the history stands what is proposed: a text that repeats itself goes on repeating itself.
        for (std::int64_t i = best_end; i < best_end + most; ++i)
            proposal.ids.push_back(i < size ? history[static_cast<std::size_t>(i)] : proposal.ids[static_cast<std::size_t>(i - size)]);
    }

  private:
    std::int64_t least_;
};

static std::unique_ptr<Drafter> make(const Setup& setup) {
    std::int64_t least = usual_least;
    const char *const begin = setup.argument.data(), *const end = begin + setup.argument.size();
    if (!setup.argument.empty() && (std::from_chars(begin, end, least).ptr != end || least < 1 || least > longest))
        core::fail(core::ErrorKind::usage, "prompt-lookup=N takes how many tokens must agree, 1 to {}, not '{}'", longest, setup.argument);
    return std::make_unique<PromptLookup>(least);
}

}  // namespace tailor::run::drafts::prompt_lookup_draft

namespace tailor::run::drafts::entries {
extern const DraftKind prompt_lookup = {
    .name = "prompt-lookup",
    .argument = "[=N]",
    .doc = "what followed the last N tokens (2 unless given) where they stood before",
    .make = &prompt_lookup_draft::make,
};
}  // namespace tailor::run::drafts::entries
