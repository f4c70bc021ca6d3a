// A conversation with a model: messages in, answers out, with as little evaluated as possible.
//
// Every answer renders all messages anew with the model's chat template, since templates may change what they write about
// earlier turns (they drop old reasoning, for instance). Of the resulting tokens, those that the session holds already in
// the same order are kept and only the rest is evaluated; usually that is the last message. When the tokens no longer fit
// the context, the oldest messages, except system messages, are left out.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "run/generate.h"
#include "run/session.h"
#include "text/chat.h"

namespace tailor::run {

struct Answer {
    std::string text;         ///< without white space at its ends
    std::string stop_reason;  ///< as Generated has it, or "interrupted"
    std::int64_t prompt_tokens = 0, reused_tokens = 0, answer_tokens = 0;
    double prompt_seconds = 0, decode_seconds = 0;
    std::optional<SpeculationReport> speculation;  ///< with a drafter
};

class Conversation {
  public:
    /// Uses slot 0 of the session; session and form must outlive the conversation. A mask of the options begins anew with each answer.
    Conversation(Session& session, const text::ChatTemplate& form, GenerateOptions options);

    /// An array of {"role", "content", ...}.
    core::Json messages() const { return core::Json(messages_); }
    /// Throws Error(usage) unless it is an array of messages with roles.
    void set_messages(const core::Json& messages);
    /// The system message; empty: none.
    void set_system(const std::string& text);
    void add_user(const std::string& text);
    /// Further variables of the template, an object.
    void set_variables(core::Json variables) { variables_ = std::move(variables); }
    /// Removes the last user message and what follows it; false if there is none.
    bool undo();
    /// Removes the answer to the last user message, so that answer() gives another one; false if there is none. If none comes, the old one is back.
    bool take_back_answer();
    /// Removes everything but system messages.
    void clear();

    /// Answers the last message and appends the answer. `stream` receives text as it is written. Ctrl-C ends the answer:
    /// what was written stays; if nothing was, the last user message is removed as well. Throws Error if the template
    /// refuses the messages or they do not fit the context.
    Answer answer(const std::function<void(std::string_view)>& stream = {});

    /// The prompt as the model will see it.
    std::string prompt_text() const { return form_.prompt(session_.model().tokenizer(), request()).text; }
    /// Messages that were left out because they no longer fit.
    std::int64_t left_out() const { return static_cast<std::int64_t>(left_out_); }

  private:
    text::ChatRequest request() const;
    std::vector<text::TokenId> fitting_prompt();
    std::vector<std::size_t> places_to_begin() const;
    Answer write_answer(const std::function<void(std::string_view)>& stream);

    Session& session_;
    const text::ChatTemplate& form_;
    GenerateOptions options_;
    core::Json::Array messages_;
    core::Json variables_{core::Json::Object{}};
    std::optional<core::Json> taken_back_;  ///< by take_back_answer(), until the next answer
    std::size_t left_out_ = 0;              ///< of the messages that are not system messages
    std::vector<text::TokenId> evaluated_;  ///< what slot 0 holds
    std::uint64_t answers_ = 0;
};

}  // namespace tailor::run
