// tailor tune: a model is adapted to a text in little memory: by small matrices beside frozen weights of any format, or without gradients.
#include <algorithm>
#include <random>

#include "cli/merge.h"
#include "cli/outputs.h"
#include "cli/train/training.h"
#include "core/error.h"
#include "files/registry.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "train/adapters/low_rank.h"
#include "train/zeroth_order.h"

namespace tailor::cli::tune_command {

using core::ErrorKind;
using core::fail;

struct Settings {
    train_command::Settings train;
    std::string method = "lora", targets = "all", merge, format, shape, shape_format = "q4_k";
    std::int64_t rank = 0;
    double alpha = 0, epsilon = 1e-3;
    bool zeroth_order = false;

    Settings() { train.batch = 4; }
    /// Null: the weights themselves.
    const train::adapters::AdapterKind* kind() const { return method == "full" ? nullptr : &train::adapters::get(method); }
    double usual_rate() const {
        // Without gradients a step follows one direction of all, with a slope as large as all gradients together.
        if (zeroth_order) return kind() ? 1e-4 : 1e-6;
        return kind() ? kind()->rate : 0.1 * train::optimizers::get(train.optimizer).rate;
    }
};

static void declare(Options& options, Settings& s) {
    train_command::Settings& t = s.train;
    std::string methods = "what moves: full: the weights themselves (f32, f16, bf16)";
    for (const train::adapters::AdapterKind* kind : train::adapters::all()) methods += core::format("; {}: {}", kind->name, kind->doc);
    options.add("model,-m,--model", t.model, "model file (GGUF); without one, the small English model built in");
    train_command::add_settings(options, t, {"--file"});
    options.add("-o,--output", t.output, "adapter.gguf, or a new folder in PEFT's form; with --method full the tuned model");
    options.add("--merge", s.merge, "also write the model with the adapter merged into its weights");
    options.add("--method", s.method, methods);
    options.flag("--zeroth-order", s.zeroth_order,
                 "without gradients: two passes forth per step, in the memory of running (Malladi et al., 2023); also --method zeroth-order, for full");
    options.add("--rank", s.rank, "rows of A and columns of B; 0: 16, one-bit 128");
    options.add("--alpha", s.alpha, "the adapter counts alpha / rank times; 0: twice the rank");
    options.add("--targets", s.targets, "weights with such parts in their names, attn,ffn_down; all: every matrix of the layers");
    options.add("--format", s.format, "number format of the adapter's file, or of a merged model's matrices; otherwise f16, and as the model has them");
    train_command::add_settings(options, t, {"--steps", "--minutes", "--tokens", "--batch", "--accumulate", "--context", "--optimizer", "--schedule"});
    options.add("--rate", t.rate, "learning rate at its highest; otherwise one that the method is usually given");
    options.add("--weight-decay", t.weight_decay, "share of a matrix that is taken away per unit of rate; otherwise none");
    options.add("--epsilon", s.epsilon, "without gradients: how far the weights are moved to either side");
    options.add("--seed", t.seed, "of the order of the text, the adapter's first numbers and the directions that are tried");
    train_command::add_settings(options, t, {"--warmup", "--clip", "--precision", "--keep", "--memory", "--loss-rows", "--spill-folder", "--every", "--checkpoint", "--checkpoint-every", "--resume",
                                             "--held-out", "--eval-file", "--eval-every", "--eval-windows", "--page", "--name", "--cache"});
    options.add("--shape", s.shape, "a synthetic model of this shape and made-up tokens, to see time and memory: llama-1.1b for example");
    options.add("--shape-format", s.shape_format, "number format of the synthetic model's weights");
    train_command::add_settings(options, t, {"--threads"});
}

static void check(Settings& s) {
    train_command::Settings& t = s.train;
    if (s.method == "zeroth-order") s.method = "full", s.zeroth_order = true;
    if (s.kind() && s.kind()->form && s.zeroth_order) fail(ErrorKind::usage, "--method {} cannot be learned without gradients: a small move changes no sign", s.method);
    if (!s.format.empty()) formats::get(s.format);
    if (s.rank < 0 || s.alpha < 0) fail(ErrorKind::usage, "--rank and --alpha must not be negative");
    if (!s.merge.empty() && !s.kind()) fail(ErrorKind::usage, "--merge is for adapters; with --method full -o writes the tuned model");
    if (s.zeroth_order && (t.keep != "keep" || !t.memory.empty())) fail(ErrorKind::usage, "--keep and --memory are for gradients; without them nothing is kept");
    if (!s.merge.empty()) files::kind_for(s.merge);
    std::vector<NamedPath> written = train_command::written_by(t);
    written[0].may_be_folder = s.kind() && !core::lower(t.output).ends_with(".gguf");
    written.push_back({"--merge", s.merge});
    check_outputs(written, train_command::read_by(t));
    if (t.minutes == 0 && t.tokens == 0 && t.steps == 0) t.steps = 100;
    train_command::check_course(t);
    if (!t.rate) t.rate = s.usual_rate();
    if (!t.weight_decay) t.weight_decay = 0;
}

/// Eight steps of numbers without a pattern: time and memory do not depend on what they say.
static train_command::Texts made_up_texts(const Settings& s) {
    const auto shapes = files::synthetic_shapes();
    const auto shape = std::find_if(shapes.begin(), shapes.end(), [&](const files::SyntheticShape& known) { return known.name == s.shape; });
    std::mt19937_64 random(s.train.seed);
    std::vector<text::TokenId> tokens;
    for (std::int64_t i = 0; i <= 8 * s.train.tokens_per_step(); ++i) tokens.push_back(static_cast<text::TokenId>(random() % static_cast<std::uint64_t>(shape->vocabulary)));
    return {std::make_unique<train::TokenWindows>(tokens, s.train.context, s.train.seed), nullptr};
}

static train_command::Lesson lesson_of(const Settings& s, const run::LanguageModel* model, const files::File& file, train::Learner& learner) {
    train_command::Lesson lesson{.learner = learner, .texts = model ? train_command::texts_of(s.train, *model) : made_up_texts(s), .name = s.method, .about = {}};
    if (model) lesson.first = train_command::first_token(*model);
    lesson.about = core::format("{}, {}", file.metadata().text("general.name", file.metadata().text("general.architecture")), s.method);
    lesson.identity.set("method", s.method).set("zeroth-order", s.zeroth_order ? "yes" : "no").set("rank", s.rank).set("alpha", s.alpha).set("targets", s.targets);
    for (const files::TensorInfo& tensor : file.tensors()) lesson.weights += static_cast<double>(tensor.shape.elements());
    // Frozen weights have no gradient of their own; without gradients there are two ways forth.
    lesson.passes = s.zeroth_order || s.kind() ? 2 : 3;
    lesson.has_gradient = !s.zeroth_order;
    lesson.evaluates_first = true;
    return lesson;
}

static std::unique_ptr<train::Learner> learner_of(const Settings& s, const files::File& file, const std::shared_ptr<train::Objective>& objective, core::Pool& pool) {
    const train_command::Settings& t = s.train;
    const bool pack = objective != nullptr;
    if (s.zeroth_order)
        return std::make_unique<train::ZerothOrder>(file, pool, train::ZerothOrderOptions{t.batch, t.context, t.accumulate, s.epsilon, t.seed, pack, objective});
    train::TrainerOptions options = train_command::trainer_options(t);
    options.pack = pack, options.objective = objective;
    return train_command::trainer_of(t, file, pool, options);
}

static void write_results(const Settings& s, const files::File& file, const train::Learner& learner, const train::adapters::LowRank* low_rank, core::Pool& pool) {
    const auto told = [](const std::string& path, std::uint64_t bytes) { note(core::format("{}: {}", path, core::human_bytes(static_cast<double>(bytes)))); };
    if (!low_rank) {
        if (!s.train.output.empty()) told(s.train.output, learner.write(s.train.output));
        return;
    }
    const files::Adapter adapter = low_rank->finished();
    // --format is that of the merged model where one is written.
    const std::string format = s.format.empty() || !s.merge.empty() ? std::string(s.kind()->file_format) : s.format;
    if (!s.train.output.empty()) told(s.train.output, files::write_adapter(s.train.output, adapter, file, formats::get(format)));
    if (s.merge.empty()) return;
    ProgressLine line("values merged");
    told(s.merge, write_merged(file, adapter, s.merge, s.format.empty() ? nullptr : &formats::get(s.format), pool, line.callback()));
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    check(s);
    core::Pool pool(checked_threads(s.train.threads));
    std::shared_ptr<run::LanguageModel> model;
    std::unique_ptr<files::File> made_up;
    if (s.shape.empty()) model = open_model(s.train.model);
    else made_up = files::make_synthetic(s.shape, formats::get(s.shape_format));
    const files::File& file = model ? model->file() : *made_up;
    std::shared_ptr<train::adapters::LowRank> low_rank;
    if (s.kind()) low_rank = std::make_shared<train::adapters::LowRank>(train::adapters::LowRankOptions{s.kind(), s.rank, s.alpha, s.targets, s.train.seed});
    const std::unique_ptr<train::Learner> learner = learner_of(s, file, low_rank, pool);
    train_command::Training(s.train, lesson_of(s, model.get(), file, *learner), pool.threads(), options.json()).learn();
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
                "tailor tune model-q4_k.gguf -f text.txt -o adapter.gguf --keep int8 --loss-rows 256 --minutes 30 --checkpoint tune.checkpoint --resume\n"
                "tailor tune --shape llama-1.1b --batch 1 -c 256 --steps 3 --every 1",
    .run = &tune_command::run,
    .place = 54,
};
}  // namespace tailor::cli::entries
