// Rendering and encoding of conversations; see chat.h.
#include "text/chat.h"

#include <algorithm>
#include <optional>

#include "core/error.h"

namespace tailor::text {

using core::ErrorKind;
using core::Json;

static constexpr std::string_view key = "tokenizer.chat_template";

static constexpr std::string_view plain_source =
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content }}\n\n"
    "{% else %}{{ message.role | capitalize }}: {{ message.content }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}";

// Noncharacters of Unicode ("for internal use"), around text whose control tokens are plain text.
static constexpr std::string_view plain_begins = "\xEF\xB7\x90", plain_ends = "\xEF\xB7\x91";  // U+FDD0, U+FDD1

/// A template by its name ("": the default one), or the error that reading it gave.
struct ChatTemplate::Named {
    std::string name;
    std::optional<templates::Template> parsed;
    std::optional<core::Error> error;
};

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;

void ChatTemplate::add(std::string name, std::string_view source) {
    Named& named = templates_.emplace_back();
    named.name = std::move(name);
    try {
        named.parsed.emplace(source, named.name.empty() ? "chat template" : "chat template '" + named.name + "'");
    } catch (const core::Error& error) {
        if (named.name.empty()) throw;
        named.error = error;
    }
}

ChatTemplate::ChatTemplate(const files::Metadata& metadata, const Tokenizer& tokenizer) {
    if (tokenizer.bos() >= 0) bos_ = tokenizer.piece(tokenizer.bos(), true);
    if (tokenizer.eos() >= 0) eos_ = tokenizer.piece(tokenizer.eos(), true);
    plain_ = !metadata.find(key);
    add("", metadata.text(key, plain_source));
    for (const auto& [name, value] : metadata.entries())
        if (name.size() > key.size() + 1 && name.substr(0, key.size()) == key && name[key.size()] == '.' && value.type == files::MetaType::string)
            add(name.substr(key.size() + 1), value.text);
    find_abilities();
}

ChatTemplate::ChatTemplate(std::string_view source, std::string bos, std::string eos) : bos_(std::move(bos)), eos_(std::move(eos)) {
    add("", source);
    find_abilities();
}

std::vector<std::string> ChatTemplate::stop() const { return plain_ ? std::vector<std::string>{"\nUser:"} : std::vector<std::string>(); }

const templates::Template& ChatTemplate::chosen(bool with_tools) const {
    const Named* chosen = &templates_[0];
    for (const Named& named : templates_)
        if (with_tools && named.name == "tool_use") chosen = &named;
    if (chosen->error) throw *chosen->error;
    return *chosen->parsed;
}

std::string ChatTemplate::render(const ChatRequest& request) const {
    Json variables{Json::Object{}};
    if (!bos_.empty()) variables.set("bos_token", bos_);
    if (!eos_.empty()) variables.set("eos_token", eos_);
    variables.set("messages", request.messages).set("tools", request.tools).set("documents", nullptr);
    variables.set("add_generation_prompt", request.add_generation_prompt);
    for (const auto& [name, value] : request.variables.members()) variables.set(name, value);
    const bool with_tools = request.tools.is_array() && !request.tools.items().empty();
    return chosen(with_tools).render(variables, {.now = request.now});
}

// ---- what a template can take, found by trying ----

static Json message(std::string_view role, Json content) { return Json().set("role", role).set("content", std::move(content)); }

/// "" when the template refuses.
std::string ChatTemplate::probe(Json messages) const {
    try {
        return render({.messages = std::move(messages)});
    } catch (const core::Error&) {
        return {};
    }
}

void ChatTemplate::find_abilities() {
    const std::string mark = "tailor-probe";
    const auto has_mark = [&](const std::string& text) { return text.find(mark) != std::string::npos; };
    const std::string in_parts = probe(Json::Array{message("user", Json::Array{Json().set("type", "text").set("text", mark)})});
    // A template that prints the list as it is writes the word "type" too.
    takes_parts_ = has_mark(in_parts) && in_parts.find("'type'") == std::string::npos && in_parts.find("\"type\"") == std::string::npos;
    // A template that cannot even take this user message says nothing about system messages.
    if (has_mark(probe(Json::Array{message("user", mark)})))
        takes_system_ = has_mark(probe(Json::Array{message("system", mark), message("user", "x")}));
}

// ---- messages as a template can take them ----

/// Contents in parts as one text; Error(usage) for parts that are no text.
static Json joined_parts(const Json& content, std::size_t index) {
    std::string text;
    for (const Json& part : content.items()) {
        const Json* const type = part.find("type");
        const Json* const piece = part.find("text");
        if (!piece || !piece->is_string() || (type && type->is_string() && type->string() != "text"))
            core::fail(ErrorKind::usage, "message {}: only text can be in its content, not '{}'", index,
                       type && type->is_string() ? type->string() : "?");
        text += piece->string();
    }
    return text;
}

/// "{\"a\": 1}" -> {"a": 1}; anything else stays.
static Json parsed_arguments(const Json& arguments) {
    if (!arguments.is_string()) return arguments;
    try {
        Json parsed = Json::parse(arguments.string());
        return parsed.is_object() ? parsed : arguments;
    } catch (const core::Error&) {
        return arguments;
    }
}

static Json with_parsed_arguments(const Json& calls) {
    if (!calls.is_array()) return calls;
    Json::Array result;
    for (Json call : calls.items()) {
        const Json* const function = call.find("function");
        if (function && function->is_object() && function->find("arguments"))
            call.set("function", Json(*function).set("arguments", parsed_arguments(function->at("arguments"))));
        result.push_back(std::move(call));
    }
    return result;
}

/// System messages put before the user message that follows them.
static Json without_system(const Json::Array& messages) {
    Json::Array result;
    std::string pending;
    for (const Json& m : messages) {
        const Json* const content = m.find("content");
        const bool is_text = content && content->is_string();
        if (m.at("role").string() == "system" && is_text) {
            pending += content->string() + "\n\n";
        } else if (m.at("role").string() == "user" && is_text && !pending.empty()) {
            result.push_back(Json(m).set("content", std::exchange(pending, {}) + content->string()));
        } else {
            result.push_back(m);
        }
    }
    if (!pending.empty()) result.push_back(message("user", pending.substr(0, pending.size() - 2)));
    return result;
}

Json ChatTemplate::adapted(const Json& messages) const {
    if (!messages.is_array()) core::fail(ErrorKind::usage, "messages must be an array");
    Json::Array result;
    bool has_system = false;
    for (std::size_t i = 0; i < messages.items().size(); ++i) {
        Json m = messages.items()[i];
        const Json* const role = m.find("role");
        if (!role || !role->is_string()) core::fail(ErrorKind::usage, "message {} has no role", i);
        has_system |= role->string() == "system";
        if (const Json* const content = m.find("content"); content && content->is_array() && !takes_parts_)
            m.set("content", joined_parts(*content, i));
        if (const Json* const calls = m.find("tool_calls")) m.set("tool_calls", with_parsed_arguments(*calls));
        result.push_back(std::move(m));
    }
    return has_system && !takes_system_ ? without_system(result) : Json(std::move(result));
}

// ---- tokens ----

static void erase_all(std::string& text, std::string_view part) {
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) text.erase(at, part.size());
}

/// The texts of control tokens that are spelled in `text`, longest first.
static std::vector<std::string> control_tokens_in(const Tokenizer& tokenizer, std::string_view text) {
    std::vector<std::string> found;
    for (const TokenId id : tokenizer.encode(text, {.add_special = false, .parse_special = true})) {
        const std::string spelled = tokenizer.piece(id, true);
        if (!spelled.empty() && tokenizer.piece(id, false).empty() && std::find(found.begin(), found.end(), spelled) == found.end())
            found.push_back(spelled);
    }
    std::sort(found.begin(), found.end(), [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
    return found;
}

/// `text` with every control token in it enclosed.
static std::string enclosed(const Tokenizer& tokenizer, std::string text) {
    erase_all(text, plain_begins);
    erase_all(text, plain_ends);
    const std::vector<std::string> tokens = control_tokens_in(tokenizer, text);
    std::string result;
    for (std::size_t at = 0; at < text.size() && !tokens.empty();) {
        const auto token = std::find_if(tokens.begin(), tokens.end(), [&](const std::string& t) { return text.compare(at, t.size(), t) == 0; });
        if (token == tokens.end()) {
            result += text[at++];
        } else {
            result.append(plain_begins).append(*token).append(plain_ends);
            at += token->size();
        }
    }
    return tokens.empty() ? text : result;
}

/// Contents that others than the model and its operator wrote.
static Json with_enclosed_contents(const Tokenizer& tokenizer, const Json& messages) {
    Json::Array result;
    for (Json m : messages.items()) {
        const std::string role = m.at("role").string();
        const Json* const content = m.find("content");
        if ((role == "user" || role == "tool") && content && content->is_string()) m.set("content", enclosed(tokenizer, content->string()));
        if ((role == "user" || role == "tool") && content && content->is_array()) {
            Json::Array parts;
            for (Json part : content->items()) {
                if (const Json* const text = part.find("text"); text && text->is_string()) part.set("text", enclosed(tokenizer, text->string()));
                parts.push_back(std::move(part));
            }
            m.set("content", std::move(parts));
        }
        result.push_back(std::move(m));
    }
    return result;
}

/// Tokens of a rendered text, in which enclosed parts hold no control tokens.
static std::vector<TokenId> encoded(const Tokenizer& tokenizer, std::string_view text, const std::string& bos) {
    const bool adds_bos = tokenizer.adds_bos() && tokenizer.bos() >= 0 && (bos.empty() || text.substr(0, bos.size()) != bos);
    std::vector<TokenId> ids;
    if (adds_bos) ids.push_back(tokenizer.bos());
    while (!text.empty()) {
        const std::size_t begin = std::min(text.find(plain_begins), text.size());
        const auto append = [&](std::string_view part, bool parse_special) {
            if (part.empty()) return;
            const std::vector<TokenId> more = tokenizer.encode(part, {.add_special = false, .parse_special = parse_special});
            ids.insert(ids.end(), more.begin(), more.end());
        };
        append(text.substr(0, begin), true);
        text.remove_prefix(std::min(begin + plain_begins.size(), text.size()));
        if (text.empty()) break;
        const std::size_t end = std::min(text.find(plain_ends), text.size());
        append(text.substr(0, end), false);
        text.remove_prefix(std::min(end + plain_ends.size(), text.size()));
    }
    return ids;
}

ChatTemplate::Prompt ChatTemplate::prompt(const Tokenizer& tokenizer, const ChatRequest& request) const {
    ChatRequest prepared = request;
    prepared.messages = with_enclosed_contents(tokenizer, adapted(request.messages));
    Prompt result;
    result.text = render(prepared);
    result.ids = encoded(tokenizer, result.text, bos_);
    erase_all(result.text, plain_begins);
    erase_all(result.text, plain_ends);
    return result;
}

}  // namespace tailor::text
