// MPI behind workers.h. Errors of MPI itself come back as codes and become Error(io); with Open MPI a process that dies shows as the end of
// the job instead, by mpirun, which sends SIGTERM to the others.
#include "train/workers.h"

#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <set>

#include "core/error.h"
#include "core/hash.h"

namespace tailor::train {

using core::ErrorKind;
using core::fail;

// Numbers of one message: MPI counts in int, and 64 MB at a time keep what MPI itself allocates small.
static constexpr std::size_t most_numbers = std::size_t{1} << 24;

static void check(int code, const char* what) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, text, &length);
    fail(ErrorKind::io, "{} between the processes of this training failed: {}; start it again with --resume", what, std::string_view(text, static_cast<std::size_t>(length)));
}

// Open MPI's mpirun sets the first; the second comes from MPICH's and, with --mpi=pmi2, from Slurm's srun.
static bool is_job() {
    for (const char* const variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
        if (const char* const value = std::getenv(variable); value && std::atoi(value) > 1) return true;
    return false;
}

/// What each process tells the others of itself.
struct Place {
    char host[MPI_MAX_PROCESSOR_NAME];
    std::int64_t process;
    std::uint64_t cores;  ///< a hash of the set that it may run on
};

Workers::Workers(Start start) {
    if (start == Start::alone || !is_job()) return;
    int provided = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) fail(ErrorKind::io, "MPI cannot be started; try without mpirun, or see what mpirun says");
    joined_ = true;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    learn_places();
}

void Workers::learn_places() {
    int count = 0, length = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    Place own{};
    MPI_Get_processor_name(own.host, &length);
    own.process = ::getpid();
    cpu_set_t cores;
    CPU_ZERO(&cores);
    ::sched_getaffinity(0, sizeof cores, &cores);
    own.cores = core::hash64(std::as_bytes(std::span(&cores, 1)));
    std::vector<Place> places(static_cast<std::size_t>(count));
    check(MPI_Allgather(&own, sizeof own, MPI_BYTE, places.data(), sizeof own, MPI_BYTE, MPI_COMM_WORLD), "learning each other's places");
    std::set<std::string> hosts;
    names_.clear(), sharing_ = 0;
    for (const Place& place : places) {
        hosts.insert(place.host);
        const bool same_host = std::strcmp(place.host, own.host) == 0;
        sharing_ += same_host && place.cores == own.cores;
        names_.push_back(core::format("process {} of {} (id {} on {})", names_.size(), count, place.process, place.host));
        here_.push_back(same_host ? static_cast<int>(place.process) : 0);
    }
    hosts_ = static_cast<int>(hosts.size());
}

Workers::~Workers() {
    if (joined_ && std::uncaught_exceptions() == 0) MPI_Finalize();
}

void Workers::sum(std::span<double> numbers) {
    if (!joined_) return;
    check(MPI_Allreduce(MPI_IN_PLACE, numbers.data(), static_cast<int>(numbers.size()), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD), "adding up");
}

std::int64_t Workers::least(std::int64_t number) {
    if (joined_) check(MPI_Allreduce(MPI_IN_PLACE, &number, 1, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD), "comparing");
    return number;
}

double Workers::of_first(double number) {
    copy_from(0, std::as_writable_bytes(std::span(&number, 1)));
    return number;
}

void Workers::sum_to(int owner, std::span<float> numbers) {
    if (!joined_) return;
    for (std::size_t at = 0; at < numbers.size(); at += most_numbers) {
        const auto part = numbers.subspan(at, std::min(most_numbers, numbers.size() - at));
        const void* const from = rank_ == owner ? MPI_IN_PLACE : part.data();
        check(MPI_Reduce(from, part.data(), static_cast<int>(part.size()), MPI_FLOAT, MPI_SUM, owner, MPI_COMM_WORLD), "adding up gradients");
    }
}

void Workers::copy_from(int owner, std::span<std::byte> bytes) {
    if (!joined_) return;
    for (std::size_t at = 0; at < bytes.size(); at += most_numbers) {
        const auto part = bytes.subspan(at, std::min(most_numbers, bytes.size() - at));
        check(MPI_Bcast(part.data(), static_cast<int>(part.size()), MPI_BYTE, owner, MPI_COMM_WORLD), "passing on weights");
    }
}

void Workers::send_to_first(int owner, std::span<std::byte> bytes) {
    if (!joined_ || owner == 0 || (rank_ != owner && rank_ != 0)) return;
    for (std::size_t at = 0; at < bytes.size(); at += most_numbers) {
        const auto part = bytes.subspan(at, std::min(most_numbers, bytes.size() - at));
        const int size = static_cast<int>(part.size());
        if (rank_ == owner) check(MPI_Send(part.data(), size, MPI_BYTE, 0, 0, MPI_COMM_WORLD), "gathering a checkpoint");
        else check(MPI_Recv(part.data(), size, MPI_BYTE, owner, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE), "gathering a checkpoint");
    }
}

void Workers::check_same(std::string_view what, std::uint64_t value) {
    if (!joined_) return;
    std::vector<std::uint64_t> values(names_.size());
    check(MPI_Allgather(&value, 1, MPI_UINT64_T, values.data(), 1, MPI_UINT64_T, MPI_COMM_WORLD), "comparing");
    for (std::size_t i = 1; i < values.size(); ++i)
        if (values[i] != values[0])
            fail(ErrorKind::usage, "{} has another {} than {}; all processes of a training need the same files and options (standard input reaches only one of them)", names_[i], what, names_[0]);
}

void Workers::abort(int exit_code) {
    if (joined_) MPI_Abort(MPI_COMM_WORLD, exit_code);
}

int Workers::missing() const noexcept {
    for (std::size_t i = 0; i < here_.size(); ++i)
        if (here_[i] > 0 && ::kill(here_[i], 0) != 0 && errno == ESRCH) return static_cast<int>(i);
    return -1;
}

int Workers::lowest_here() const noexcept {
    for (std::size_t i = 0; i < here_.size(); ++i)
        if (here_[i] > 0 && ::kill(here_[i], 0) == 0) return static_cast<int>(i);
    return rank_;
}

}  // namespace tailor::train
