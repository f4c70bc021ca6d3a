// tailor eval: perplexity of a model on text, and how far it is from a reference model.
#include "cli/common.h"
#include "cli/outputs.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "run/evictions/registry.h"

namespace tailor::cli::eval_command {

struct Settings {
    std::string model, adapter, file, reference, logits, kv_format = "f32";
    std::vector<std::int32_t> token_ids;
    std::int64_t threads = 0, window = 0, windows = 0;
    bool exact = false, fast = false;
    run::KvBudgetOptions kv_budget;
};

static void declare(Options& options, Settings& s) {
    options.add("model,-m,--model", s.model, "model file (GGUF); without one, the small English model built in");
    options.add("--adapter", s.adapter, "adapter to compute with beside the weights: a GGUF file, or a folder of PEFT's");
    options.add("-f,--file", s.file, "text to evaluate on; '-' or nothing: standard input");
    options.add("--reference", s.reference, "also measure the divergence from this model; 'default': the one built in");
    options.add("-c,--context", s.window, "tokens in a window, the second half of which is scored; 0: 512, or the model's context if smaller");
    options.add("--windows", s.windows, "most windows to evaluate; 0: the whole text");
    options.add("--token-ids", s.token_ids, "evaluate exactly these ids: 1,2,3; needs --logits-out");
    options.add("--logits-out", s.logits, "write the logits of all tokens as raw little-endian float32 [tokens][vocabulary]");
    options.add("--kv", s.kv_format, "number format of the KV cache: f32, f16, bf16, q8_0 ...");
    options.add("--kv-budget", s.kv_budget.entries, "most entries of the KV cache; the divergence is then from the model with its whole cache, or from --reference");
    options.add("--kv-policy", s.kv_budget.policy, "which entries of a limited cache stay: " + run::evictions::names());
    options.add("-t,--threads", s.threads, "threads; 0: one per core");
    options.flag("--fast", s.fast, "activations of 8 bits instead of 16, for weights of 4 bits and less");
    options.flag("--exact", s.exact, "by the double-precision reference of every operator: slow");
}

static run::SessionOptions session_options(const Settings& s, std::int64_t tokens) {
    return {.context = tokens, .batch = tokens, .kv_format = s.kv_format, .use_reference = s.exact, .fast = s.fast};
}

static std::vector<text::TokenId> ids_of(const run::LanguageModel& model, const Settings& s) {
    if (!s.token_ids.empty()) return s.token_ids;
    return model.tokenizer().encode(input_text(s.file, "text to evaluate on"));
}

// Every row of logits, raw: for comparing with other programs. An encoder sees all tokens at once; others go on from batch to batch.
static void write_logits(const std::shared_ptr<run::LanguageModel>& model, const Settings& s, core::Pool& pool, bool json) {
    const std::vector<text::TokenId> ids = ids_of(*model, s);
    const auto tokens = static_cast<std::int64_t>(ids.size());
    if (tokens == 0) core::fail(core::ErrorKind::usage, "there is no token to evaluate");
    const bool whole = model->family().encodes || model->family().build_encoder;
    const std::int64_t batch = whole ? tokens : std::min<std::int64_t>(tokens, 512);
    run::SessionOptions options = session_options(s, tokens);
    options.batch = batch;
    run::Session session(model, pool, options);
    core::AtomicFile out(s.logits);
    std::int64_t vocabulary = 0;
    ProgressLine line("tokens");
    for (std::int64_t done = 0; done < tokens; done += batch) {
        core::check_interrupt();
        line.update(done, tokens);
        const std::int64_t count = std::min(batch, tokens - done);
        const core::Tensor& logits = session.evaluate(std::span(ids).subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(count)), count);
        vocabulary = logits.shape.width();
        for (std::int64_t i = 0; i < count; ++i) out.write(logits.row(i), static_cast<std::size_t>(vocabulary) * sizeof(float));
    }
    out.commit();
    if (json) print_json(core::Json().set("tokens", tokens).set("vocabulary", vocabulary).set("logits", s.logits));
    else print(core::format("{}: float32 [{}][{}]\n", s.logits, tokens, vocabulary));
}

/// Two models can be compared token by token only if they mean the same by each id.
static void require_same_tokens(const run::LanguageModel& model, const run::LanguageModel& reference, const std::string& text) {
    if (model.facts().vocabulary != reference.facts().vocabulary)
        core::fail(core::ErrorKind::usage, "{} has a vocabulary of {} tokens, the reference {} one of {}: they cannot be compared",
                   model.file().path(), model.facts().vocabulary, reference.file().path(), reference.facts().vocabulary);
    if (reference.has_tokenizer() && model.tokenizer().encode(text) != reference.tokenizer().encode(text))
        core::fail(core::ErrorKind::usage, "{} and the reference {} turn the text into different tokens: they cannot be compared",
                   model.file().path(), reference.file().path());
}

static std::string figure(const run::Figure& f) { return core::format("{:#.5g} ± {:.2g}", f.value, f.standard_error); }

static std::string share(const run::Figure& f) { return core::format("{:.3f} % ± {:.2g}", 100 * f.value, 100 * f.standard_error); }

static void print_report(const run::Evaluation& e, std::size_t windows, std::int64_t window, double noise) {
    std::vector<std::vector<std::string>> rows{{"tokens scored", core::format("{} in {} windows of {}", e.tokens, windows, window)}};
    if (!e.of_vectors) rows.push_back({"perplexity", figure(e.perplexity)});
    if (e.has_reference) {
        if (!e.of_vectors) rows.push_back({"reference perplexity", figure(e.reference_perplexity)});
        rows.push_back(e.of_vectors ? std::vector<std::string>{"cosine distance, mean", figure(e.mean)} : std::vector<std::string>{"KL divergence, mean", figure(e.mean) + " nats per token"});
        rows.push_back({"  median", figure(e.median)});
        rows.push_back({"  99 %", figure(e.percentile_99)});
        rows.push_back({"  99.9 %", figure(e.percentile_99_9)});
        rows.push_back({"  largest", figure(e.maximum)});
        rows.push_back({"  numerical noise", core::format("{:.2g} (the model against itself, sums in another order)", noise)});
        if (!e.of_vectors) rows.push_back({"same most likely token", share(e.top1_agreement)});
    }
    // core::table would set a column of figures to the right; these are read from the left.
    std::size_t widest = 0;
    for (const auto& row : rows) widest = std::max(widest, row[0].size());
    for (const auto& row : rows) print(row[0] + std::string(widest + 2 - row[0].size(), ' ') + row[1] + "\n");
}

static void evaluate_text(const std::shared_ptr<run::LanguageModel>& model, const Settings& s, core::Pool& pool, bool json) {
    model->tokenizer();
    std::shared_ptr<run::LanguageModel> reference = s.reference.empty() ? nullptr : open_model(s.reference);
    const std::string text = input_text(s.file, "text to evaluate on");
    if (reference) require_same_tokens(*model, *reference, text);
    const std::int64_t window = window_length(*model, s.window);
    const run::Windows windows = text_windows(*model, text, s.file, window, s.windows);
    run::SessionOptions options = session_options(s, window);
    options.kv_budget = s.kv_budget;
    run::Session session(model, pool, options);
    if (!reference && s.kv_budget.entries > 0) reference = model;
    std::unique_ptr<run::Session> reference_session;
    if (reference) reference_session = std::make_unique<run::Session>(reference, pool, session_options(s, window));
    run::Evaluation e;
    {
        ProgressLine line("windows");
        e = run::evaluate(session, reference_session.get(), windows, line.callback());
    }
    // Two windows are enough to know the order of magnitude, which is what this is for.
    const run::Windows few(windows.begin(), windows.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(2, windows.size())));
    const double noise = reference ? run::numerical_noise(model, pool, session_options(s, window), few) : 0;
    if (!json) return print_report(e, windows.size(), window, noise);
    core::Json j;
    j.set("model", model->file().path()).set("windows", static_cast<std::int64_t>(windows.size())).set("window", window);
    const core::Json figures = e.json();
    for (const auto& [key, value] : figures.members()) j.set(key, value);
    if (reference) j.set("reference", reference->file().path()).set("numerical_noise", noise);
    print_json(j);
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    if (s.kv_budget.entries < 0) core::fail(core::ErrorKind::usage, "--kv-budget must not be negative, it is {}", s.kv_budget.entries);
    if (!s.token_ids.empty() && !s.file.empty()) core::fail(core::ErrorKind::usage, "give --token-ids or -f, not both");
    if (s.window < 0 || s.windows < 0) core::fail(core::ErrorKind::usage, "-c and --windows must not be negative");
    if (!s.token_ids.empty() && s.logits.empty())
        core::fail(core::ErrorKind::usage, "--token-ids is for logits: say where they go with --logits-out FILE");
    if (!s.logits.empty() && !s.reference.empty())
        core::fail(core::ErrorKind::usage, "--logits-out evaluates one model: leave --reference out");
    check_outputs({{"--logits-out", s.logits}}, {{"the model", s.model}, {"the adapter", s.adapter}, {"the text", s.file}});
    core::Pool pool(checked_threads(s.threads));
    const std::shared_ptr<run::LanguageModel> model = open_model(s.model, s.adapter);
    if (!s.logits.empty()) write_logits(model, s, pool, options.json());
    else evaluate_text(model, s, pool, options.json());
}

}  // namespace tailor::cli::eval_command

namespace tailor::cli::entries {
extern const Command eval = {
    .name = "eval",
    .doc = "measure perplexity, and divergence from a reference model",
    .examples = "tailor eval model.gguf -f text.txt\n"
                "tailor eval small.gguf -f text.txt --reference model.gguf\n"
                "tailor eval model.gguf -f text.txt -c 2048 --windows 20 --json\n"
                "tailor eval model.gguf --adapter adapter.gguf -f text.txt\n"
                "tailor eval model.gguf --token-ids 1,2,3 --logits-out logits.f32\n"
                "tailor eval model.gguf -f text.txt -c 2048 --kv-budget 512 --kv-policy window\n"
                "tailor eval built-in-q4_k.gguf --reference default < text.txt",
    .run = &eval_command::run,
    .place = 30,
};
}  // namespace tailor::cli::entries
