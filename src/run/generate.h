// Writing text token by token.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "run/sampler.h"
#include "run/session.h"
#include "run/speculation.h"
#include "text/grammar/token_mask.h"

namespace tailor::run {

struct GenerateOptions {
    std::int64_t most_tokens = 128;           ///< negative: until the context is full
    std::vector<std::string> stop;            ///< generation ends before the first of these appears
    bool ignore_end = false;                  ///< go on after the model's end token
    SamplerOptions sampler;
    /// What the text must be; null: anything. It goes on from where it stands and must outlive the call. The text always ends within
    /// most_tokens and the context; Error(usage) if no text can.
    text::grammar::TokenMask* mask = nullptr;
    /// Guesses tokens that the model then checks; null: none. The text is drawn from the same distribution with it as without.
    drafts::Drafter* drafter = nullptr;
};

struct Generated {
    std::vector<text::TokenId> ids;
    std::string text;         ///< empty if the model has no tokenizer
    std::string stop_reason;  ///< "length", "end", "stop" or "context"
    double prompt_seconds = 0, decode_seconds = 0;
    std::optional<SpeculationReport> speculation;  ///< with a drafter
};

/// Continues `prompt` in slot 0 of the session. `stream` receives text as soon as it cannot be part of a stop string and
/// ends on a whole character. Ctrl-C throws Error(interrupted) after what was streamed. The first `evaluated` tokens of the prompt, fewer
/// than all, stand in the session already; none, if an encoder reads the prompt.
Generated generate(Session& session, const std::vector<text::TokenId>& prompt, const GenerateOptions& options,
                   const std::function<void(std::string_view)>& stream = {}, std::int64_t evaluated = 0);

}  // namespace tailor::run
