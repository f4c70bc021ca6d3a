// Silence, signals and errors of several processes; see job.h.
#include "cli/job.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <vector>

#include "cli/common.h"
#include "core/error.h"

namespace tailor::cli {

// What the handler of SIGTERM needs, made before it can be called: only write() and kill() may be used there.
static const train::Workers* job_workers = nullptr;
static std::vector<std::string> if_missing;  ///< by rank
static std::string if_told;
static int error_output = 2;
static volatile std::sig_atomic_t said = 0;

static void say(const char* text, std::size_t size) {
    if (::write(error_output, text, size) < 0) return;
}

static void on_end(int signal) {
    const int missing = job_workers->missing();
    if (!said && job_workers->lowest_here() == job_workers->rank() && (missing >= 0 || job_workers->first())) {
        const std::string& text = missing >= 0 ? if_missing[static_cast<std::size_t>(missing)] : if_told;
        say(text.data(), text.size());
    }
    // The others look for the lowest process within this time; mpirun waits longer before it kills.
    ::usleep(300000);
    std::signal(signal, SIG_DFL);
    ::raise(signal);
}

static void prepare_messages(const train::Workers& workers, const std::string& checkpoint) {
    const std::string advice = checkpoint.empty() ? "with --checkpoint FILE and --resume a training can be started again from where it was"
                                                  : core::format("the same command with --resume goes on from {}, as it was last written", checkpoint);
    for (int rank = 0; rank < workers.count(); ++rank) if_missing.push_back(core::format("tailor: {} is no more, so the training ends; {}\n", workers.name(rank), advice));
    if_told = core::format("tailor: the training was told to end; {}\n", advice);
    job_workers = &workers;
    std::signal(SIGTERM, on_end);
}

Job::Job(const std::string& checkpoint) : workers_(std::make_shared<train::Workers>(train::Workers::Start::job)) {
    if (workers_->count() == 1) return;
    errors_ = error_output = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (!workers_->first()) {
        std::fflush(nullptr);
        const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(nowhere, STDOUT_FILENO), ::dup2(nowhere, STDERR_FILENO);
        ::close(nowhere);
    }
    prepare_messages(*workers_, checkpoint);
}

int Job::threads(std::int64_t given) const {
    if (given != 0 || workers_->count() == 1) return checked_threads(given);
    return std::max(1, core::Pool(0).threads() / workers_->sharing());
}

void Job::run(const std::function<void()>& command) const {
    if (workers_->count() == 1) return command();
    note(core::format("{} processes on {} share each batch", workers_->count(), workers_->hosts() == 1 ? "one host" : core::format("{} hosts", workers_->hosts())));
    try {
        command();
    } catch (const std::exception& error) {
        // Most errors are met by all processes at once; the first one's message is enough, and ends the others while they wait.
        if (!workers_->first()) ::usleep(500000);
        const std::string text = core::format("tailor: {}{}\n", workers_->first() ? std::string() : workers_->name(workers_->rank()) + ": ", error.what());
        say(text.data(), text.size());
        said = 1;
        const auto* const known = dynamic_cast<const core::Error*>(&error);
        workers_->abort(known ? known->exit_code() : 1);
        throw;
    }
}

}  // namespace tailor::cli
