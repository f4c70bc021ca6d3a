// tailor distill: a student learns from a teacher, as it will be stored: what rounding, pruning or a smaller shape cost is healed.
#include <cmath>
#include <map>

#include "cli/common.h"
#include "cli/outputs.h"
#include "cli/rules.h"
#include "cli/train/training.h"
#include "compress/quantize_file.h"
#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"
#include "formats/given_scales.h"
#include "formats/registry.h"
#include "train/batch_plan.h"
#include "train/distillation.h"
#include "train/distillation_student.h"
#include "train/optimizers/registry.h"

namespace tailor::cli::distill_command {

using core::ErrorKind;
using core::fail;

struct Settings {
    train_command::Settings train;
    std::string teacher, loss = "kl", round, scales = "search", teacher_file;
    std::vector<std::string> rules;
    std::vector<std::int32_t> layers;
    std::int64_t refresh = 20, top_k = 64;
    double temperature = 1;
};

static std::string loss_help() {
    std::string help = "what to match, with weights, as kl=1,hidden=0.1:";
    for (const train::losses::Loss* loss : train::losses::all()) help += core::format(" {}: {};", loss->name, loss->doc);
    help.pop_back();
    return help;
}

static void declare(Options& options, Settings& s) {
    train_command::Settings& t = s.train;
    options.add("teacher,--teacher", s.teacher, "model file (GGUF) to learn from; 'default': the one built in");
    options.add("student,-m,--model", t.model, "model file that learns: another one, or the teacher's own copy, quantized or pruned");
    options.add("-f,--file", t.texts, "text to learn on, or a folder of .txt and .md files (may be given again); '-' or nothing: standard input");
    options.add("-o,--output", t.output, "where to write the student: rounded matrices in their formats, the rest in f32");
    options.add("--loss", s.loss, loss_help());
    options.add("--temperature", s.temperature, "of both models' answers, for kl and reverse_kl");
    options.add("--layers", s.layers, "layers of the teacher that the student's stand for, for hidden and block: 0,1,3; otherwise evenly spread");
    options.add("--round", s.round, "number format that matrices are trained and written in: q4_0, tq2_0 ...; otherwise each as the student's file has it");
    options.add("-r,--rule", s.rules, "'expression=format' for matrices whose name matches, f32 for none; may be given again, the first match wins");
    options.add("--scales", s.scales, "scales of rounded blocks: search (as quantize finds them), plain (mean or largest magnitude), or learned");
    options.add("--refresh", s.refresh, "steps between two searches for scales, where they follow the weights: ternary formats, and plain scales");
    options.add("--teacher-file", s.teacher_file, "file of the teacher's most likely tokens, written if it is not there; then the teacher does not run while the student learns");
    options.add("--top-k", s.top_k, "tokens of each position that a new teacher's file keeps");
    train_command::add_settings(options, t, {"--steps", "--minutes", "--batch", "--accumulate", "--context", "--optimizer", "--schedule", "--warmup", "--clip", "--seed"});
    options.add("--rate", t.rate, "learning rate at its highest; otherwise a fifth of what the optimizer is usually given");
    options.add("--weight-decay", t.weight_decay, "share of a weight that is taken away per unit of rate; otherwise none");
    options.flag("--from-scratch", t.from_scratch, "begin with random weights in the student's shape");
    train_command::add_settings(options, t, {"--precision", "--keep", "--memory", "--spill-folder", "--optimizer-on-disk"});
    options.add("--eval-file", t.eval_file, "text that is not learned: perplexity and divergence from the teacher before and after, and every --eval-every steps");
    train_command::add_settings(options, t, {"--eval-every", "--eval-windows", "--every", "--checkpoint", "--checkpoint-every", "--resume", "--page", "--name", "--threads"});
}

static void check(Settings& s) {
    train_command::Settings& t = s.train;
    if (s.teacher.empty() || t.model.empty()) fail(ErrorKind::usage, "say who teaches and who learns: tailor distill teacher.gguf student.gguf");
    if (t.minutes == 0 && t.steps == 0) t.steps = 100;
    train_command::check_course(t);
    if (t.eval_every > 0 && t.eval_file.empty()) fail(ErrorKind::usage, "--eval-every needs a text to judge by: --eval-file");
    if (!(s.temperature > 0)) fail(ErrorKind::usage, "--temperature must be above 0, it is {}", s.temperature);
    if (s.top_k < 1 || s.refresh < 1) fail(ErrorKind::usage, "--top-k and --refresh must be at least 1");
    if (!t.output.empty()) files::kind_for(t.output);
    check_outputs(train_command::written_by(t), train_command::read_by(t, {{"the teacher", s.teacher}, {"the teacher's file", s.teacher_file}}));
    // Weights that are healed are near their place: a training's rate would first take them away from it.
    if (!t.rate) t.rate = 0.2 * train::optimizers::get(t.optimizer).rate;
    if (!t.weight_decay) t.weight_decay = 0;
    train::scale_rule(s.scales), train::losses::parse(s.loss);
    if (!s.round.empty()) formats::get(s.round);
}

using Formats = std::map<std::string, const formats::Format*, std::less<>>;

/// What each matrix is trained and written in, where it is rounded.
static Formats rounded_formats(const files::File& student, const Settings& s) {
    const formats::Format* const everywhere = s.round.empty() ? nullptr : &formats::get(s.round);
    FormatRules rules(s.rules);
    Formats chosen;
    for (const files::TensorInfo& tensor : student.tensors()) {
        const formats::Format* wanted = tensor.format;
        if (compress::is_weight_matrix(tensor)) {
            if (everywhere) wanted = everywhere;
            if (const formats::Format* const ruled = rules.find(tensor.name)) wanted = ruled;
            if (wanted && wanted != tensor.format) wanted = &compress::fitting_format(*wanted, tensor.shape.width());
        }
        if (!wanted || wanted->values_per_block == 1) continue;
        if (formats::keeps_scales(*wanted)) chosen[tensor.name] = wanted;
        else if (wanted != tensor.format) fail(ErrorKind::unsupported, "{}: weights cannot be trained in {}, which has no rounding to given scales; another format must be chosen", tensor.name, wanted->name);
    }
    rules.require_all_used();
    return chosen;
}

static void require_same_tokens(const run::LanguageModel& teacher, const run::LanguageModel& student) {
    const std::string text = "It was the best of times, it was the worst of times; 1859.";
    if (teacher.facts().vocabulary != student.facts().vocabulary || (teacher.has_tokenizer() && student.has_tokenizer() && teacher.tokenizer().encode(text) != student.tokenizer().encode(text)))
        fail(ErrorKind::usage, "{} and {} turn a text into different tokens: the one cannot teach the other", teacher.file().path(), student.file().path());
}

/// The windows of a text, in the order in which they are learned.
static std::vector<std::vector<std::int32_t>> windows_in_order(train::TokenWindows& windows, std::int64_t count, text::TokenId first) {
    std::vector<std::vector<std::int32_t>> list;
    std::vector<std::int32_t> targets;
    for (std::int64_t i = 0; i < count; ++i) {
        list.emplace_back();
        windows.next(list.back(), targets, first);
    }
    return list;
}

static std::shared_ptr<train::TeacherAnswers> answers_of(const Settings& s, const run::LanguageModel& teacher, core::Pool& pool) {
    const train_command::Settings& t = s.train;
    if (!core::exists(s.teacher_file)) {
        if (t.steps < 1) fail(ErrorKind::usage, "--teacher-file needs --steps: only then is it known what the teacher will be asked");
        train_command::Settings learned = t;
        learned.eval_file.clear();
        const train_command::Texts texts = train_command::texts_of(learned, teacher);
        const std::int64_t asked = std::min(texts.learned->count(), t.steps * t.batch * t.accumulate);
        const text::TokenId first = teacher.tokenizer().adds_bos() ? teacher.tokenizer().bos() : -1;
        ProgressLine line("windows answered by the teacher");
        const std::uint64_t bytes = train::write_answers(s.teacher_file, teacher.file(), pool, {s.top_k, t.context, s.temperature}, t.batch,
                                                         windows_in_order(*texts.learned, asked, first), [&](std::int64_t done, std::int64_t all) {
                                                             core::check_interrupt();
                                                             line.update(done, all);
                                                         });
        note(core::format("{}: the {} most likely tokens of {} windows, {}", s.teacher_file, s.top_k, asked, core::human_bytes(static_cast<double>(bytes))));
    }
    const auto answers = std::make_shared<train::TeacherAnswers>(s.teacher_file);
    if (answers->teacher() != train::model_hash(teacher.file()))
        fail(ErrorKind::usage, "{} holds the answers of another teacher than {}; delete it to make it anew", s.teacher_file, teacher.file().path());
    return answers;
}

/// How good the student is on text it does not learn.
struct Verdict {
    double loss = 0, divergence = -1;  ///< -1: the teacher does not run

    std::string text() const {
        const std::string perplexity = core::format("perplexity {:.3f}", std::exp(loss));
        return divergence < 0 ? perplexity : perplexity + core::format(", divergence from the teacher {:.4f}", divergence);
    }
    core::Json json(std::string_view when) const {
        core::Json j;
        j.set("held_out", when).set("loss", loss).set("perplexity", std::exp(loss));
        return divergence < 0 ? j : j.set("divergence", divergence);
    }
};

class HeldOut {
  public:
    HeldOut(const train_command::Settings& settings, const train::Distillation& distillation, const run::LanguageModel& student, core::Pool& pool)
        : s_(settings), first_(student.tokenizer().adds_bos() ? student.tokenizer().bos() : -1), plan_(distillation.evaluation(), pool, settings.batch, settings.context),
          has_teacher_(distillation.evaluation().outputs().size() > 1) {
        train_command::Settings alone = settings;
        alone.texts = {settings.eval_file}, alone.eval_file.clear();
        windows_ = std::move(train_command::texts_of(alone, student).learned);
    }

    Verdict judge() {
        const std::int64_t count = std::min(s_.eval_windows, windows_->count());
        Verdict verdict{0, has_teacher_ ? 0.0 : -1.0};
        windows_->each_batch(count, s_.batch, first_, [&](const auto& ids, const auto& targets, std::int64_t) {
            plan_.run(ids, targets);
            verdict.loss += sum(0);
            if (has_teacher_) verdict.divergence += sum(1);
        });
        const auto tokens = static_cast<double>(count * s_.context);
        verdict.loss /= tokens;
        if (has_teacher_) verdict.divergence /= tokens;
        return verdict;
    }

  private:
    double sum(std::size_t output) const {
        double total = 0;
        for (std::int64_t r = 0; r < s_.batch * s_.context; ++r) total += static_cast<double>(plan_.output(output).row_f32(0)[r]);
        return total;
    }
    const train_command::Settings& s_;
    text::TokenId first_;
    train::BatchPlan plan_;
    bool has_teacher_;
    std::unique_ptr<train::TokenWindows> windows_;
};

static std::uint64_t write_student(const std::string& path, const files::File& teacher, const files::File& student, const train::Trainer& trainer, const train::Rounding* rounding) {
    const auto rounds = [&](std::string_view name) { return rounding && rounding->rounds(name); };
    files::WritePlan plan = compress::quantized_plan(student, [&](const files::TensorInfo& info) -> const formats::Format& {
        return rounds(info.name) ? rounding->format(info.name) : *trainer.held(info.name).format;
    });
    plan.metadata.set_text(train::distilled_from_key, train::model_hash(teacher));
    return files::kind_for(path).write(path, plan, [&](std::size_t i) {
        const files::WritePlan::Entry& entry = plan.tensors[i];
        return rounds(entry.name) ? rounding->written(entry.name, entry.shape) : trainer.held(entry.name);
    });
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    check(s);
    core::Pool pool(checked_threads(s.train.threads));
    const std::shared_ptr<run::LanguageModel> teacher = open_model(s.teacher);
    const std::unique_ptr<files::File> stored = open_file(s.train.model);
    const Formats formats = rounded_formats(*stored, s);
    auto file = std::make_unique<train::StudentFile>(*stored, teacher->file(), [&](const files::TensorInfo& t) { return formats.find(t.name) != formats.end(); });
    if (file->taken() > 0) note(core::format("{} rounded matrices begin as the teacher's, which they were rounded from", file->taken()));
    const std::shared_ptr<run::LanguageModel> student = run::LanguageModel::from_file(std::move(file));
    require_same_tokens(*teacher, *student);
    train::DistillationOptions how{.losses = train::losses::parse(s.loss), .temperature = s.temperature, .layers = {s.layers.begin(), s.layers.end()}};
    if (!formats.empty()) how.rounding = std::make_shared<train::Rounding>(train::RoundingOptions{formats, train::scale_rule(s.scales), s.refresh});
    if (s.top_k > teacher->facts().vocabulary) fail(ErrorKind::usage, "--top-k {}: the vocabulary has {} tokens", s.top_k, teacher->facts().vocabulary);
    if (!s.teacher_file.empty()) how.answers = answers_of(s, *teacher, pool);
    const auto distillation = std::make_shared<train::Distillation>(teacher->file(), student->file(), how);
    train_command::Settings quiet = s.train;
    quiet.eval_file.clear();
    train::TrainerOptions trained = train_command::trainer_options(quiet);
    trained.objective = distillation;
    const std::unique_ptr<train::Trainer> trainer = train_command::trainer_of(quiet, student->file(), pool, trained);
    train_command::Lesson lesson = train_command::lesson_of(quiet, *student, *trainer);
    std::optional<HeldOut> held_out;
    if (!s.train.eval_file.empty()) {
        held_out.emplace(s.train, *distillation, *student, pool);
        lesson.evaluates_first = true;
        lesson.judge = [&](std::string_view when) {
            const Verdict verdict = held_out->judge();
            if (options.json()) print(verdict.json(when).set("step", trainer->steps()).text(-1) + "\n");
            else print(core::format("{}: held-out {}\n", when, verdict.text()));
            return verdict.loss;
        };
    }
    train_command::Training(quiet, std::move(lesson), pool.threads(), options.json()).learn();
    if (!s.train.output.empty())
        note(core::format("{}: {}", s.train.output, core::human_bytes(static_cast<double>(write_student(s.train.output, teacher->file(), student->file(), *trainer, how.rounding.get())))));
}

}  // namespace tailor::cli::distill_command

namespace tailor::cli::entries {
extern const Command distill = {
    .name = "distill",
    .doc = "a student learns from a teacher, in the number formats it will be stored in",
    .examples = "tailor distill model.gguf model-tq2_0.gguf -f text.txt -o ternary.gguf --steps 300 --eval-file other.txt\n"
                "tailor distill model.gguf model.gguf --round q2_k --rule 'output|token_embd=q6_k' -f text.txt -o small.gguf\n"
                "tailor distill model.gguf pruned.gguf -f text.txt -o healed.gguf --loss kl=1,hidden=0.1\n"
                "tailor distill model.gguf pruned.gguf -f text.txt -o healed.gguf --loss block --rate 1e-3\n"
                "tailor distill large.gguf small.gguf -f text.txt -o taught.gguf --teacher-file top.bin --top-k 64\n"
                "tailor distill model.gguf model-q4_0.gguf -f text.txt -o q4_0.gguf --scales learned --checkpoint run.checkpoint --resume",
    .run = &distill_command::run,
    .place = 55,
};
}  // namespace tailor::cli::entries
