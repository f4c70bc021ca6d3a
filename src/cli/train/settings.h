// What `tailor train` is told: by a recipe, by options, or both, where options count.
//
// Every setting stands once, in settings.cpp, with its key in a recipe, its option and its help.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"
#include "cli/outputs.h"
#include "files/metadata.h"
#include "models/new_model.h"
#include "train/schedules/registry.h"

namespace tailor::cli::train_command {

struct Settings {
    // [model]
    std::string model, family;
    models::Sizes sizes;
    files::Metadata metadata;  ///< [model.metadata]: keys beyond the sizes
    bool from_scratch = false;
    // [vocabulary]
    std::string vocabulary, vocabulary_kind;
    std::int64_t vocabulary_size = 0;
    // [data]
    std::vector<std::string> texts;
    std::string eval_file, cache;
    double held_out = 0;
    std::int64_t context = 256;
    // [optimizer]
    std::string optimizer = "adamw", schedule = "cosine", precision = "bf16", keep = "keep", memory, spill_folder;
    std::optional<double> rate, weight_decay;
    double clip = 1;
    std::int64_t warmup = 0, batch = 16, accumulate = 1, loss_rows = 0;
    bool optimizer_on_disk = false;
    std::uint64_t seed = 1;
    // [budget]; 0: not limited by it
    double minutes = 0;
    std::int64_t tokens = 0, steps = 0;
    // [output]
    std::string output, checkpoint, page, name;
    std::int64_t checkpoint_every = 100, every = 10, eval_every = 0, eval_windows = 64, threads = 0;
    bool resume = false;

    std::string recipe;  ///< the file that they come from; empty: from options alone

    double peak() const;
    double decay() const;
    std::int64_t tokens_per_step() const { return batch * accumulate * context; }
    /// Steps that the budgets of steps and tokens allow; 0: as many as the time does.
    std::int64_t most_steps() const;
};

/// Adds some of the options that are described here, by their long names: for commands that train in their own way.
void add_settings(Options& options, Settings& settings, std::initializer_list<std::string_view> names);
/// What every training keeps to: numbers, names and the checkpoint. Throws Error(usage) naming what is wrong.
void check_course(const Settings& settings);
/// The checkpoint's file: the one that is named, or one in the folder that is.
std::string checkpoint_path(const Settings& settings);
/// What a training writes, -o first, and what it reads besides `also`: for check_outputs.
std::vector<NamedPath> written_by(const Settings& settings);
std::vector<NamedPath> read_by(const Settings& settings, std::vector<NamedPath> also = {});
/// Reads options and the recipe that they may name. Throws Error(usage) naming what is wrong.
Settings read_settings(Options& options);

}  // namespace tailor::cli::train_command
