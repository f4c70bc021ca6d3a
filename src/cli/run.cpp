// tailor run: continue a prompt, streaming.
#include <unistd.h>

#include <cstdio>

#include "cli/common.h"
#include "cli/decoding.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "run/comparison.h"
#include "run/evictions/registry.h"
#include "run/sparsity.h"

namespace tailor::cli::run_command {

struct Settings {
    ModelOptions model;
    run::GenerateOptions generate;
    DecodingOptions decoding;
    std::string prompt, prompt_file;
    std::vector<std::int32_t> token_ids;
    run::KvBudgetOptions kv_budget;
    run::SparsityOptions sparsity;
    std::string sparsity_text;
    bool no_prompt = false, explain = false, check = false;
};

static void declare(Options& options, Settings& s) {
    s.model.add(options);
    options.add("text,-p,--prompt", s.prompt, "the prompt; '-' or nothing: standard input");
    options.add("-f,--file", s.prompt_file, "read the prompt from a file");
    options.add("--token-ids", s.token_ids, "the prompt as token ids, taken as they are: 1,2,3; the end token does not stop it either");
    options.add("-n,--predict", s.generate.most_tokens, "tokens to write; -1: until the context is full");
    add_generation_options(options, s.generate);
    s.decoding.add(options);
    options.add("--kv-budget", s.kv_budget.entries, "most entries of the KV cache, fewer than the text has tokens; says what it gained and what it changed");
    options.add("--kv-policy", s.kv_budget.policy, "which entries of a limited cache stay: " + run::evictions::names());
    options.add("--sparsity", s.sparsity.share, "leave out this share of the feed-forward neurons of each written token, 0.5; says what it gained and what it changed");
    options.add("--sparsity-rule", s.sparsity.rule, "which neurons: cats (small gates) or chess (small gates of neurons that let little through)");
    options.add("--sparsity-text", s.sparsity_text, "file whose first 256 tokens tell which gates are small; without one, the prompt");
    options.flag("--ignore-eos", s.generate.ignore_end, "go on after the model's end token");
    options.flag("--no-prompt", s.no_prompt, "do not print the prompt before its continuation");
    options.flag("--explain", s.explain, "print the kernel of each node and why faster ones declined, then stop");
    options.flag("--check", s.check, "run the reference beside each kernel for the prompt and report what differs, then stop");
}

static std::string prompt_text(const Settings& s) {
    if (!s.prompt_file.empty()) return core::read_text_file(s.prompt_file);
    if (!s.prompt.empty() && s.prompt != "-") return s.prompt;
    if (s.prompt.empty() && ::isatty(STDIN_FILENO)) core::fail(core::ErrorKind::usage, "there is no prompt: give it as an argument, with -f FILE, or on standard input");
    return core::read_text_file("-");
}

// Every kernel of a prompt against the double-precision reference; 1e-4 of a node's largest value is far above the
// rounding of f32 sums and far below any real mistake.
static void check_kernels(run::Session& session, const std::vector<text::TokenId>& ids, bool json) {
    constexpr double tolerance = 1e-4;
    std::vector<graph::Divergence> found;
    session.set_runner([&](graph::Plan& plan, const ops::Batch& batch) { found = plan.run_checked(batch, tolerance); });
    session.evaluate(std::span(ids).first(std::min(ids.size(), static_cast<std::size_t>(session.options().batch))));
    session.set_runner({});
    core::Json rows{core::Json::Array{}};
    for (const graph::Divergence& d : found) {
        rows.add(core::Json().set("node", d.node).set("kernel", d.kernel).set("relative_error", d.relative_error));
        if (!json) print(core::format("{} ({}): off by {:.3g} of its largest value\n", d.node, d.kernel, d.relative_error));
    }
    if (json) print_json(core::Json().set("tolerance", tolerance).set("divergences", std::move(rows)));
    else if (found.empty()) print("every node agrees with its reference within 1e-4 of its largest value\n");
    if (!found.empty()) core::fail(core::ErrorKind::numeric, "{} nodes differ from their reference, the first is {}", found.size(), found[0].node);
}

// What a way of decoding that changes the text gained, and how much it changes: against a session of the same model without it.
static std::optional<run::Comparison> compare_with_plain(const Settings& s, run::Session& session, core::Pool& pool, std::vector<text::TokenId> text, const std::vector<text::TokenId>& written) {
    if (s.kv_budget.entries == 0 && s.sparsity.share == 0) return {};
    text.insert(text.end(), written.begin(), written.end());
    run::SessionOptions options = s.model.session();
    run::Session plain(session.shared_model(), pool, options);
    return run::compare_steps(session, plain, text, static_cast<std::int64_t>(written.size()));
}

static void write_text(const Settings& s, run::Session& session, core::Pool& pool, const std::vector<text::TokenId>& ids, const std::string& prompt, bool json) {
    const bool streams = !json && session.model().has_tokenizer();
    // After the line that tells how far the prompt is, which may stand on the same terminal.
    bool prompt_is_due = streams && !s.no_prompt;
    const auto write = [&](std::string_view piece) {
        if (prompt_is_due) print(prompt);
        prompt_is_due = false;
        std::fwrite(piece.data(), 1, piece.size(), stdout);
        std::fflush(stdout);
    };
    show_prompt_progress(session);
    const run::Generated g = run::generate(session, ids, s.generate, [&](std::string_view piece) {
        if (streams) write(piece);
    });
    write("");
    const std::optional<run::Comparison> change = compare_with_plain(s, session, pool, ids, g.ids);
    const double prompt_rate = static_cast<double>(ids.size()) / g.prompt_seconds, decode_rate = static_cast<double>(g.ids.size()) / g.decode_seconds;
    if (json) {
        core::Json j;
        j.set("prompt_ids", core::Json::array(ids)).set("ids", core::Json::array(g.ids)).set("text", g.text).set("stop_reason", g.stop_reason);
        j.set("prompt_tokens_per_second", prompt_rate).set("decode_tokens_per_second", decode_rate);
        if (g.speculation) j.set("speculation", g.speculation->json());
        if (change) j.set("against_plain_decoding", change->json());
        return print_json(j);
    }
    if (!streams) {
        std::vector<std::string> words;
        for (const text::TokenId id : g.ids) words.push_back(std::to_string(id));
        print(core::join(words, ","));
    }
    print("\n");
    if (::isatty(STDERR_FILENO))
        note(core::format("[{} prompt tokens at {:.1f}/s, {} written at {:.1f}/s, stopped: {}]", ids.size(), prompt_rate, g.ids.size(), decode_rate, g.stop_reason));
    if (g.speculation) note(g.speculation->text());
    if (change) note("against plain decoding: " + change->text());
}

// The thresholds that were asked for; null if none were.
static std::unique_ptr<run::Sparsity> make_sparsity(const Settings& s, const std::shared_ptr<run::LanguageModel>& model, core::Pool& pool, const std::vector<text::TokenId>& prompt) {
    if (s.sparsity.share == 0) return nullptr;
    run::Session dense(model, pool, s.model.session());
    return std::make_unique<run::Sparsity>(dense, s.sparsity_text.empty() ? prompt : model->tokenizer().encode(core::read_text_file(s.sparsity_text)), s.sparsity);
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    s.generate.sampler.check();
    // "tailor run 'Once upon'" means a prompt for the built-in model, unless that is the name of a file.
    if (s.prompt.empty() && s.prompt_file.empty() && s.token_ids.empty() && !s.model.model.empty() && s.model.model != "default" &&
        ::access(s.model.model.c_str(), F_OK) != 0 && s.model.model.find(' ') != std::string::npos)
        std::swap(s.prompt, s.model.model);
    if (s.generate.most_tokens < -1) core::fail(core::ErrorKind::usage, "-n must be 0 or more, or -1 until the context is full, not {}", s.generate.most_tokens);
    if (s.kv_budget.entries < 0) core::fail(core::ErrorKind::usage, "--kv-budget must not be negative, it is {}", s.kv_budget.entries);
    if ((s.prompt.empty() ? 0 : 1) + (s.prompt_file.empty() ? 0 : 1) + (s.token_ids.empty() ? 0 : 1) > 1)
        core::fail(core::ErrorKind::usage, "the prompt was given more than once: of -p, -f and --token-ids only one can be");
    const auto model = s.model.open();
    core::Pool pool(checked_threads(s.model.threads));
    std::vector<text::TokenId> ids = s.token_ids;
    std::string prompt;
    s.generate.ignore_end |= !ids.empty();  // so that a continuation can be compared id by id
    if (ids.empty() && !s.explain) {
        prompt = prompt_text(s);
        ids = model->tokenizer().encode(prompt);
    }
    const std::unique_ptr<run::Sparsity> sparsity = make_sparsity(s, model, pool, ids);
    run::SessionOptions session_options = s.model.session();
    session_options.kv_budget = s.kv_budget;
    if (sparsity) session_options.rewrite = [&](const graph::Graph& graph) { return sparsity->apply(graph); };
    run::Session session(model, pool, session_options);
    if (s.explain) {
        if (options.json()) print_json(session.plan(1, 1).explain_json());
        else print(session.plan(1, 1).explain());
        return;
    }
    const auto mask = s.decoding.mask(*model);
    const auto drafter = s.decoding.drafter(session, pool, s.generate.sampler);
    s.generate.mask = mask.get(), s.generate.drafter = drafter.get();
    if (s.check) check_kernels(session, ids, options.json());
    else write_text(s, session, pool, ids, prompt, options.json());
}

}  // namespace tailor::cli::run_command

namespace tailor::cli::entries {
extern const Command run = {
    .name = "run",
    .doc = "continue a prompt",
    .examples = "tailor run model.gguf \"Once upon a time\"\n"
                "tailor run -p \"It was a dark night\" -n 200 --temp 0.7 --seed 1\n"
                "tailor run model.gguf -f story.txt --stop \"The end\"\n"
                "echo \"My dear\" | tailor run model.gguf --json\n"
                "tailor run model.gguf --token-ids 1,2,3 -n 48 --temp 0 --json\n"
                "tailor run model.gguf -p \"A person as JSON:\" --json-schema '{\"properties\":{\"name\":{\"type\":\"string\"}},\"required\":[\"name\"]}'\n"
                "tailor run model.gguf -f report.txt --speculate prompt-lookup\n"
                "tailor run model.gguf -p Hello --speculate draft=small.gguf --temp 0\n"
                "tailor run model.gguf -f report.txt -c 8192 --kv-budget 1024\n"
                "tailor run model.gguf -p Hello --sparsity 0.5 --sparsity-text text.txt\n"
                "tailor run model.gguf -p Hello --explain",
    .run = &run_command::run,
    .place = 10,
};
}  // namespace tailor::cli::entries
