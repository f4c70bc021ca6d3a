// What a training begins with: the model that is opened or made, its vocabulary, and the tokens of its texts.
#pragma once
#include <memory>

#include "cli/common.h"
#include "cli/train/settings.h"
#include "train/token_windows.h"

namespace tailor::cli::train_command {

/// The model of the settings: one from a file, or a new one of a family with a vocabulary from a file or trained on the texts.
std::shared_ptr<run::LanguageModel> model_of(const Settings& settings);

/// The windows to learn, and those to evaluate; none of these where nothing is held out.
struct Texts {
    std::unique_ptr<train::TokenWindows> learned, held_out;
};
Texts texts_of(const Settings& settings, const run::LanguageModel& model);

}  // namespace tailor::cli::train_command
