// Conversations as the text and tokens that a model was trained on.
//
// A model file carries its chat template (tokenizer.chat_template, and named ones as tokenizer.chat_template.<name>), in
// the language of templates/template.h. Messages are JSON in the shape of the OpenAI API: {"role": ..., "content": ...}
// with roles system, user, assistant and tool; the template sees them unchanged. A model without a template gets a plain
// form, "User: ...", "Assistant: ...", which base models continue well enough.
//
// Text becomes tokens with control tokens parsed, since the template writes them as text ("<|im_end|>"). So that a user
// cannot forge turns of the conversation, control tokens spelled in the contents of user and tool messages are enclosed
// in two code points that Unicode reserves for internal use, and what is enclosed is tokenized as plain text.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "files/metadata.h"
#include "text/templates/template.h"
#include "text/tokenizer.h"

namespace tailor::text {

struct ChatRequest {
    core::Json messages{core::Json::Array{}};
    core::Json tools;                            ///< an array in the shape of the OpenAI API, or null
    bool add_generation_prompt = true;           ///< end with the beginning of an answer
    core::Json variables{core::Json::Object{}};  ///< further ones that the template knows: {"enable_thinking": false}
    std::tm now = templates::local_time();
};

/// May be used from several threads at once.
class ChatTemplate {
  public:
    /// The templates of a model file, or the plain form. Throws Error(format) or Error(unsupported) naming the line of the
    /// template if it cannot be read; named ones that cannot be read fail when they are asked for.
    ChatTemplate(const files::Metadata& metadata, const Tokenizer& tokenizer);
    /// A template by its text. bos and eos are undefined in it if they are empty.
    ChatTemplate(std::string_view source, std::string bos, std::string eos);
    ~ChatTemplate();
    ChatTemplate(ChatTemplate&&) noexcept;

    /// True if the model has no template of its own.
    bool is_plain() const { return plain_; }
    /// Texts at which an answer ends besides the model's end tokens; the plain form has one.
    std::vector<std::string> stop() const;

    /// Exactly what the template writes; with tools, the template named tool_use if there is one. Throws Error as
    /// Template::render does: kind usage when the template refuses the messages.
    std::string render(const ChatRequest& request) const;

    /// The messages as this template can take them: contents in parts joined to one text if the template cannot read parts,
    /// arguments of tool calls as objects instead of JSON text, and system messages prepended to the next user message if
    /// the template would refuse or lose them. Throws Error(usage) naming the message that is malformed.
    core::Json adapted(const core::Json& messages) const;

    struct Prompt {
        std::string text;  ///< as the template wrote it
        std::vector<TokenId> ids;
    };
    /// render() of the adapted messages, and its tokens, beginning with BOS once if the model wants it.
    Prompt prompt(const Tokenizer& tokenizer, const ChatRequest& request) const;

  private:
    struct Named;
    void add(std::string name, std::string_view source);
    const templates::Template& chosen(bool with_tools) const;
    std::string probe(core::Json messages) const;
    void find_abilities();

    std::vector<Named> templates_;
    std::string bos_, eos_;
    bool plain_ = false;
    bool takes_parts_ = false, takes_system_ = true;
};

}  // namespace tailor::text
