// tailor tune: a model is adapted to a text in little memory: by small matrices beside frozen weights of any format, or without gradients.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>
#include <random>

#include "cli/common.h"
#include "cli/merge.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "train/adapters/low_rank.h"
#include "train/schedules/registry.h"
#include "train/token_windows.h"
#include "train/trainer.h"
#include "train/zeroth_order.h"

namespace tailor::cli::tune_command {

using core::ErrorKind;
using core::fail;

struct Settings {
    std::string model, file, output, method = "lora", targets = "all", optimizer = "adamw", schedule = "cosine", checkpoint, eval_file, merge, format, shape, shape_format = "q4_k";
    std::int64_t rank = 0, steps = 100, batch = 4, context = 256, warmup = 0, threads = 0, every = 10, accumulate = 1;
    std::int64_t checkpoint_every = 100, eval_every = 0, eval_windows = 64;
    std::uint64_t seed = 1;
    double alpha = 0, clip = 1, weight_decay = 0, epsilon = 1e-3;
    std::optional<double> rate;
    bool zeroth_order = false, resume = false;

    /// Null: the weights themselves.
    const train::adapters::AdapterKind* kind() const { return method == "full" ? nullptr : &train::adapters::get(method); }
    double peak() const {
        if (rate) return *rate;
        // Without gradients a step follows one direction of all, with a slope as large as all gradients together.
        if (zeroth_order) return kind() ? 1e-4 : 1e-6;
        return kind() ? kind()->rate : 0.1 * train::optimizers::get(optimizer).rate;
    }
    train::schedules::Span span() const { return {warmup > 0 ? warmup : steps / 20, steps}; }
};

static void declare(Options& options, Settings& s) {
    std::string methods = "what moves: full: the weights themselves (f32, f16, bf16)";
    for (const train::adapters::AdapterKind* kind : train::adapters::all()) methods += core::format("; {}: {}", kind->name, kind->doc);
    options.add("model,-m,--model", s.model, "model file (GGUF); without one, the small English model built in");
    options.add("-f,--file", s.file, "text to learn; '-' or nothing: standard input");
    options.add("-o,--output", s.output, "adapter.gguf, or a new folder in PEFT's form; with --method full the tuned model");
    options.add("--merge", s.merge, "also write the model with the adapter merged into its weights");
    options.add("--method", s.method, methods);
    options.flag("--zeroth-order", s.zeroth_order,
                 "without gradients: two passes forth per step, in the memory of running (Malladi et al., 2023); also --method zeroth-order, for full");
    options.add("--rank", s.rank, "rows of A and columns of B; 0: 16, one-bit 128");
    options.add("--alpha", s.alpha, "the adapter counts alpha / rank times; 0: twice the rank");
    options.add("--targets", s.targets, "weights with such parts in their names, attn,ffn_down; all: every matrix of the layers");
    options.add("--format", s.format, "number format of the adapter's file, or of a merged model's matrices; otherwise f16, and as the model has them");
    options.add("--steps", s.steps, "steps of the optimizer");
    options.add("--batch", s.batch, "sequences at a time");
    options.add("--accumulate", s.accumulate, "batches of a step");
    options.add("-c,--context", s.context, "tokens of a sequence");
    options.add("--optimizer", s.optimizer, "one of " + train::optimizers::names());
    options.add("--schedule", s.schedule, "how the rate falls after the warm-up: one of " + train::schedules::names());
    options.add("--rate", s.rate, "learning rate at its highest; otherwise one that the method is usually given");
    options.add("--warmup", s.warmup, "steps until the rate is reached; 0: a twentieth of all");
    options.add("--weight-decay", s.weight_decay, "share of a matrix that is taken away per unit of rate");
    options.add("--clip", s.clip, "most norm of all gradients together; 0: any");
    options.add("--epsilon", s.epsilon, "without gradients: how far the weights are moved to either side");
    options.add("--seed", s.seed, "of the order of the text, the adapter's first numbers and the directions that are tried");
    options.add("--every", s.every, "steps between two lines of the report");
    options.add("--checkpoint", s.checkpoint, "file that holds all a later run needs to go on; also written on Ctrl-C");
    options.add("--checkpoint-every", s.checkpoint_every, "steps between two checkpoints");
    options.flag("--resume", s.resume, "go on from the checkpoint, if there is one");
    options.add("--eval-file", s.eval_file, "text that is not learned, whose loss is told");
    options.add("--eval-every", s.eval_every, "steps between two evaluations; 0: only before the first step and after the last");
    options.add("--eval-windows", s.eval_windows, "most sequences of the text to evaluate");
    options.add("--shape", s.shape, "a synthetic model of this shape and made-up tokens, to see time and memory: llama-1.1b for example");
    options.add("--shape-format", s.shape_format, "number format of the synthetic model's weights");
    options.add("-t,--threads", s.threads, "threads; 0: one per core");
}

static void check(Settings& s) {
    if (s.method == "zeroth-order") s.method = "full", s.zeroth_order = true;
    if (s.kind() && s.kind()->form && s.zeroth_order) fail(ErrorKind::usage, "--method {} cannot be learned without gradients: a small move changes no sign", s.method);
    train::schedules::get(s.schedule), train::optimizers::get(s.optimizer);
    if (!s.format.empty()) formats::get(s.format);
    if (s.steps < 1 || s.every < 1 || s.checkpoint_every < 1 || s.eval_windows < 1) fail(ErrorKind::usage, "--steps, --every, --checkpoint-every and --eval-windows must be at least 1");
    if (s.batch < 1 || s.accumulate < 1 || s.context < 1) fail(ErrorKind::usage, "--batch, --accumulate and --context must be at least 1");
    if (s.rate && !(*s.rate > 0)) fail(ErrorKind::usage, "--rate must be above 0, it is {}", *s.rate);
    if (s.rank < 0 || s.alpha < 0 || s.warmup < 0 || s.eval_every < 0) fail(ErrorKind::usage, "--rank, --alpha, --warmup and --eval-every must not be negative");
    if (s.resume && s.checkpoint.empty()) fail(ErrorKind::usage, "--resume needs --checkpoint, to go on from");
    if (!s.merge.empty() && !s.kind()) fail(ErrorKind::usage, "--merge is for adapters; with --method full -o writes the tuned model");
    if (!s.resume && !s.checkpoint.empty() && core::exists(s.checkpoint)) fail(ErrorKind::usage, "{} is there already: --resume goes on from it; delete it to begin anew", s.checkpoint);
    for (const std::string& path : {s.output, s.merge})
        if (!path.empty() && path == s.model) fail(ErrorKind::usage, "{} is the model that is being read; write to another file", path);
}

/// What is learned, and from what.
struct Texts {
    std::optional<train::TokenWindows> learned, held_out;
    text::TokenId first = -1;
};

static Texts texts_of(const Settings& s, const run::LanguageModel& model) {
    const auto windows = [&](const std::string& text) { return train::TokenWindows(model.tokenizer().encode(text, {.add_special = false}), s.context, s.seed); };
    Texts texts;
    texts.learned.emplace(windows(input_text(s.file, "text to learn")));
    if (!s.eval_file.empty()) texts.held_out.emplace(windows(input_text(s.eval_file, "text to evaluate")));
    texts.first = model.tokenizer().adds_bos() ? model.tokenizer().bos() : -1;
    return texts;
}

/// Eight steps of numbers without a pattern: time and memory do not depend on what they say.
static Texts made_up_texts(const Settings& s) {
    const auto shapes = files::synthetic_shapes();
    const auto shape = std::find_if(shapes.begin(), shapes.end(), [&](const files::SyntheticShape& known) { return known.name == s.shape; });
    std::mt19937_64 random(s.seed);
    std::vector<text::TokenId> tokens;
    for (std::int64_t i = 0; i <= 8 * s.batch * s.context; ++i) tokens.push_back(static_cast<text::TokenId>(random() % static_cast<std::uint64_t>(shape->vocabulary)));
    Texts texts;
    texts.learned.emplace(tokens, s.context, s.seed);
    return texts;
}

/// One tuning: the text and where it stands.
class Run {
  public:
    Run(const Settings& settings, Texts& texts, train::Learner& learner, bool json) : s_(settings), texts_(texts), learner_(learner), json_(json) {}
    void learn();

  private:
    core::Json identity() const;
    void resume();
    void save();
    void stop_if_interrupted();
    void report(std::int64_t step, double rate);
    void evaluate(std::int64_t step);

    const Settings& s_;
    Texts& texts_;
    train::Learner& learner_;
    bool json_;
    std::int64_t saved_ = -1;  ///< steps in the checkpoint; -1: there is none of this run
    /// Since the last line.
    struct {
        double loss = 0, norm = 0, seconds = 0;
        std::int64_t steps = 0;
    } done_;
};

// What must stay for a later run to go on as this one would have.
core::Json Run::identity() const {
    core::Json settings;
    settings.set("method", s_.method).set("zeroth-order", s_.zeroth_order ? "yes" : "no").set("rank", s_.rank).set("alpha", s_.alpha).set("targets", s_.targets).set("batch", s_.batch);
    return settings.set("accumulate", s_.accumulate).set("context", s_.context).set("seed", s_.seed).set("file", core::format("{:016x}", texts_.learned->identity()));
}

void Run::resume() {
    const train::Checkpoint checkpoint(s_.checkpoint);
    const core::Json &was = train::Trainer::settings(checkpoint), is = identity();
    for (const auto& [key, value] : is.members())
        if (const core::Json* const found = was.find(key); !found || found->text(-1) != value.text(-1))
            fail(ErrorKind::usage, "{}: the checkpoint was made with --{} {}, this run has {}", s_.checkpoint, key, found ? found->text(-1) : "nothing", value.text(-1));
    learner_.restore(checkpoint);
    texts_.learned->seek(learner_.steps() * s_.batch * s_.accumulate);
    saved_ = learner_.steps();
    note(core::format("going on after step {} of {}", saved_, s_.checkpoint));
}

void Run::save() {
    if (s_.checkpoint.empty() || saved_ == learner_.steps()) return;
    learner_.save(s_.checkpoint, identity());
    saved_ = learner_.steps();
}

void Run::stop_if_interrupted() {
    try {
        core::check_interrupt();
    } catch (const core::Error&) {
        if (s_.checkpoint.empty() || learner_.steps() == 0) throw;
        save();
        fail(ErrorKind::interrupted, "interrupted after step {}; {} holds it: --resume goes on", saved_, s_.checkpoint);
    }
}

void Run::report(std::int64_t step, double rate) {
    const auto steps = static_cast<double>(done_.steps);
    const double loss = done_.loss / steps, norm = done_.norm / steps, left = done_.seconds / steps * static_cast<double>(s_.steps - step);
    const double tokens_per_second = steps * static_cast<double>(s_.batch * s_.accumulate * s_.context) / done_.seconds;
    done_ = {};
    const char* const slope = s_.zeroth_order ? "slope" : "gradient";
    if (!json_) return print(core::format("step {:>6}  loss {:.4f}  {} {:.3f}  rate {:.2e}  {:.0f} tokens/s  {:.0f} s left\n", step, loss, slope, norm, rate, tokens_per_second, left));
    core::Json line;
    line.set("step", step).set("loss", loss).set(slope, norm).set("rate", rate).set("tokens_per_second", tokens_per_second).set("seconds_left", left);
    print(line.text(-1) + "\n");
}

// Always the same windows: the first of the first order. The last batch is filled up with windows that do not count.
void Run::evaluate(std::int64_t step) {
    if (!texts_.held_out) return;
    const std::int64_t windows = std::min(s_.eval_windows, texts_.held_out->count());
    texts_.held_out->seek(0);
    double total = 0;
    for (std::int64_t at = 0; at < windows; at += s_.batch) {
        std::vector<std::int32_t> ids, targets;
        const std::int64_t here = std::min(s_.batch, windows - at);
        for (std::int64_t b = 0; b < here; ++b) texts_.held_out->next(ids, targets, texts_.first);
        ids.resize(static_cast<std::size_t>(s_.batch * s_.context), 0), targets.resize(ids.size(), -1);
        total += learner_.loss(ids, targets) * static_cast<double>(here);
    }
    const double loss = total / static_cast<double>(windows);
    if (!json_) return print(core::format("step {:>6}  held-out loss {:.4f}  perplexity {:.3f}  {} windows\n", step, loss, std::exp(loss), windows));
    print(core::Json().set("step", step).set("held_out_loss", loss).set("perplexity", std::exp(loss)).set("windows", windows).text(-1) + "\n");
}

void Run::learn() {
    const train::schedules::Schedule& schedule = train::schedules::get(s_.schedule);
    if (s_.resume && core::exists(s_.checkpoint)) resume();
    else if (s_.resume) note(core::format("there is no {} yet; beginning anew", s_.checkpoint));
    if (learner_.steps() == 0) evaluate(0);
    for (std::int64_t step = learner_.steps() + 1; step <= s_.steps; ++step) {
        stop_if_interrupted();
        const double rate = schedule.rate(s_.peak(), step, s_.span());
        const auto start = std::chrono::steady_clock::now();
        std::vector<std::int32_t> ids, targets;
        for (std::int64_t b = 0; b < s_.batch * s_.accumulate; ++b) texts_.learned->next(ids, targets, texts_.first);
        const train::Step result = learner_.step(ids, targets, rate);
        done_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        done_.loss += result.loss, done_.norm += result.gradient_norm, ++done_.steps;
        if (step % s_.every == 0 || step == s_.steps) report(step, rate);
        std::fflush(stdout);
        if (step % s_.checkpoint_every == 0 || step == s_.steps) save();
        if ((s_.eval_every > 0 && step % s_.eval_every == 0) || step == s_.steps) evaluate(step);
    }
}

static std::unique_ptr<train::Learner> learner_of(const Settings& s, const files::File& file, const std::shared_ptr<train::Objective>& objective, core::Pool& pool) {
    const bool pack = objective != nullptr;
    if (s.zeroth_order)
        return std::make_unique<train::ZerothOrder>(file, pool, train::ZerothOrderOptions{s.batch, s.context, s.accumulate, s.epsilon, s.seed, pack, objective});
    train::TrainerOptions options;
    options.batch = s.batch, options.context = s.context, options.accumulate = s.accumulate, options.clip = s.clip;
    options.weight_decay = s.weight_decay, options.optimizer = s.optimizer, options.pack = pack, options.objective = objective;
    return std::make_unique<train::Trainer>(file, pool, options);
}

static void write_results(const Settings& s, const files::File& file, const train::Learner& learner, const train::adapters::LowRank* low_rank, core::Pool& pool) {
    const auto told = [](const std::string& path, std::uint64_t bytes) { note(core::format("{}: {}", path, core::human_bytes(static_cast<double>(bytes)))); };
    if (!low_rank) {
        if (!s.output.empty()) told(s.output, learner.write(s.output));
        return;
    }
    const files::Adapter adapter = low_rank->finished();
    // --format is that of the merged model where one is written.
    const std::string format = s.format.empty() || !s.merge.empty() ? std::string(s.kind()->file_format) : s.format;
    if (!s.output.empty()) told(s.output, files::write_adapter(s.output, adapter, file, formats::get(format)));
    if (s.merge.empty()) return;
    ProgressLine line("values merged");
    told(s.merge, write_merged(file, adapter, s.merge, s.format.empty() ? nullptr : &formats::get(s.format), pool, line.callback()));
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    check(s);
    core::Pool pool(checked_threads(s.threads));
    std::shared_ptr<run::LanguageModel> model;
    std::unique_ptr<files::File> made_up;
    if (s.shape.empty()) model = open_model(s.model);
    else made_up = files::make_synthetic(s.shape, formats::get(s.shape_format));
    const files::File& file = model ? model->file() : *made_up;
    Texts texts = model ? texts_of(s, *model) : made_up_texts(s);
    std::shared_ptr<train::adapters::LowRank> low_rank;
    if (s.kind()) low_rank = std::make_shared<train::adapters::LowRank>(train::adapters::LowRankOptions{s.kind(), s.rank, s.alpha, s.targets, s.seed});
    const std::unique_ptr<train::Learner> learner = learner_of(s, file, low_rank, pool);
    note(core::format("{} numbers are trained; {} windows of {} tokens, {} per step; {} of memory for a step", human_count(static_cast<double>(learner->parameters())),
                      texts.learned->count(), s.context, s.batch * s.accumulate, core::human_bytes(static_cast<double>(learner->arena_bytes()))));
    Run(s, texts, *learner, options.json()).learn();
    write_results(s, file, *learner, low_rank.get(), pool);
}

}  // namespace tailor::cli::tune_command

namespace tailor::cli::entries {
extern const Command tune = {
    .name = "tune",
    .doc = "adapt a model to a text in little memory: adapters beside frozen weights, or steps without gradients",
    .examples = "tailor tune model-q4_k.gguf -f text.txt -o adapter.gguf --rank 16 --steps 200 --eval-file other.txt\n"
                "tailor run model-q4_k.gguf --adapter adapter.gguf \"Once upon a time\"\n"
                "tailor tune model.gguf -f text.txt -o adapter-folder --targets attn --merge merged.gguf\n"
                "tailor tune model.gguf -f text.txt -o adapter.gguf --method one-bit\n"
                "tailor tune model-f16.gguf -f text.txt -o tuned.gguf --method zeroth-order --steps 2000\n"
                "tailor tune --shape llama-1.1b --batch 1 -c 256 --steps 3 --every 1",
    .run = &tune_command::run,
    .place = 54,
};
}  // namespace tailor::cli::entries
