// The processes that train one model together: those that `mpirun` (or a cluster's starter) began, over MPI.
//
//     mpirun -n 4 tailor train ...
// Every process holds the whole model and works on its share of a step's sequences; what they exchange are sums of gradients, weights
// that moved, and a few numbers. All functions are collective: every process calls them in the same order with arguments that fit. A process
// that meets an error does not try to tell the others by messages that they might not be waiting for: it says what happened and ends the
// whole job (abort), as mpirun does for a process that is killed; a checkpoint is what one goes on from.
//
// libmpi is linked to the program, and joined only where a starter's environment says so: merely loading it costs 0.7 ms of each
// start (measured: a program without and with it, best of 40: 0.6 and 1.3 ms), which a module of its own would not be worth.
// mpi.h is included by workers.cpp alone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::train {

class Workers {
  public:
    /// Which processes to take part with.
    enum class Start {
        alone,  ///< this one
        job,    ///< those of the job that this process was started in, if it was; at most one such object in a process
    };
    explicit Workers(Start start = Start::alone);
    /// Leaves the job; waits for all others to do so.
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    int rank() const { return rank_; }
    int count() const { return static_cast<int>(names_.size()); }
    /// The one that reports and writes files.
    bool first() const { return rank_ == 0; }
    int hosts() const { return hosts_; }
    /// Processes of this host, this one included, that may use the same cores as this one.
    int sharing() const { return sharing_; }
    /// "process 2 of 4 (id 4711 on host-a)"; ranks count from 0, as mpirun does.
    const std::string& name(int rank) const { return names_[static_cast<std::size_t>(rank)]; }

    /// Each number becomes its sum over all processes, the same bits everywhere.
    void sum(std::span<double> numbers);
    /// The least of all processes' numbers.
    std::int64_t least(std::int64_t number);
    /// What the first process's number is: of clocks, for instance, which differ.
    double of_first(double number);
    bool any(bool here) { return least(here ? 0 : 1) == 0; }
    /// The owner's numbers become the sums over all processes; what the others' are afterwards is not defined.
    void sum_to(int owner, std::span<float> numbers);
    /// All processes' bytes become those of the owner.
    void copy_from(int owner, std::span<std::byte> bytes);
    /// The owner's bytes arrive in the first process's; other processes take no part. Nothing is done where the owner is the first.
    void send_to_first(int owner, std::span<std::byte> bytes);
    /// Throws Error(usage) in every process, naming one whose `value` is not that of the first: "... has another text than ...".
    void check_same(std::string_view what, std::uint64_t value);

    /// Ends all processes of the job, this one with `exit_code`. Returns where this process is alone.
    void abort(int exit_code);
    /// The lowest rank of a process of this host that is no more, or -1. May be called in a signal handler.
    int missing() const noexcept;
    /// The lowest rank of a process of this host that is still there. May be called in a signal handler.
    int lowest_here() const noexcept;

  private:
    void learn_places();

    int rank_ = 0, hosts_ = 1, sharing_ = 1;
    bool joined_ = false;
    std::vector<std::string> names_{"the only process"};
    std::vector<int> here_;  ///< process ids by rank; 0: on another host
};

}  // namespace tailor::train
