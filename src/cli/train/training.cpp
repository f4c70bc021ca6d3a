// Steps, reports, evaluation and checkpoints; see training.h.
#include "cli/train/training.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/mapped_file.h"

namespace tailor::cli::train_command {

using core::ErrorKind;
using core::fail;

train::TrainerOptions trainer_options(const Settings& s) {
    train::TrainerOptions options;
    options.batch = s.batch, options.context = s.context, options.accumulate = s.accumulate, options.clip = s.clip;
    options.saving = graph::SavingOptions{s.keep, s.memory.empty() ? 0 : static_cast<std::int64_t>(core::parse_bytes(s.memory, "--memory")), s.loss_rows, s.spill_folder};
    options.optimizer_on_disk = s.optimizer_on_disk;
    options.bf16 = s.precision == "bf16", options.weight_decay = s.decay(), options.optimizer = s.optimizer;
    return options;
}

static double seconds_since(std::chrono::steady_clock::time_point start) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }

std::unique_ptr<train::Trainer> trainer_of(const Settings& s, const files::File& file, core::Pool& pool, const train::TrainerOptions& options) {
    auto trainer = std::make_unique<train::Trainer>(file, pool, options);
    if (s.keep != "keep" || !s.memory.empty()) note(trainer->saving_summary());
    if (s.from_scratch || !s.family.empty()) trainer->initialize(s.seed);
    return trainer;
}

text::TokenId first_token(const run::LanguageModel& model) { return model.tokenizer().adds_bos() ? model.tokenizer().bos() : -1; }

Lesson lesson_of(const Settings& s, const run::LanguageModel& model, train::Trainer& trainer) {
    Lesson lesson{.learner = trainer, .texts = texts_of(s, model), .first = first_token(model), .name = {}, .about = {}};
    const std::string_view architecture = model.file().metadata().text("general.architecture");
    lesson.name = !s.family.empty() ? s.family : std::string(model.file().metadata().text("general.name", architecture));
    lesson.about = core::format("{}, {} weights", architecture, human_count(static_cast<double>(trainer.parameters())));
    lesson.weights = static_cast<double>(trainer.parameters());
    return lesson;
}

Training::Training(const Settings& settings, Lesson lesson, int threads, bool json, std::shared_ptr<train::Workers> workers)
    : s_(settings), json_(json), workers_(workers ? workers : std::make_shared<train::Workers>()), lesson_(std::move(lesson)), budget_{settings.most_steps(), settings.minutes * 60, settings.warmup},
      checkpoint_(checkpoint_path(settings)), start_(std::chrono::steady_clock::now()), peak_flops_(measured_peak(threads)) {
    note(core::format("{} numbers are trained, {} windows of {} tokens, {} per step, {} of memory for a step", human_count(static_cast<double>(lesson_.learner.parameters())),
                      lesson_.texts.learned->count(), s_.context, s_.batch * s_.accumulate, core::human_bytes(static_cast<double>(lesson_.learner.arena_bytes()))));
    const bool goes_on = s_.resume && core::exists(checkpoint_);
    workers_->check_same("text", lesson_.texts.learned->identity());
    workers_->check_same("checkpoint at hand", goes_on ? 1 : 0);
    if (!s_.resume && core::exists(checkpoint_)) fail(ErrorKind::usage, "{} is there already: --resume goes on from it; delete it to begin anew", checkpoint_);
    if (s_.resume && !goes_on) note(core::format("there is no {} yet; beginning anew", checkpoint_));
    run_.name = s_.name.empty() ? lesson_.name : s_.name;
    run_.about = core::format("{}; {}, rate {:.2g}, {}; {} sequences of {} tokens a step", lesson_.about, s_.optimizer, s_.peak(), s_.schedule, s_.batch * s_.accumulate, s_.context);
    if (goes_on) resume();
    if (!s_.page.empty()) open_page();
}

// What must stay for the text to go on where it was; its hash also knows the context and the seed.
core::Json Training::identity() const {
    core::Json settings = lesson_.identity;
    settings.set("batch", s_.batch).set("accumulate", s_.accumulate).set("context", s_.context).set("seed", s_.seed);
    settings.set("text", core::format("{:016x}", lesson_.texts.learned->identity()));
    return settings;
}

// What may change from one run to the next, at the cost of another course of the loss.
core::Json Training::schedule() const {
    core::Json settings;
    const std::int64_t warmup = s_.warmup > 0 ? s_.warmup : budget_.steps / 20;
    settings.set("steps", budget_.steps).set("schedule", s_.schedule).set("rate", s_.peak()).set("warmup", warmup).set("weight-decay", s_.decay()).set("clip", s_.clip);
    return settings.set("minutes", s_.minutes).set("precision", s_.precision);
}

void Training::resume() {
    const train::Checkpoint checkpoint(checkpoint_);
    const core::Json &settings = train::Trainer::settings(checkpoint), must_be = identity(), may_be = schedule();
    for (const auto& [key, value] : must_be.members())
        if (!settings.at("identity").find(key)) fail(ErrorKind::usage, "{}: the checkpoint is of another command: it does not know '{}'", checkpoint_, key);
        else if (const std::string was = settings.at("identity").at(key).text(-1); was != value.text(-1))
            fail(ErrorKind::usage, "{}: the checkpoint was made with {} {}, this run has {}", checkpoint_, key == "text" ? std::string("a text whose hash is") : "--" + key, was, value.text(-1));
    for (const auto& [key, value] : may_be.members())
        if (const std::string was = settings.at("schedule").at(key).text(-1); was != value.text(-1))
            note(core::format("--{} was {} before the checkpoint and is {} from here on", key, was, value.text(-1)));
    lesson_.learner.restore(checkpoint);
    lesson_.texts.learned->seek(lesson_.learner.steps() * s_.batch * s_.accumulate);
    seconds_before_ = settings.at("seconds").number();
    saved_ = lesson_.learner.steps();
    note(core::format("going on after step {} of {}", saved_, checkpoint_));
}

void Training::save() {
    if (checkpoint_.empty() || saved_ == lesson_.learner.steps()) return;
    lesson_.learner.save(checkpoint_, core::Json().set("identity", identity()).set("schedule", schedule()).set("seconds", seconds()));
    saved_ = lesson_.learner.steps();
}

void Training::stop_if_interrupted() {
    try {
        if (workers_->any(core::take_interrupt())) core::request_interrupt();
        core::check_interrupt();
    } catch (const core::Error&) {
        live_.clear();
        write_page(true);
        if (checkpoint_.empty() || lesson_.learner.steps() == 0) throw;
        save();
        fail(ErrorKind::interrupted, "interrupted after step {}; {} holds it: --resume goes on", saved_, checkpoint_);
    }
}

double Training::seconds() const { return seconds_before_ + seconds_since(start_); }

train::Step Training::step() {
    std::vector<std::int32_t> ids, targets;
    for (std::int64_t b = 0; b < s_.batch * s_.accumulate; ++b) lesson_.texts.learned->next(ids, targets, lesson_.first);
    rate_ = workers_->of_first(budget_.rate(train::schedules::get(s_.schedule), s_.peak(), lesson_.learner.steps() + 1, seconds() + step_seconds_ + evaluation_seconds_));
    return lesson_.learner.step(ids, targets, rate_);
}

// By steps where they are limited, and by time where that is nearer.
static double seconds_left(const train::Budget& budget, std::int64_t steps, double seconds, double step_seconds) {
    double left = HUGE_VAL;
    if (budget.steps > 0) left = step_seconds * static_cast<double>(budget.steps - steps);
    if (budget.seconds > 0) left = std::min(left, std::max(0.0, budget.seconds - seconds));
    return left;
}

void Training::report(const Stretch& done, double rate) {
    const auto steps = static_cast<double>(done.steps), tokens = steps * static_cast<double>(s_.tokens_per_step());
    const std::int64_t step = lesson_.learner.steps();
    const double tokens_per_second = tokens / done.seconds, left = seconds_left(budget_, step, seconds(), done.seconds / steps);
    const double gigaflops = operations_per_second(tokens_per_second) / 1e9;
    const double loss = done.loss / steps, norm = done.norm / steps;
    run_.learned.push_back({step, static_cast<double>(step * s_.tokens_per_step()), seconds(), loss});
    live_.clear();
    const char* const slope = lesson_.has_gradient ? "gradient" : "slope";
    if (!json_)
        return print(core::format("step {:>6}  loss {:.4f}  {} {:.3f}  rate {:.2e}  {:.0f} tokens/s  {:.0f} GFLOP/s  {} left\n", step, loss, slope, norm, rate, tokens_per_second, gigaflops,
                                  clock_text(left)));
    core::Json line;
    line.set("step", step).set("loss", loss).set(lesson_.has_gradient ? "gradient_norm" : "slope", norm).set("rate", rate).set("tokens_per_second", tokens_per_second).set("gigaflops", gigaflops).set("seconds_left", left);
    print(line.text(-1) + "\n");
}

void Training::show_live(const Stretch& done, double loss) {
    if (!live_.shown() || done.steps == 0) return;
    const double tokens_per_second = static_cast<double>(done.steps * s_.tokens_per_step()) / done.seconds, flops = operations_per_second(tokens_per_second);
    const std::string share = peak_flops_ > 0 ? core::format("  {:.0f} % of the f32 peak", 100 * flops / peak_flops_) : core::format("  {:.0f} GFLOP/s", flops / 1e9);
    const std::string of = budget_.steps > 0 ? core::format(" of {}", budget_.steps) : "";
    live_.show(core::format("step {}{}  loss {:.4f}  {:.0f} tokens/s{}  {}  {} left", lesson_.learner.steps(), of, loss, tokens_per_second, share,
                            core::human_bytes(static_cast<double>(resident_bytes())), clock_text(seconds_left(budget_, lesson_.learner.steps(), seconds(), step_seconds_))));
}

double Training::held_out_loss() {
    train::TokenWindows& held_out = *lesson_.texts.held_out;
    const std::int64_t windows = std::min(s_.eval_windows, held_out.count()), step = lesson_.learner.steps();
    double total = 0;
    held_out.each_batch(windows, s_.batch, lesson_.first, [&](const auto& ids, const auto& targets, std::int64_t here) { total += lesson_.learner.loss(ids, targets) * static_cast<double>(here); });
    const double loss = total / static_cast<double>(windows);
    if (json_) print(core::Json().set("step", step).set("held_out_loss", loss).set("perplexity", std::exp(loss)).set("windows", windows).text(-1) + "\n");
    else print(core::format("step {:>6}  held-out loss {:.4f}  perplexity {:.3f}  {} windows\n", step, loss, std::exp(loss), windows));
    return loss;
}

void Training::evaluate(std::string_view when) {
    const auto start = std::chrono::steady_clock::now();
    live_.clear();
    const double loss = lesson_.judge ? lesson_.judge(when) : held_out_loss();
    const std::int64_t step = lesson_.learner.steps();
    if (!run_.held_out.empty() && run_.held_out.back().step == step) run_.held_out.pop_back();  // a run that goes on where one ended
    run_.held_out.push_back({step, static_cast<double>(step * s_.tokens_per_step()), seconds(), loss});
    evaluation_seconds_ = seconds_since(start);
}

// A run of the same name that is on the page is this one, up to where it goes on.
void Training::open_page() {
    if (core::exists(s_.page)) others_ = runs_of_page(core::read_text_file(s_.page), s_.page);
    const auto mine = std::find_if(others_.begin(), others_.end(), [&](const LossRun& run) { return run.name == run_.name; });
    if (mine == others_.end()) return;
    if (saved_ >= 0) {
        run_.learned = mine->learned, run_.held_out = mine->held_out;
        for (std::vector<LossPoint>* const points : {&run_.learned, &run_.held_out}) std::erase_if(*points, [&](const LossPoint& p) { return p.step > saved_; });
    }
    others_.erase(mine);
}

// Not more often than every five seconds: the page of a long run takes some milliseconds.
void Training::write_page(bool at_once) {
    if (s_.page.empty() || !workers_->first() || (!at_once && seconds() - page_seconds_ < 5)) return;
    page_seconds_ = seconds();
    std::vector<LossRun> runs = others_;
    runs.push_back(run_);
    core::write_text_file(s_.page, loss_page(runs));
}

void Training::learn() {
    Stretch done;
    const bool evaluates = lesson_.texts.held_out || lesson_.judge;
    if (evaluates && lesson_.evaluates_first && (lesson_.judge || lesson_.learner.steps() == 0)) evaluate("before");
    start_ = std::chrono::steady_clock::now();
    for (bool last = workers_->of_first(budget_.over(lesson_.learner.steps(), seconds(), 0) ? 1 : 0) != 0; !last;) {
        stop_if_interrupted();
        const auto start = std::chrono::steady_clock::now();
        try {
            const train::Step result = step();
            const double took = seconds_since(start);
            done.seconds += took, done.loss += result.loss, done.norm += result.gradient_norm, ++done.steps;
            step_seconds_ = step_seconds_ == 0 ? took : 0.8 * step_seconds_ + 0.2 * took;
            const std::int64_t step = lesson_.learner.steps();
            last = workers_->of_first(budget_.over(step, seconds(), step_seconds_ + evaluation_seconds_) ? 1 : 0) != 0;
            if (step % s_.every == 0 || last) report(done, rate_), done = {};
            else show_live(done, result.loss);
            // What a checkpoint holds has been told, also where output is a file and the process is killed.
            std::fflush(stdout);
            if (step % s_.checkpoint_every == 0 || last) save();
        } catch (const core::Error& error) {
            if (error.kind() != ErrorKind::numeric || saved_ < 0) throw;
            fail(ErrorKind::numeric, "{}; {} holds the weights after step {}", error.what(), checkpoint_, saved_);
        }
        if (evaluates && (last || (s_.eval_every > 0 && lesson_.learner.steps() % s_.eval_every == 0)))
            evaluate(last ? std::string("after") : core::format("step {}", lesson_.learner.steps()));
        write_page(last);
    }
}

}  // namespace tailor::cli::train_command
