// Spin-then-sleep workers; see pool.h.
//
// One region is published by bumping `generation`; workers wait for it to change. Each worker runs its fixed range and
// decrements `remaining`; the caller runs range 0 and waits for zero. std::atomic::wait is a futex on Linux.
#include "core/pool.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <sched.h>
#endif

namespace tailor::core {

// How long a waiting thread spins before it sleeps. A wake-up through the kernel costs 5 to 50 microseconds on a virtual
// machine; gaps between the regions of a decode step are below 20.
constexpr std::chrono::microseconds spin_time{40};

struct Pool::Shared {
    std::vector<std::thread> workers;
    std::atomic<std::uint32_t> generation{0};
    std::atomic<std::int32_t> remaining{0};
    std::int64_t chunks = 0;
    Function function = nullptr;
    const void* context = nullptr;
    bool stop = false;
    int threads = 1;

    void run_range(int thread) const {
        const std::int64_t begin = chunks * thread / threads, end = chunks * (thread + 1) / threads;
        for (std::int64_t c = begin; c < end; ++c) function(context, c, thread);
    }

    template <class T>
    static void wait_while_equal(const std::atomic<T>& value, T old) {
        const auto start = std::chrono::steady_clock::now();
        while (value.load(std::memory_order_acquire) == old) {
            for (int i = 0; i < 64; ++i) {
#if defined(__x86_64__)
                __builtin_ia32_pause();
#endif
                if (value.load(std::memory_order_acquire) != old) return;
            }
            if (std::chrono::steady_clock::now() - start > spin_time) value.wait(old, std::memory_order_acquire);
        }
    }

    void work(int thread) {
        std::uint32_t seen = 0;
        for (;;) {
            wait_while_equal(generation, seen);
            seen = generation.load(std::memory_order_acquire);
            if (stop) return;
            run_range(thread);
            if (remaining.fetch_sub(1, std::memory_order_acq_rel) == 1) remaining.notify_one();
        }
    }
};

static int available_cores() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
#endif
    const unsigned n = std::thread::hardware_concurrency();
    return n ? static_cast<int>(n) : 1;
}

Pool::Pool(int threads) : shared_(std::make_unique<Shared>()) {
    shared_->threads = threads > 0 ? threads : available_cores();
    for (int t = 1; t < shared_->threads; ++t) shared_->workers.emplace_back([s = shared_.get(), t] { s->work(t); });
}

Pool::~Pool() {
    shared_->stop = true;
    shared_->generation.fetch_add(1, std::memory_order_acq_rel);
    shared_->generation.notify_all();
    for (auto& worker : shared_->workers) worker.join();
}

int Pool::threads() const { return shared_->threads; }

void Pool::run_erased(std::int64_t chunks, Function function, const void* context) {
    Shared& s = *shared_;
    if (s.threads == 1 || chunks <= 1) {
        for (std::int64_t c = 0; c < chunks; ++c) function(context, c, 0);
        return;
    }
    s.chunks = chunks, s.function = function, s.context = context;
    s.remaining.store(s.threads - 1, std::memory_order_relaxed);
    s.generation.fetch_add(1, std::memory_order_acq_rel);
    s.generation.notify_all();
    s.run_range(0);
    for (std::int32_t left; (left = s.remaining.load(std::memory_order_acquire)) != 0;) Shared::wait_while_equal(s.remaining, left);
}

}  // namespace tailor::core
