// tailor train: a model learns a text, from its weights as they are or from the beginning.
//
// All that it is told may stand in a recipe (settings.h); the model, its vocabulary and its texts come from source.h, and training.h is the
// loop.
#include "cli/common.h"
#include "cli/job.h"
#include "cli/train/training.h"
#include "core/text.h"

namespace tailor::cli::train_command {

static void learn(const Settings& settings, core::Pool& pool, bool json, const std::shared_ptr<train::Workers>& workers) {
    const std::shared_ptr<run::LanguageModel> model = model_of(settings);
    train::TrainerOptions how = trainer_options(settings);
    how.workers = workers;
    const std::unique_ptr<train::Trainer> trainer = trainer_of(settings, model->file(), pool, how);
    Training(settings, lesson_of(settings, *model, *trainer), pool.threads(), json, workers).learn();
    const std::uint64_t bytes = settings.output.empty() ? 0 : trainer->write(settings.output);
    if (bytes > 0) note(core::format("{}: {}", settings.output, core::human_bytes(static_cast<double>(bytes))));
}

static void run(Options& options) {
    const Settings settings = read_settings(options);
    const Job job(settings.checkpoint);
    core::Pool pool(job.threads(settings.threads));
    job.run([&] { learn(settings, pool, options.json(), job.workers()); });
}

}  // namespace tailor::cli::train_command

namespace tailor::cli::entries {
extern const Command train = {
    .name = "train",
    .doc = "teach a model a text: gradients and an optimizer over its weights, or over random ones; all settings may stand in a recipe",
    .examples = "tailor train -f notes.txt -o tuned.gguf --steps 200 --rate 2e-4\n"
                "tailor train recipes/small-english.toml -f text.txt -o model.gguf\n"
                "tailor train --family mamba -f text.txt --minutes 10 --held-out 0.01 --page loss.html -o mamba.gguf\n"
                "tailor train model.gguf -f text.txt -o new.gguf --from-scratch --steps 2000 --batch 16 -c 256\n"
                "tailor train model.gguf -f text.txt -o new.gguf --optimizer muon --checkpoint run.checkpoint --resume\n"
                "tailor train model.gguf -f text.txt --steps 10 --every 1 --json",
    .run = &train_command::run,
    .place = 54,
};
}  // namespace tailor::cli::entries
