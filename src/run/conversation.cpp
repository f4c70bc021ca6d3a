// See conversation.h.
#include "run/conversation.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace tailor::run {

using core::ErrorKind;
using core::Json;

Conversation::Conversation(Session& session, const text::ChatTemplate& form, GenerateOptions options)
    : session_(session), form_(form), options_(std::move(options)) {
    for (std::string& stop : form_.stop()) options_.stop.push_back(std::move(stop));
    session_.reset();
}

static bool has_role(const Json& message, std::string_view role) { return message.at("role").string() == role; }

void Conversation::set_messages(const Json& messages) {
    if (!messages.is_array()) core::fail(ErrorKind::usage, "a conversation is an array of messages");
    for (const Json& message : messages.items()) {
        const Json* const role = message.find("role");
        if (!role || !role->is_string()) core::fail(ErrorKind::usage, "a message of the conversation has no role");
    }
    messages_ = messages.items();
    left_out_ = 0;
}

void Conversation::set_system(const std::string& text) {
    messages_.erase(std::remove_if(messages_.begin(), messages_.end(), [](const Json& m) { return has_role(m, "system"); }), messages_.end());
    if (!text.empty()) messages_.insert(messages_.begin(), Json().set("role", "system").set("content", text));
}

void Conversation::add_user(const std::string& text) { messages_.push_back(Json().set("role", "user").set("content", text)); }

bool Conversation::undo() {
    const auto last = std::find_if(messages_.rbegin(), messages_.rend(), [](const Json& m) { return has_role(m, "user"); });
    if (last == messages_.rend()) return false;
    messages_.erase(last.base() - 1, messages_.end());
    left_out_ = 0;
    return true;
}

bool Conversation::take_back_answer() {
    if (messages_.empty() || !has_role(messages_.back(), "assistant")) return false;
    taken_back_ = std::move(messages_.back());
    messages_.pop_back();
    return true;
}

void Conversation::clear() {
    messages_.erase(std::remove_if(messages_.begin(), messages_.end(), [](const Json& m) { return !has_role(m, "system"); }), messages_.end());
    left_out_ = 0;
}

text::ChatRequest Conversation::request() const {
    text::ChatRequest request;
    request.variables = variables_;
    std::size_t skipped = 0;
    Json::Array shown;
    for (const Json& message : messages_)
        if (has_role(message, "system") || skipped++ >= left_out_) shown.push_back(message);
    request.messages = Json(std::move(shown));
    return request;
}

/// How many of the oldest messages may be left out, from as many as are now to all before the last question: whole exchanges.
std::vector<std::size_t> Conversation::places_to_begin() const {
    std::vector<std::size_t> places{left_out_};
    std::size_t place = 0;
    for (const Json& message : messages_) {
        if (has_role(message, "system")) continue;
        if (place > left_out_ && has_role(message, "user")) places.push_back(place);
        ++place;
    }
    return places;
}

// Tokens of as many messages as leave room for an answer: a quarter of the context, or what is asked for if that is less.
std::vector<text::TokenId> Conversation::fitting_prompt() {
    const std::int64_t context = session_.context(), quarter = std::max<std::int64_t>(1, context / 4);
    const std::int64_t room = options_.most_tokens < 0 ? quarter : std::clamp<std::int64_t>(options_.most_tokens, 1, quarter);
    const auto prompt_from = [&](std::size_t place) {
        left_out_ = place;
        std::vector<text::TokenId> ids = form_.prompt(session_.model().tokenizer(), request()).ids;
        if (ids.empty()) core::fail(ErrorKind::usage, "the conversation has no tokens");
        return ids;
    };
    const auto fits = [&](const std::vector<text::TokenId>& ids) { return static_cast<std::int64_t>(ids.size()) + room <= context; };
    const std::vector<std::size_t> places = places_to_begin();
    std::vector<text::TokenId> ids = prompt_from(places[0]);
    if (fits(ids)) return ids;
    // By halves: a conversation that was read from a file may be many times as long as the context.
    std::size_t too_long = 0, last = places.size() - 1;
    while (last - too_long > 1) {
        const std::size_t middle = (too_long + last) / 2;
        (fits(prompt_from(places[middle])) ? last : too_long) = middle;
    }
    ids = prompt_from(places[last]);
    if (static_cast<std::int64_t>(ids.size()) < context) return ids;
    core::fail(ErrorKind::usage, "the last message makes a prompt of {} tokens, but the context has {}; ask for a larger one with -c", ids.size(), context);
}

static std::string trimmed(const std::string& text) {
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    return begin == std::string::npos ? std::string() : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

Answer Conversation::answer(const std::function<void(std::string_view)>& stream) {
    const std::optional<Json> before = std::exchange(taken_back_, {});
    try {
        Answer answer = write_answer(stream);
        const bool nothing = answer.stop_reason == "interrupted" && answer.text.empty();
        if (!nothing) messages_.push_back(Json().set("role", "assistant").set("content", answer.text));
        else if (before) messages_.push_back(*before);
        else undo();
        return answer;
    } catch (const core::Error&) {
        if (before) messages_.push_back(*before);
        throw;
    }
}

Answer Conversation::write_answer(const std::function<void(std::string_view)>& stream) {
    const std::vector<text::TokenId> prompt = fitting_prompt();
    // The last token is evaluated in any case: its logits are needed.
    std::size_t same = 0;
    while (same + 1 < prompt.size() && same < evaluated_.size() && evaluated_[same] == prompt[same]) ++same;
    if (session_.model().family().build_encoder) same = 0;  // what an encoder reads, it reads whole
    same = static_cast<std::size_t>(session_.keep(static_cast<std::int64_t>(same)));
    evaluated_ = prompt;

    Answer answer;
    answer.prompt_tokens = static_cast<std::int64_t>(prompt.size());
    answer.reused_tokens = static_cast<std::int64_t>(same);
    GenerateOptions options = options_;
    options.sampler.seed += answers_++;  // so that another answer to the same question is another answer
    if (options.mask) options.mask->restart();
    std::string written;
    try {
        const auto keep = [&](std::string_view piece) {
            written += piece;
            if (stream) stream(piece);
        };
        const Generated generated = generate(session_, prompt, options, keep, answer.reused_tokens);
        evaluated_.insert(evaluated_.end(), generated.ids.begin(), generated.ids.end());
        answer.stop_reason = generated.stop_reason;
        answer.answer_tokens = static_cast<std::int64_t>(generated.ids.size());
        answer.prompt_seconds = generated.prompt_seconds, answer.decode_seconds = generated.decode_seconds;
        answer.speculation = generated.speculation;
    } catch (const core::Error& error) {
        // Which tokens were written is not known; the prompt's are.
        evaluated_.resize(static_cast<std::size_t>(session_.keep(std::min<std::int64_t>(session_.past(), answer.prompt_tokens))));
        if (error.kind() != ErrorKind::interrupted) throw;
        answer.stop_reason = "interrupted";
    }
    evaluated_.resize(std::min(evaluated_.size(), static_cast<std::size_t>(session_.past())));
    answer.text = trimmed(written);
    return answer;
}

}  // namespace tailor::run
