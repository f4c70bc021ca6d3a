// Kinds, exit codes and the Ctrl-C flag; see error.h.
#include "core/error.h"

#include <atomic>

namespace tailor::core {

static std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the flag is set from a signal handler");

int Error::exit_code() const {
    switch (kind_) {
        case ErrorKind::numeric:
        case ErrorKind::bug: return 1;
        case ErrorKind::interrupted: return 130;
        default: return 2;
    }
}

const char* name(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::usage: return "usage";
        case ErrorKind::io: return "io";
        case ErrorKind::format: return "format";
        case ErrorKind::shape: return "shape";
        case ErrorKind::unsupported: return "unsupported";
        case ErrorKind::numeric: return "numeric";
        case ErrorKind::budget: return "budget";
        case ErrorKind::interrupted: return "interrupted";
        case ErrorKind::bug: return "bug";
    }
    return "bug";
}

void request_interrupt() noexcept { interrupted.store(true, std::memory_order_relaxed); }

bool take_interrupt() noexcept { return interrupted.exchange(false, std::memory_order_relaxed); }

void check_interrupt() {
    if (interrupted.load(std::memory_order_relaxed)) fail(ErrorKind::interrupted, "interrupted");
}

}  // namespace tailor::core
