// tailor chat: a conversation in the terminal, or one answer per line of standard input.
#include <csignal>
#include <cstdio>

#include <algorithm>
#include <optional>

#include "cli/common.h"
#include "cli/decoding.h"
#include "cli/line_reader.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "run/conversation.h"

namespace tailor::cli::chat_command {

using core::ErrorKind;
using core::Json;

/// Tokens of an answer by a model without a chat template, which may not know how to end one.
constexpr std::int64_t most_plain_tokens = 128;

struct Settings {
    ModelOptions model;
    run::GenerateOptions generate;
    DecodingOptions decoding;
    std::string system, message, template_file;
    std::vector<std::string> variables;
    std::optional<std::string> most_tokens;
};

static void declare(Options& options, Settings& s) {
    s.model.add(options);
    options.add("-p,--prompt", s.message, "one message; its answer is printed and the program ends");
    options.add("--system", s.system, "system message; @FILE: the content of a file");
    options.add("-n,--predict", s.most_tokens, "most tokens of an answer; without it: until the model ends it");
    add_generation_options(options, s.generate);
    s.decoding.add(options);
    options.add("--template", s.template_file, "a file with a chat template in place of the model's own");
    options.add("--set", s.variables, "a variable of the chat template, NAME=VALUE with a value in JSON: enable_thinking=false (may be given again)");
}

static std::string text_or_file(const std::string& given) { return !given.empty() && given[0] == '@' ? core::read_text_file(given.substr(1)) : given; }

static std::int64_t answer_length(const Settings& s, const text::ChatTemplate& form) {
    if (!s.most_tokens) return form.is_plain() ? most_plain_tokens : -1;
    std::int64_t tokens = -2;
    try {
        tokens = Json::parse(*s.most_tokens).integer();
    } catch (const core::Error&) {
    }
    if (tokens < -1) core::fail(ErrorKind::usage, "-n must be a number of tokens, or -1 until the context is full, not '{}'", *s.most_tokens);
    return tokens;
}

static Json template_variables(const std::vector<std::string>& given) {
    Json result{Json::Object{}};
    for (const std::string& pair : given) {
        const std::size_t equals = pair.find('=');
        if (equals == 0 || equals == std::string::npos) core::fail(ErrorKind::usage, "--set needs NAME=VALUE, not '{}'", pair);
        Json value;
        try {
            value = Json::parse(pair.substr(equals + 1));
        } catch (const core::Error&) {
            value = pair.substr(equals + 1);  // a bare word is text
        }
        result.set(pair.substr(0, equals), std::move(value));
    }
    return result;
}

static text::ChatTemplate form_of(const Settings& s, const run::LanguageModel& model) {
    const text::Tokenizer& tokenizer = model.tokenizer();
    if (s.template_file.empty()) return {model.file().metadata(), tokenizer};
    const auto spelled = [&](text::TokenId id) { return id < 0 ? std::string() : tokenizer.piece(id, true); };
    return {core::read_text_file(s.template_file), spelled(tokenizer.bos()), spelled(tokenizer.eos())};
}

// Ctrl-C ends the answer, not the program. Without SA_RESTART it also ends the wait for a line.
static void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int) { core::request_interrupt(); };
    sigaction(SIGINT, &action, nullptr);
}

/// The dialogue: reads lines, obeys commands, prints answers.
class Dialogue {
  public:
    Dialogue(run::Conversation& conversation, LineReader& reader, bool json) : conversation_(conversation), reader_(reader), json_(json) {}
    void run();
    void answer();

  private:
    struct SlashCommand {
        std::string_view name, help;
        void (Dialogue::*run)(const std::string& argument);
    };
    static std::span<const SlashCommand> commands();
    bool read_message(std::string& message);
    bool read_block(std::string& message);
    void obey(const std::string& line);
    void guarded(const std::function<void()>& work);
    void say(const std::string& line) const;
    void report(const run::Answer& answer);

    void help(const std::string&);
    void clear(const std::string&);
    void system(const std::string& text);
    void undo(const std::string&);
    void regenerate(const std::string&);
    void save(const std::string& path);
    void load(const std::string& path);
    void prompt(const std::string&);
    void quit(const std::string&) { done_ = true; }

    run::Conversation& conversation_;
    LineReader& reader_;
    const bool json_;
    bool done_ = false;
    std::int64_t left_out_ = 0;
};

std::span<const Dialogue::SlashCommand> Dialogue::commands() {
    static constexpr SlashCommand table[] = {
        {"/help", "show this list", &Dialogue::help},
        {"/clear", "forget the conversation, but not the system message", &Dialogue::clear},
        {"/system", "TEXT or @FILE: set the system message; without it: remove it", &Dialogue::system},
        {"/undo", "forget the last message and its answer", &Dialogue::undo},
        {"/regenerate", "answer the last message again", &Dialogue::regenerate},
        {"/save", "FILE: write the conversation as JSON", &Dialogue::save},
        {"/load", "FILE: go on with a conversation that was saved", &Dialogue::load},
        {"/prompt", "show the text that the model sees", &Dialogue::prompt},
        {"/quit", "end the program, as Ctrl-D does", &Dialogue::quit},
    };
    return table;
}

/// To people, not into results.
void Dialogue::say(const std::string& line) const {
    if (json_ || !reader_.is_terminal()) note(line);
    else print(line + "\n");
}

// ---- reading ----

/// Lines between two of """, or the rest of a line that ends with a backslash; false at the end of input.
bool Dialogue::read_block(std::string& message) {
    const std::string fence = "\"\"\"";
    const bool fenced = message == fence;
    if (!fenced && (message.empty() || message.back() != '\\')) return true;
    std::string line, text = fenced ? std::string() : message.substr(0, message.size() - 1) + "\n";
    while (true) {
        const LineReader::Event event = reader_.read(". ", line);
        if (event == LineReader::Event::cancelled) return message.clear(), true;
        if (event == LineReader::Event::end) return message = text, !text.empty();
        if (fenced && line == fence) break;
        if (!fenced && (line.empty() || line.back() != '\\')) {
            text += line;
            break;
        }
        text += (fenced ? line : line.substr(0, line.size() - 1)) + "\n";
    }
    message = fenced && !text.empty() ? text.substr(0, text.size() - 1) : text;
    return true;
}

bool Dialogue::read_message(std::string& message) {
    const LineReader::Event event = reader_.read("> ", message);
    if (event == LineReader::Event::end) return false;
    if (event == LineReader::Event::line) return read_block(message);
    message.clear();
    say("(Ctrl-D or /quit ends the program)");
    return true;
}

void Dialogue::run() {
    std::string message;
    while (!done_ && read_message(message)) {
        if (message.find_first_not_of(" \t\n") == std::string::npos) continue;
        guarded([&] {
            if (message[0] == '/') return obey(message);
            conversation_.add_user(message);
            try {
                answer();
            } catch (const core::Error&) {
                conversation_.undo();
                throw;
            }
        });
    }
    if (reader_.is_terminal()) print("\n");
}

/// At a terminal a mistake is shown and the conversation goes on; elsewhere it ends the program.
void Dialogue::guarded(const std::function<void()>& work) {
    if (!reader_.is_terminal()) return work();
    try {
        work();
    } catch (const core::Error& error) {
        say(core::format("tailor: {}", error.what()));
    }
}

// A "/" that begins no known command is a mistake rather than a message: a mistyped command should not be answered.
void Dialogue::obey(const std::string& line) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string word = line.substr(0, space), argument = line.substr(std::min(space + 1, line.size()));
    for (const SlashCommand& command : commands())
        if (command.name == word) return (this->*command.run)(argument);
    core::fail(ErrorKind::usage, "there is no command '{}'; /help shows the list, and a message may begin with a space", word);
}

// ---- answering ----

void Dialogue::answer() {
    core::take_interrupt();
    bool begins = true;
    const run::Answer a = conversation_.answer([&](std::string_view piece) {
        if (json_) return;
        if (begins) piece.remove_prefix(std::min(piece.find_first_not_of(" \n"), piece.size()));  // the answer as it is kept
        begins = begins && piece.empty();
        std::fwrite(piece.data(), 1, piece.size(), stdout);
        std::fflush(stdout);
    });
    core::take_interrupt();
    report(a);
    if (a.stop_reason == "interrupted" && !reader_.is_terminal()) core::fail(ErrorKind::interrupted, "interrupted");
}

void Dialogue::report(const run::Answer& a) {
    const double prompt_rate = static_cast<double>(a.prompt_tokens - a.reused_tokens) / a.prompt_seconds;
    const double rate = static_cast<double>(a.answer_tokens) / a.decode_seconds;
    if (json_) {
        Json j;
        j.set("content", a.text).set("stop_reason", a.stop_reason).set("prompt_tokens", a.prompt_tokens).set("reused_tokens", a.reused_tokens);
        j.set("answer_tokens", a.answer_tokens).set("prompt_tokens_per_second", prompt_rate).set("decode_tokens_per_second", rate);
        if (a.speculation) j.set("speculation", a.speculation->json());
        print(j.text(-1) + "\n");
    } else {
        print(a.stop_reason == "interrupted" ? " [interrupted]\n" : "\n");
        if (reader_.is_terminal() && a.stop_reason != "interrupted")
            note(core::format("[{} of {} prompt tokens new at {:.1f}/s, {} written at {:.1f}/s, stopped: {}]", a.prompt_tokens - a.reused_tokens,
                              a.prompt_tokens, prompt_rate, a.answer_tokens, rate, a.stop_reason));
        if (reader_.is_terminal() && a.speculation) note("[" + a.speculation->text() + "]");
    }
    std::fflush(stdout);
    if (conversation_.left_out() > left_out_)
        note(core::format("[the oldest {} messages no longer fit the context and are left out]", conversation_.left_out()));
    left_out_ = conversation_.left_out();
}

// ---- commands ----

void Dialogue::help(const std::string&) {
    for (const SlashCommand& command : commands()) say(core::format("{:<12} {}", command.name, command.help));
    say("A line that ends with \\ goes on in the next one; lines between two of \"\"\" are one message.\n"
        "Ctrl-C stops an answer, Ctrl-D ends the program.");
}

void Dialogue::clear(const std::string&) { conversation_.clear(); }

void Dialogue::system(const std::string& text) { conversation_.set_system(text_or_file(text)); }

void Dialogue::undo(const std::string&) {
    if (!conversation_.undo()) core::fail(ErrorKind::usage, "there is no message to undo");
}

void Dialogue::regenerate(const std::string&) {
    if (!conversation_.take_back_answer()) core::fail(ErrorKind::usage, "there is no answer to give again");
    answer();
}

void Dialogue::save(const std::string& path) {
    if (path.empty()) core::fail(ErrorKind::usage, "/save needs the name of a file");
    core::write_text_file(path, conversation_.messages().text() + "\n");
    say(core::format("{} messages written to {}", conversation_.messages().items().size(), path));
}

void Dialogue::load(const std::string& path) {
    if (path.empty()) core::fail(ErrorKind::usage, "/load needs the name of a file");
    conversation_.set_messages(Json::parse(core::read_text_file(path), path));
    say(core::format("{} messages read from {}", conversation_.messages().items().size(), path));
}

void Dialogue::prompt(const std::string&) { say(conversation_.prompt_text()); }

// ---- the program ----

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    s.generate.sampler.check();
    const auto model = s.model.open();
    const text::ChatTemplate form = form_of(s, *model);
    s.generate.most_tokens = answer_length(s, form);
    core::Pool pool(checked_threads(s.model.threads));
    run::Session session(model, pool, s.model.session());
    const auto mask = s.decoding.mask(*model);
    const auto drafter = s.decoding.drafter(session, pool, s.generate.sampler);
    s.generate.mask = mask.get(), s.generate.drafter = drafter.get();
    run::Conversation conversation(session, form, s.generate);
    conversation.set_variables(template_variables(s.variables));
    conversation.set_system(text_or_file(s.system));
    const std::unique_ptr<LineReader> reader = make_line_reader();
    show_prompt_progress(session);
    catch_interrupts();
    Dialogue dialogue(conversation, *reader, options.json());
    if (!s.message.empty()) {
        conversation.add_user(s.message);
        return dialogue.answer();
    }
    if (reader->is_terminal() && form.is_plain()) note("[this model has no chat template: it continues \"User: ...\" and \"Assistant: ...\"]");
    dialogue.run();
}

}  // namespace tailor::cli::chat_command

namespace tailor::cli::entries {
extern const Command chat = {
    .name = "chat",
    .doc = "talk with a model",
    .examples = "tailor chat model.gguf\n"
                "tailor chat model.gguf --system \"Answer in one sentence.\" --temp 0.7\n"
                "tailor chat model.gguf --system @role.txt --set enable_thinking=false\n"
                "tailor chat model.gguf -p \"What is a tailor?\"\n"
                "tailor chat model.gguf --speculate prompt-lookup\n"
                "tailor chat model.gguf --json-schema answer.json --json < questions.txt\n"
                "tailor chat model.gguf --json < questions.txt",
    .run = &chat_command::run,
    .place = 15,
};
}  // namespace tailor::cli::entries
