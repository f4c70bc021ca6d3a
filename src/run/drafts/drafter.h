// Drafters: what guesses the tokens that a model will write, so that the model can check several in one step.
//
// A step of a few rows reads the weights once, as a step of one row does, so checking k guesses costs little more than writing one token
// where memory is the limit. The guesses may come from anywhere: a token that was guessed is taken by the rule of run/sampler.h, which
// makes the written text follow the model's own distribution exactly (Leviathan et al., "Fast inference from transformers via
// speculative decoding", 2023; Chen et al., 2023).
//
// A kind of drafter is one file src/run/drafts/<name>.cpp that defines `extern const DraftKind <name>` in namespace
// tailor::run::drafts::entries. How many tokens it is asked for, and whether at all, is decided by what it costs and how often it is
// right (run/draft_length.h), so a drafter need not know when it is any good.
#pragma once
#include <memory>
#include <string>

#include "run/sampler.h"
#include "run/session.h"

namespace tailor::run::drafts {

/// Tokens that may come next.
struct Proposal {
    std::vector<text::TokenId> ids;
    std::vector<Distribution> drawn_from;  ///< one per id; empty: they were not drawn but found
    void clear() { ids.clear(), drawn_from.clear(); }
};

/// Not for use from several threads at once.
class Drafter {
  public:
    virtual ~Drafter() = default;
    /// Puts up to `most` tokens (1 or more) that may follow `history` into the empty `proposal`; none if it has no idea. `target_past` is
    /// where the model that checks them stands: it has evaluated all of the history but its last token, and perhaps more before it.
    virtual void propose(std::span<const text::TokenId> history, std::int64_t target_past, std::int64_t most, Proposal& proposal) = 0;
};

/// What a drafter is made for.
struct Setup {
    Session& target;               ///< must outlive the drafter
    core::Pool& pool;              ///< must outlive the drafter
    const SamplerOptions& sampler; ///< how the target's tokens will be drawn
    std::string argument;          ///< what stands behind "name="; empty if nothing does
};

struct DraftKind {
    std::string_view name;      ///< "prompt-lookup"
    std::string_view argument;  ///< what may stand behind "name=", for help: "FILE"; in brackets if it may be left out
    std::string_view doc;       ///< one sentence
    /// Throws Error(usage) if the argument or the target do not fit.
    std::unique_ptr<Drafter> (*make)(const Setup& setup);
};

}  // namespace tailor::run::drafts
