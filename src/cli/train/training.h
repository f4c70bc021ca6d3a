// One training: who learns, the texts, and where it stands.
//
// It learns step by step until its budget is used up, tells its course in lines, on a live line and on a page, evaluates what is held out,
// and writes checkpoints, from which it goes on.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "cli/train/loss_page.h"
#include "cli/train/progress.h"
#include "cli/train/source.h"
#include "train/budget.h"
#include "train/trainer.h"

namespace tailor::cli::train_command {

/// Who learns from what, and what is told of it.
struct Lesson {
    train::Learner& learner;
    Texts texts;
    text::TokenId first = -1;  ///< begins every sequence; -1: none does
    std::string name, about;   ///< of the run, on the page
    core::Json identity = {};  ///< what must stay for a checkpoint to be gone on from, beside what settings say of the text
    double weights = 0;        ///< numbers that a token is multiplied with, trained or not
    double passes = 3;         ///< multiplications with each of them per token and step: Kaplan et al., 2020, section 2.1
    bool has_gradient = true;  ///< without one, what is told is the slope along a direction
    bool evaluates_first = false;
    /// In place of the loss on what the texts hold out: tells how good the learner is ("before", "step 20", "after") and returns the loss.
    std::function<double(std::string_view when)> judge = {};
};

/// What the settings say of a trainer of all weights.
train::TrainerOptions trainer_options(const Settings& settings);
/// The token that begins every sequence of a model; -1: none does.
text::TokenId first_token(const run::LanguageModel& model);
/// A trainer of a model's weights, which begin at random if the settings say so; tells how its values are kept. `options` are the settings'
/// own and what the caller adds.
std::unique_ptr<train::Trainer> trainer_of(const Settings& settings, const files::File& file, core::Pool& pool, const train::TrainerOptions& options);
/// What it learns.
Lesson lesson_of(const Settings& settings, const run::LanguageModel& model, train::Trainer& trainer);

class Training {
  public:
    /// All of these outlive the training.
    Training(const Settings& settings, Lesson lesson, int threads, bool json, std::shared_ptr<train::Workers> workers = {});
    void learn();

  private:
    core::Json identity() const;
    core::Json schedule() const;
    double operations_per_second(double tokens_per_second) const { return 2 * lesson_.passes * lesson_.weights * tokens_per_second; }
    void resume();
    void save();
    void stop_if_interrupted();
    double seconds() const;
    train::Step step();
    void report(const Stretch& done, double rate);
    void show_live(const Stretch& done, double loss);
    void evaluate(std::string_view when);
    double held_out_loss();
    void open_page();
    void write_page(bool at_once);

    const Settings& s_;
    bool json_;
    std::shared_ptr<train::Workers> workers_;
    Lesson lesson_;
    train::Budget budget_;
    std::string checkpoint_;
    std::int64_t saved_ = -1;  ///< steps in the checkpoint; -1: there is none of this run
    std::chrono::steady_clock::time_point start_;
    double seconds_before_ = 0;      ///< of the runs that this one goes on from
    double step_seconds_ = 0;        ///< of a step, as the last ones were
    double evaluation_seconds_ = 0;  ///< of the last evaluation
    double rate_ = 0, peak_flops_ = 0, page_seconds_ = 0;
    std::vector<LossRun> others_;    ///< on the page
    LossRun run_;
    LiveLine live_;
};

}  // namespace tailor::cli::train_command
