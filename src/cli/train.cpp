// tailor train: a model learns a text, from its weights as they are or from the beginning.
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>

#include "cli/common.h"
#include "core/error.h"
#include "train/schedules/registry.h"
#include "train/token_windows.h"
#include "train/trainer.h"

namespace tailor::cli::train_command {

using core::ErrorKind;
using core::fail;

struct Settings {
    std::string model, file, output, optimizer = "adamw", schedule = "cosine", checkpoint, eval_file;
    std::int64_t steps = 100, batch = 16, context = 256, warmup = 0, threads = 0, every = 10, accumulate = 1;
    std::int64_t checkpoint_every = 100, eval_every = 0, eval_windows = 64;
    std::uint64_t seed = 1;
    std::optional<double> rate, weight_decay;
    double clip = 1;
    bool from_scratch = false, resume = false;

    double peak() const { return rate ? *rate : train::optimizers::get(optimizer).rate; }
    double decay() const { return weight_decay ? *weight_decay : train::optimizers::get(optimizer).weight_decay; }
    /// As many steps as asked for, or a twentieth of all.
    train::schedules::Span span() const { return {warmup > 0 ? warmup : steps / 20, steps}; }
};

static void declare(Options& options, Settings& s) {
    options.add("model,-m,--model", s.model, "model file (GGUF) whose shape, vocabulary and weights to begin with; without one, the small English model built in");
    options.add("-f,--file", s.file, "text to learn; '-' or nothing: standard input");
    options.add("-o,--output", s.output, "where to write the trained model (f32); nothing is written without it");
    options.add("--steps", s.steps, "steps of the optimizer");
    options.add("--batch", s.batch, "sequences at a time");
    options.add("--accumulate", s.accumulate, "batches of a step, whose gradients are added up");
    options.add("-c,--context", s.context, "tokens of a sequence");
    options.add("--optimizer", s.optimizer, "one of " + train::optimizers::names());
    options.add("--schedule", s.schedule, "how the rate falls after the warm-up: one of " + train::schedules::names());
    options.add("--rate", s.rate, "learning rate at its highest; otherwise one that the optimizer is usually given");
    options.add("--warmup", s.warmup, "steps until the rate is reached; 0: a twentieth of all");
    options.add("--weight-decay", s.weight_decay, "share of a weight that is taken away per unit of rate; otherwise the optimizer's usual");
    options.add("--clip", s.clip, "most norm of all gradients together; 0: any");
    options.add("--seed", s.seed, "of the order of the text, and of the weights with --from-scratch");
    options.flag("--from-scratch", s.from_scratch, "begin with random weights");
    options.add("--every", s.every, "steps between two lines of the report");
    options.add("--checkpoint", s.checkpoint, "file, or folder for one, that holds all a later run needs to go on; also written on Ctrl-C");
    options.add("--checkpoint-every", s.checkpoint_every, "steps between two checkpoints");
    options.flag("--resume", s.resume, "go on from the checkpoint, if there is one");
    options.add("--eval-file", s.eval_file, "text that is not learned, whose loss is told");
    options.add("--eval-every", s.eval_every, "steps between two evaluations; 0: only after the last step");
    options.add("--eval-windows", s.eval_windows, "most sequences of the text to evaluate");
    options.add("-t,--threads", s.threads, "threads; 0: one per core");
}

static bool is_folder(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

static bool exists(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0;
}

static void check(const Settings& s) {
    if (s.steps < 1 || s.batch < 1 || s.context < 1 || s.every < 1) fail(ErrorKind::usage, "--steps, --batch, --context and --every must be at least 1");
    if (s.accumulate < 1 || s.checkpoint_every < 1 || s.eval_windows < 1) fail(ErrorKind::usage, "--accumulate, --checkpoint-every and --eval-windows must be at least 1");
    if (s.rate && !(*s.rate > 0)) fail(ErrorKind::usage, "--rate must be above 0, it is {}", *s.rate);
    if (s.warmup < 0 || s.eval_every < 0) fail(ErrorKind::usage, "--warmup and --eval-every must not be negative");
    if (!s.output.empty() && s.output == s.model) fail(ErrorKind::usage, "{} is the model that is being read; write the trained one to another file", s.output);
    if (const std::size_t slash = s.checkpoint.rfind('/'); slash != std::string::npos && slash > 0 && !is_folder(s.checkpoint.substr(0, slash)))
        fail(ErrorKind::usage, "--checkpoint {}: there is no folder {}", s.checkpoint, s.checkpoint.substr(0, slash));
    if (s.resume && s.checkpoint.empty()) fail(ErrorKind::usage, "--resume needs --checkpoint, to go on from");
    train::optimizers::get(s.optimizer), train::schedules::get(s.schedule);
}

/// What has been done since the last line.
struct Stretch {
    double loss = 0, norm = 0, seconds = 0;
    std::int64_t steps = 0;
};

static double seconds_since(std::chrono::steady_clock::time_point start) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }

/// "0:42", "1:02:03".
static std::string clock_text(double seconds) {
    const auto total = static_cast<std::int64_t>(seconds + 0.5);
    if (total < 3600) return core::format("{}:{:02}", total / 60, total % 60);
    return core::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

/// One training: the model, the text and where it stands.
class Run {
  public:
    Run(const Settings& settings, const run::LanguageModel& model, core::Pool& pool, bool json);
    void learn();
    const train::Trainer& trainer() const { return trainer_; }

  private:
    core::Json identity() const;
    core::Json schedule() const;
    void resume();
    void save();
    void stop_if_interrupted();
    train::Step step(double rate);
    void report(std::int64_t step, const Stretch& done, double rate) const;
    void evaluate(std::int64_t step);

    const Settings& s_;
    bool json_;
    text::TokenId first_;
    train::TokenWindows windows_;
    std::optional<train::TokenWindows> held_out_;
    train::Trainer trainer_;
    std::string checkpoint_;
    std::int64_t saved_ = -1;  ///< steps in the checkpoint; -1: there is none of this run
};

static train::TokenWindows windows_of(const run::LanguageModel& model, const std::string& text, const Settings& s) {
    return {model.tokenizer().encode(text, {.add_special = false}), s.context, s.seed};
}

static train::TrainerOptions trainer_options(const Settings& s) {
    train::TrainerOptions options;
    options.batch = s.batch, options.context = s.context, options.accumulate = s.accumulate, options.clip = s.clip;
    options.weight_decay = s.decay(), options.optimizer = s.optimizer;
    return options;
}

Run::Run(const Settings& settings, const run::LanguageModel& model, core::Pool& pool, bool json)
    : s_(settings), json_(json), first_(model.tokenizer().adds_bos() ? model.tokenizer().bos() : -1), windows_(windows_of(model, input_text(s_.file, "text to learn"), s_)),
      trainer_(model.file(), pool, trainer_options(s_)), checkpoint_(is_folder(s_.checkpoint) ? s_.checkpoint + "/training.checkpoint" : s_.checkpoint) {
    if (!s_.eval_file.empty()) held_out_.emplace(windows_of(model, input_text(s_.eval_file, "text to evaluate"), s_));
    note(core::format("{} weights, {} windows of {} tokens, {} per step, {} of memory for a step", human_count(static_cast<double>(trainer_.parameters())), windows_.count(), s_.context,
                      s_.batch * s_.accumulate, core::human_bytes(static_cast<double>(trainer_.arena_bytes()))));
    const bool goes_on = s_.resume && exists(checkpoint_);
    if (!s_.resume && exists(checkpoint_)) fail(ErrorKind::usage, "{} is there already: --resume goes on from it; delete it to begin anew", checkpoint_);
    if (s_.resume && !goes_on) note(core::format("there is no {} yet; beginning anew", checkpoint_));
    if (goes_on) resume();
    else if (s_.from_scratch) trainer_.initialize(s_.seed);
}

// What must stay for the text to go on where it was; its hash also knows the context and the seed.
core::Json Run::identity() const {
    core::Json settings;
    settings.set("batch", s_.batch).set("accumulate", s_.accumulate).set("context", s_.context).set("seed", s_.seed).set("text", core::format("{:016x}", windows_.identity()));
    return settings;
}

// What may change from one run to the next, at the cost of another course of the loss.
core::Json Run::schedule() const {
    core::Json settings;
    settings.set("steps", s_.steps).set("schedule", s_.schedule).set("rate", s_.peak()).set("warmup", s_.span().warmup).set("weight-decay", s_.decay()).set("clip", s_.clip);
    return settings;
}

void Run::resume() {
    const train::Checkpoint checkpoint(checkpoint_);
    const core::Json &settings = train::Trainer::settings(checkpoint), must_be = identity(), may_be = schedule();
    for (const auto& [key, value] : must_be.members())
        if (const std::string was = settings.at("identity").at(key).text(-1); was != value.text(-1))
            fail(ErrorKind::usage, "{}: the checkpoint was made with {} {}, this run has {}", checkpoint_, key == "text" ? std::string("a text whose hash is") : "--" + key, was, value.text(-1));
    for (const auto& [key, value] : may_be.members())
        if (const std::string was = settings.at("schedule").at(key).text(-1); was != value.text(-1))
            note(core::format("--{} was {} before the checkpoint and is {} from here on", key, was, value.text(-1)));
    trainer_.restore(checkpoint);
    windows_.seek(trainer_.steps() * s_.batch * s_.accumulate);
    saved_ = trainer_.steps();
    note(core::format("going on after step {} of {}", saved_, checkpoint_));
}

void Run::save() {
    if (checkpoint_.empty() || saved_ == trainer_.steps()) return;
    trainer_.save(checkpoint_, core::Json().set("identity", identity()).set("schedule", schedule()));
    saved_ = trainer_.steps();
}

void Run::stop_if_interrupted() {
    try {
        core::check_interrupt();
    } catch (const core::Error&) {
        if (checkpoint_.empty() || trainer_.steps() == 0) throw;
        save();
        fail(ErrorKind::interrupted, "interrupted after step {}; {} holds it: --resume goes on", saved_, checkpoint_);
    }
}

train::Step Run::step(double rate) {
    std::vector<std::int32_t> ids, targets;
    for (std::int64_t b = 0; b < s_.batch * s_.accumulate; ++b) windows_.next(ids, targets, first_);
    return trainer_.step(ids, targets, rate);
}

// Every weight takes part in one multiplication and addition per token on the way forth and in two on the way back: Kaplan et al., "Scaling
// Laws for Neural Language Models", 2020, section 2.1. Attention over the context comes on top and is not counted.
void Run::report(std::int64_t step, const Stretch& done, double rate) const {
    const auto steps = static_cast<double>(done.steps), tokens = steps * static_cast<double>(s_.batch * s_.accumulate * s_.context);
    const double tokens_per_second = tokens / done.seconds, left = done.seconds / steps * static_cast<double>(s_.steps - step);
    const double gigaflops = 6 * static_cast<double>(trainer_.parameters()) * tokens_per_second / 1e9;
    const double loss = done.loss / steps, norm = done.norm / steps;
    if (!json_)
        return print(core::format("step {:>6}  loss {:.4f}  gradient {:.3f}  rate {:.2e}  {:.0f} tokens/s  {:.0f} GFLOP/s  {} left\n", step, loss, norm, rate, tokens_per_second, gigaflops,
                                  clock_text(left)));
    core::Json line;
    line.set("step", step).set("loss", loss).set("gradient_norm", norm).set("rate", rate).set("tokens_per_second", tokens_per_second).set("gigaflops", gigaflops).set("seconds_left", left);
    print(line.text(-1) + "\n");
}

// Always the same windows: the first of the first order. The last batch is filled up with a window that does not count.
void Run::evaluate(std::int64_t step) {
    const std::int64_t windows = std::min(s_.eval_windows, held_out_->count());
    held_out_->seek(0);
    double total = 0;
    for (std::int64_t at = 0; at < windows; at += s_.batch) {
        std::vector<std::int32_t> ids, targets;
        const std::int64_t here = std::min(s_.batch, windows - at);
        for (std::int64_t b = 0; b < here; ++b) held_out_->next(ids, targets, first_);
        ids.resize(static_cast<std::size_t>(s_.batch * s_.context), 0), targets.resize(ids.size(), -1);
        total += trainer_.loss(ids, targets) * static_cast<double>(here);
    }
    const double loss = total / static_cast<double>(windows);
    if (!json_) return print(core::format("step {:>6}  held-out loss {:.4f}  perplexity {:.3f}  {} windows\n", step, loss, std::exp(loss), windows));
    core::Json line;
    line.set("step", step).set("held_out_loss", loss).set("perplexity", std::exp(loss)).set("windows", windows);
    print(line.text(-1) + "\n");
}

void Run::learn() {
    const train::schedules::Schedule& schedule = train::schedules::get(s_.schedule);
    Stretch done;
    for (std::int64_t step = trainer_.steps() + 1; step <= s_.steps; ++step) {
        stop_if_interrupted();
        const double rate = schedule.rate(s_.peak(), step, s_.span());
        const auto start = std::chrono::steady_clock::now();
        try {
            const train::Step result = this->step(rate);
            done.seconds += seconds_since(start), done.loss += result.loss, done.norm += result.gradient_norm, ++done.steps;
            if (step % s_.every == 0 || step == s_.steps) report(step, done, rate), done = {};
            // What a checkpoint holds has been told, also where output is a file and the process is killed.
            std::fflush(stdout);
            if (step % s_.checkpoint_every == 0 || step == s_.steps) save();
        } catch (const core::Error& error) {
            if (error.kind() != ErrorKind::numeric || saved_ < 0) throw;
            fail(ErrorKind::numeric, "{}; {} holds the weights after step {}", error.what(), checkpoint_, saved_);
        }
        if (held_out_ && ((s_.eval_every > 0 && step % s_.eval_every == 0) || step == s_.steps)) evaluate(step);
    }
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    check(s);
    core::Pool pool(checked_threads(s.threads));
    const std::shared_ptr<run::LanguageModel> model = open_model(s.model);
    Run training(s, *model, pool, options.json());
    training.learn();
    if (!s.output.empty()) note(core::format("{}: {}", s.output, core::human_bytes(static_cast<double>(training.trainer().write(s.output)))));
}

}  // namespace tailor::cli::train_command

namespace tailor::cli::entries {
extern const Command train = {
    .name = "train",
    .doc = "teach a model a text: gradients and an optimizer over its weights, or over random ones",
    .examples = "tailor train -f notes.txt -o tuned.gguf --steps 200 --rate 2e-4\n"
                "tailor train model.gguf -f text.txt -o new.gguf --from-scratch --steps 2000 --batch 16 -c 256\n"
                "tailor train model.gguf -f text.txt -o new.gguf --optimizer muon --checkpoint run.checkpoint --resume\n"
                "tailor train model.gguf -f text.txt --steps 10 --every 1 --json",
    .run = &train_command::run,
    .place = 54,
};
}  // namespace tailor::cli::entries
