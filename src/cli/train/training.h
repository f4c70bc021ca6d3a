// One training: the model, the texts, and where it stands.
//
// It learns step by step until its budget is used up, tells its course in lines, on a live line and on a page, evaluates what is held out,
// and writes checkpoints, from which it goes on.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "cli/train/loss_page.h"
#include "cli/train/progress.h"
#include "cli/train/source.h"
#include "train/budget.h"
#include "train/trainer.h"

namespace tailor::cli::train_command {

class Training {
  public:
    /// `objective`: what is minimized; none: the next token. `workers`: who takes part; none: this process alone. All of these
    /// outlive the training.
    Training(const Settings& settings, const run::LanguageModel& model, core::Pool& pool, bool json, std::shared_ptr<train::Objective> objective = {},
             std::shared_ptr<train::Workers> workers = {});
    void learn();
    const train::Trainer& trainer() const { return trainer_; }

  private:
    core::Json identity() const;
    core::Json schedule() const;
    void resume();
    void save();
    void stop_if_interrupted();
    double seconds() const;
    train::Step step();
    void report(const Stretch& done, double rate);
    void show_live(const Stretch& done, double loss);
    void evaluate();
    void open_page();
    void write_page(bool at_once);

    const Settings& s_;
    bool json_;
    std::shared_ptr<train::Workers> workers_;
    text::TokenId first_;
    Texts texts_;
    train::Trainer trainer_;
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
