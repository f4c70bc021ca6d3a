// The settings, their names and what they must keep to; see settings.h.
#include "cli/train/settings.h"

#include <algorithm>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"
#include "graph/policies/registry.h"
#include "train/optimizers/registry.h"
#include "train/recipe.h"

namespace tailor::cli::train_command {

using core::ErrorKind;
using core::fail;

double Settings::peak() const { return rate ? *rate : train::optimizers::get(optimizer).rate; }
double Settings::decay() const { return weight_decay ? *weight_decay : train::optimizers::get(optimizer).weight_decay; }

std::int64_t Settings::most_steps() const {
    const std::int64_t by_tokens = tokens > 0 ? std::max<std::int64_t>(1, tokens / tokens_per_step()) : 0;
    return steps > 0 && by_tokens > 0 ? std::min(steps, by_tokens) : std::max(steps, by_tokens);
}

namespace {

struct Setting {
    std::string_view key;     ///< in a recipe; empty: an option only
    std::string_view option;  ///< as Options::add takes it
    train::RecipeKey::Target target;
    std::string help;
};

std::vector<Setting> settings(Settings& s) {
    models::Sizes& sizes = s.sizes;
    return {
        {"model.file", "model,-m,--model", &s.model, "recipe (.toml), or model file (GGUF) whose shape, vocabulary and weights to begin with; without one, the small English model built in"},
        {"model.from-scratch", "--from-scratch", &s.from_scratch, "begin with random weights"},
        {"model.family", "--family", &s.family, "make a new model of this architecture (llama, mamba, ...: tailor list families), from the sizes below"},
        {"model.layers", "--layers", &sizes.layers, "layers of a new model"},
        {"model.width", "--width", &sizes.width, "columns of its residual stream"},
        {"model.heads", "--heads", &sizes.heads, "its heads; 0: width / 32"},
        {"model.kv-heads", "--kv-heads", &sizes.kv_heads, "heads of keys and values; 0: half of the heads"},
        {"model.ffn", "--ffn", &sizes.ffn, "columns of its feed-forward parts; 0: three times the width"},
        {"model.experts", "--experts", &sizes.experts, "experts per layer; 0: none, or 8 in families made of them"},
        {"model.experts-used", "--experts-used", &sizes.experts_used, "experts that a token visits; 0: two"},
        {"model.expert-ffn", "--expert-ffn", &sizes.expert_ffn, "columns of an expert; 0: ffn shared among those that are used"},
        {"model.state", "--state", &sizes.state, "numbers of state per column of a state space"},
        {"model.inner", "--inner", &sizes.inner, "columns of a state space; 0: twice the width"},
        {"model.convolution", "--convolution", &sizes.taps, "rows that a short convolution sees"},
        {"model.step-rank", "--step-rank", &sizes.step_rank, "rank, or heads, of a state space's step; 0: width / 16"},
        {"model.rope-base", "--rope-base", &sizes.rope_base, "base of the rotary frequencies"},
        {"model.epsilon", "--epsilon", &sizes.epsilon, "of the norms"},
        {"model.tied", "--tied", &sizes.tied, "the output matrix of a new model is its embedding"},
        {"vocabulary.from", "--vocabulary", &s.vocabulary, "model file whose vocabulary a new model gets; 'default': that of the model built in"},
        {"vocabulary.kind", "--vocabulary-kind", &s.vocabulary_kind, "train a vocabulary on the text instead: bpe or unigram"},
        {"vocabulary.size", "--vocabulary-size", &s.vocabulary_size, "tokens of a vocabulary that is trained; 0: 4096"},
        {"data.text", "-f,--file", &s.texts, "text to learn, or a folder of .txt and .md files (may be given again); '-' or nothing: standard input"},
        {"data.held-out", "--held-out", &s.held_out, "share of the text, 0.01 for a hundredth, that is not learned, and whose loss is told"},
        {"data.held-out-text", "--eval-file", &s.eval_file, "another text that is not learned, whose loss is told"},
        {"data.context", "-c,--context", &s.context, "tokens of a sequence"},
        {"data.cache", "--cache", &s.cache, "folder that keeps the texts' tokens; otherwise one in the cache of measurements; 'none': memory only"},
        {"optimizer.name", "--optimizer", &s.optimizer, "one of " + train::optimizers::names()},
        {"optimizer.rate", "--rate", &s.rate, "learning rate at its highest; otherwise one that the optimizer is usually given"},
        {"optimizer.schedule", "--schedule", &s.schedule, "how the rate falls after the warm-up: one of " + train::schedules::names()},
        {"optimizer.warmup", "--warmup", &s.warmup, "steps until the rate is reached; 0: a twentieth of all"},
        {"optimizer.weight-decay", "--weight-decay", &s.weight_decay, "share of a weight that is taken away per unit of rate; otherwise the optimizer's usual"},
        {"optimizer.clip", "--clip", &s.clip, "most norm of all gradients together; 0: any"},
        {"optimizer.batch", "--batch", &s.batch, "sequences at a time"},
        {"optimizer.accumulate", "--accumulate", &s.accumulate, "batches of a step, whose gradients are added up"},
        {"optimizer.precision", "--precision", &s.precision, "bf16: products round their factors where the processor multiplies such; f32: none are rounded"},
        {"optimizer.keep", "--keep", &s.keep, "how values come to the way back, a list of " + graph::policies::names() + ": each value goes to the first that takes it"},
        {"optimizer.memory", "--memory", &s.memory, "most memory for a step (300M): the cheapest mix of the policies of --keep, or of keep and recompute, that fits"},
        {"optimizer.loss-rows", "--loss-rows", &s.loss_rows, "rows of the output matrix and the loss at a time, so that not all logits lie in memory; 0: all"},
        {"optimizer.spill-folder", "--spill-folder", &s.spill_folder, "where --keep spill and --optimizer-on-disk put their files; otherwise where temporary files go"},
        {"optimizer.on-disk", "--optimizer-on-disk", &s.optimizer_on_disk, "what the optimizer remembers lies in files, and in memory only while a tensor is worked on"},
        {"optimizer.seed", "--seed", &s.seed, "of the order of the text, and of random weights"},
        {"budget.minutes", "--minutes", &s.minutes, "time for the training; the rate falls with the share of it that has passed"},
        {"budget.tokens", "--tokens", &s.tokens, "tokens to learn"},
        {"budget.steps", "--steps", &s.steps, "steps of the optimizer; 100 where no budget is given; of several budgets the first that is reached ends"},
        {"output.model", "-o,--output", &s.output, "where to write the trained model (f32); nothing is written without it"},
        {"output.checkpoint", "--checkpoint", &s.checkpoint, "file, or folder for one, that holds all a later run needs to go on; also written on Ctrl-C"},
        {"output.checkpoint-every", "--checkpoint-every", &s.checkpoint_every, "steps between two checkpoints"},
        {"", "--resume", &s.resume, "go on from the checkpoint, if there is one"},
        {"output.page", "--page", &s.page, "page (HTML) with the course of the loss, written as it goes; runs of other names that are on it stay"},
        {"output.name", "--name", &s.name, "name of this run on the page; otherwise its model's"},
        {"output.every", "--every", &s.every, "steps between two lines of the report"},
        {"output.eval-every", "--eval-every", &s.eval_every, "steps between two evaluations; 0: only after the last step"},
        {"output.eval-windows", "--eval-windows", &s.eval_windows, "most sequences of the text to evaluate"},
        {"output.threads", "-t,--threads", &s.threads, "threads; 0: one per core"},
    };
}

}  // namespace

void check_course(const Settings& s) {
    if (s.precision != "bf16" && s.precision != "f32") fail(ErrorKind::usage, "--precision must be bf16 or f32, it is '{}'", s.precision);
    if (s.batch < 1 || s.context < 1 || s.every < 1) fail(ErrorKind::usage, "--batch, --context and --every must be at least 1");
    constexpr std::int64_t most_tokens = 1 << 24;  // of a step; their ids alone would take more memory than models of such a step have
    if (s.batch > most_tokens || s.accumulate > most_tokens || s.context > most_tokens || s.batch * s.accumulate > most_tokens / s.context)
        fail(ErrorKind::usage, "--batch {}, --accumulate {} and -c {} make a step of more than {} tokens", s.batch, s.accumulate, s.context, most_tokens);
    if (s.clip < 0) fail(ErrorKind::usage, "--clip must not be negative, it is {}", s.clip);
    if (s.weight_decay && *s.weight_decay < 0) fail(ErrorKind::usage, "--weight-decay must not be negative, it is {}", *s.weight_decay);
    if (s.loss_rows < 0) fail(ErrorKind::usage, "--loss-rows must not be negative");
    if (s.accumulate < 1 || s.checkpoint_every < 1 || s.eval_windows < 1) fail(ErrorKind::usage, "--accumulate, --checkpoint-every and --eval-windows must be at least 1");
    if (s.rate && !(*s.rate > 0)) fail(ErrorKind::usage, "--rate must be above 0, it is {}", *s.rate);
    if (s.warmup < 0 || s.eval_every < 0) fail(ErrorKind::usage, "--warmup and --eval-every must not be negative");
    if (!(s.minutes >= 0) || s.tokens < 0 || s.steps < 0) fail(ErrorKind::usage, "--minutes, --tokens and --steps must not be negative");
    if (s.minutes > 0 && s.warmup > 0) fail(ErrorKind::usage, "--warmup counts steps, and with --minutes their number is not known; without it the warm-up takes a twentieth of the time");
    if (s.resume && s.checkpoint.empty()) fail(ErrorKind::usage, "--resume needs --checkpoint, to go on from");
    train::optimizers::get(s.optimizer), train::schedules::get(s.schedule);
}

std::string checkpoint_path(const Settings& s) { return core::is_folder(s.checkpoint) ? s.checkpoint + "/training.checkpoint" : s.checkpoint; }

std::vector<NamedPath> written_by(const Settings& s) { return {{"-o", s.output}, {"--checkpoint", checkpoint_path(s)}, {"--page", s.page}}; }

std::vector<NamedPath> read_by(const Settings& s, std::vector<NamedPath> also) {
    also.insert(also.end(), {{"the model", s.model}, {"the text", s.eval_file}});
    for (const std::string& text : s.texts) also.push_back({"the text", text});
    return also;
}

namespace {

void check(const Settings& s) {
    check_course(s);
    if (s.vocabulary_size < 0) fail(ErrorKind::usage, "--vocabulary-size must not be negative, it is {}", s.vocabulary_size);
    if (!(s.sizes.epsilon > 0 && s.sizes.rope_base > 0)) fail(ErrorKind::usage, "--epsilon and --rope-base must be above 0");
    if (!(s.held_out >= 0 && s.held_out < 1)) fail(ErrorKind::usage, "--held-out is a share of the text, from 0 to below 1, not {}", s.held_out);
    if (!s.family.empty() && !s.model.empty()) fail(ErrorKind::usage, "--family {} makes a new model and {} is one already; give one of the two", s.family, s.model);
    if (s.family.empty() && !(s.vocabulary.empty() && s.vocabulary_kind.empty() && s.vocabulary_size == 0))
        fail(ErrorKind::usage, "a vocabulary can be chosen for a new model only: give --family too");
    if (!s.vocabulary.empty() && !(s.vocabulary_kind.empty() && s.vocabulary_size == 0))
        fail(ErrorKind::usage, "the vocabulary is taken from {} or trained, not both: leave out its kind and size, or 'from'", s.vocabulary);
    if (!s.vocabulary_kind.empty() && s.vocabulary_kind != "bpe" && s.vocabulary_kind != "unigram")
        fail(ErrorKind::usage, "a vocabulary of the kind '{}' cannot be trained; there are bpe and unigram", s.vocabulary_kind);
    if (s.held_out > 0 && !s.eval_file.empty()) fail(ErrorKind::usage, "--held-out holds out a share of the text and --eval-file names another; give one of the two");
    if (!s.output.empty()) files::kind_for(s.output);
    check_outputs(written_by(s), read_by(s, {{"the recipe", s.recipe}, {"the vocabulary's model", s.vocabulary}}));
}

void add_option(Options& options, const Setting& setting) {
    std::visit(
        [&](auto* target) {
            if constexpr (std::is_same_v<decltype(target), bool*>) options.flag(setting.option, *target, setting.help);
            else options.add(setting.option, *target, setting.help);
        },
        setting.target);
}

}  // namespace

void add_settings(Options& options, Settings& s, std::initializer_list<std::string_view> names) {
    const std::vector<Setting> all = settings(s);
    for (const std::string_view name : names) {
        const auto found = std::find_if(all.begin(), all.end(), [&](const Setting& setting) { return setting.option.ends_with(name); });
        if (found == all.end()) fail(ErrorKind::bug, "no setting has the option {}", name);
        add_option(options, *found);
    }
}

Settings read_settings(Options& options) {
    Settings s;
    const std::vector<Setting> all = settings(s);
    for (const Setting& setting : all) add_option(options, setting);
    options.parse();
    if (s.model.ends_with(".toml")) {
        s.recipe = s.model, s.model.clear();
        std::vector<train::RecipeKey> keys;
        for (const Setting& setting : all)
            if (!setting.key.empty()) keys.push_back({setting.key, setting.target});
        train::read_recipe(s.recipe, keys, "model.metadata", s.metadata);
        // Again, for what was said on the command line to count. The recipe's own name is then the model's once more.
        const std::string model = s.model;
        options.parse();
        s.model = model;
    }
    if (s.minutes == 0 && s.tokens == 0 && s.steps == 0) s.steps = 100;
    check(s);
    return s;
}

}  // namespace tailor::cli::train_command
