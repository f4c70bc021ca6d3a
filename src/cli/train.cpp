// tailor train: a model learns a text, from its weights as they are or from the beginning.
#include <chrono>

#include "cli/common.h"
#include "core/error.h"
#include "train/token_windows.h"
#include "train/trainer.h"

namespace tailor::cli::train_command {

struct Settings {
    std::string model, file, output;
    std::int64_t steps = 100, batch = 16, context = 256, warmup = 0, threads = 0, every = 10;
    std::uint64_t seed = 1;
    double rate = 2e-3, weight_decay = 0.1, clip = 1;
    bool from_scratch = false;
};

static void declare(Options& options, Settings& s) {
    options.add("model,-m,--model", s.model, "model file (GGUF) whose shape, vocabulary and weights to begin with; without one, the small English model built in");
    options.add("-f,--file", s.file, "text to learn; '-' or nothing: standard input");
    options.add("-o,--output", s.output, "where to write the trained model (f32); nothing is written without it");
    options.add("--steps", s.steps, "steps of the optimizer");
    options.add("--batch", s.batch, "sequences per step");
    options.add("-c,--context", s.context, "tokens of a sequence");
    options.add("--rate", s.rate, "learning rate at its highest; it falls to a tenth along a cosine");
    options.add("--warmup", s.warmup, "steps until the rate is reached; 0: a twentieth of all");
    options.add("--weight-decay", s.weight_decay, "share of a weight that AdamW takes away per unit of rate");
    options.add("--clip", s.clip, "most norm of all gradients together; 0: any");
    options.add("--seed", s.seed, "of the order of the text, and of the weights with --from-scratch");
    options.flag("--from-scratch", s.from_scratch, "begin with random weights");
    options.add("--every", s.every, "steps between two lines of the report");
    options.add("-t,--threads", s.threads, "threads; 0: one per core");
}

/// What has been done since the last line.
struct Stretch {
    double loss = 0, norm = 0, seconds = 0;
    std::int64_t steps = 0;
};

static double seconds_since(std::chrono::steady_clock::time_point start) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }

// Every weight takes part in one multiplication and addition per token on the way forth and in two on the way back: Kaplan et al., "Scaling
// Laws for Neural Language Models", 2020, section 2.1. Attention over the context comes on top and is not counted.
static void report(const Settings& s, const train::Trainer& trainer, std::int64_t step, const Stretch& done, double rate, bool json) {
    const auto steps = static_cast<double>(done.steps), tokens = steps * static_cast<double>(s.batch * s.context);
    const double tokens_per_second = tokens / done.seconds;
    const double gigaflops = 6 * static_cast<double>(trainer.parameters()) * tokens_per_second / 1e9;
    const double loss = done.loss / steps, norm = done.norm / steps;
    if (!json) return print(core::format("step {:>6}  loss {:.4f}  gradient {:.3f}  rate {:.2e}  {:.0f} tokens/s  {:.0f} GFLOP/s\n", step, loss, norm, rate, tokens_per_second, gigaflops));
    core::Json line;
    line.set("step", step).set("loss", loss).set("gradient_norm", norm).set("rate", rate).set("tokens_per_second", tokens_per_second).set("gigaflops", gigaflops);
    print(line.text(-1) + "\n");
}

static void learn(const Settings& s, train::Trainer& trainer, train::TokenWindows& windows, text::TokenId first, bool json) {
    const std::int64_t warmup = s.warmup > 0 ? s.warmup : s.steps / 20;
    Stretch done;
    for (std::int64_t step = 1; step <= s.steps; ++step) {
        core::check_interrupt();
        std::vector<std::int32_t> ids, targets;
        for (std::int64_t b = 0; b < s.batch; ++b) windows.next(ids, targets, first);
        const double rate = train::cosine_rate(s.rate, step, warmup, s.steps);
        const auto start = std::chrono::steady_clock::now();
        const train::Step result = trainer.step(ids, targets, rate);
        done.seconds += seconds_since(start), done.loss += result.loss, done.norm += result.gradient_norm, ++done.steps;
        if (step % s.every != 0 && step != s.steps) continue;
        report(s, trainer, step, done, rate, json);
        done = {};
    }
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    if (s.steps < 1 || s.batch < 1 || s.context < 1 || s.every < 1) core::fail(core::ErrorKind::usage, "--steps, --batch, --context and --every must be at least 1");
    if (!(s.rate > 0)) core::fail(core::ErrorKind::usage, "--rate must be above 0, it is {}", s.rate);
    if (!s.output.empty() && s.output == s.model) core::fail(core::ErrorKind::usage, "{} is the model that is being read; write the trained one to another file", s.output);
    core::Pool pool(checked_threads(s.threads));
    const std::shared_ptr<run::LanguageModel> model = open_model(s.model);
    train::TokenWindows windows(model->tokenizer().encode(input_text(s.file, "text to learn"), {.add_special = false}), s.context, s.seed);
    train::Trainer trainer(model->file(), pool, {.batch = s.batch, .context = s.context, .clip = s.clip, .adamw = {.weight_decay = s.weight_decay}});
    if (s.from_scratch) trainer.initialize(s.seed);
    note(core::format("{} weights, {} windows of {} tokens, {} per step, {} of memory for a step", human_count(static_cast<double>(trainer.parameters())), windows.count(), s.context, s.batch,
                      core::human_bytes(static_cast<double>(trainer.arena_bytes()))));
    learn(s, trainer, windows, model->tokenizer().adds_bos() ? model->tokenizer().bos() : -1, options.json());
    if (!s.output.empty()) note(core::format("{}: {}", s.output, core::human_bytes(static_cast<double>(trainer.write(s.output)))));
}

}  // namespace tailor::cli::train_command

namespace tailor::cli::entries {
extern const Command train = {
    .name = "train",
    .doc = "teach a model a text: AdamW over its weights, or over random ones",
    .examples = "tailor train -f notes.txt -o tuned.gguf --steps 200 --rate 2e-4\n"
                "tailor train model.gguf -f text.txt -o new.gguf --from-scratch --steps 2000 --batch 16 -c 256\n"
                "tailor train model.gguf -f text.txt --steps 10 --every 1 --json",
    .run = &train_command::run,
    .place = 54,
};
}  // namespace tailor::cli::entries
