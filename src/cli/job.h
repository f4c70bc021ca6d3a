// A training in several processes as the command line sees it: which of them prints, and what is said when one of them ends.
//
// mpirun ends all processes of a job when one dies, and tells which it was; what it cannot tell is that nothing is lost and how to go on.
// It sends SIGTERM first: then the lowest process that is still there on a host looks which one is missing, and says so.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "train/workers.h"

namespace tailor::cli {

class Job {
  public:
    /// Joins the processes that mpirun started beside this one, if it did. Those that are not the first print nothing from then on.
    /// `checkpoint` is where the training can be resumed from; empty: nowhere.
    explicit Job(const std::string& checkpoint);

    const std::shared_ptr<train::Workers>& workers() const { return workers_; }
    /// What -t gives, or this process's part of the cores.
    int threads(std::int64_t given) const;
    /// Runs the command. An error in one of several processes is told with the process's name and ends all of them with its exit code.
    void run(const std::function<void()>& command) const;

  private:
    std::shared_ptr<train::Workers> workers_;
    int errors_ = 2;  ///< where errors are written
};

}  // namespace tailor::cli
