// What a busy neighbour costs: tokens per second of a small Llama shape alone, and while other threads keep processors busy.
//
//     bench_neighbour [busy threads, default 1] [repetitions, default 5]
//
// Alone and disturbed runs take turns. A neighbour on one of n processors can take what that processor was worth and no more;
// threads that wait for each other by spinning alone lose far more, since each waits for one that the system has put aside.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "core/statistics.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "run/session.h"

using namespace tailor;

static double tokens_per_second(run::Session& session) {
    constexpr int tokens = 64;
    session.reset();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < tokens; ++i) {
        const text::TokenId id = 100 + i;
        session.evaluate({&id, 1});
    }
    return tokens / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main(int count, char** arguments) {
    const int busy = count > 1 ? std::atoi(arguments[1]) : 1, repetitions = count > 2 ? std::atoi(arguments[2]) : 5;
    core::Pool pool;
    run::Session session(run::LanguageModel::from_file(files::make_synthetic("llama-160m", formats::get("q4_k"))), pool, {.context = 128});
    tokens_per_second(session);
    std::vector<double> alone, disturbed;
    for (int r = 0; r < repetitions; ++r) {
        alone.push_back(tokens_per_second(session));
        std::atomic<bool> stop{false};
        std::vector<std::thread> neighbours;
        for (int t = 0; t < busy; ++t)
            neighbours.emplace_back([&] {
                while (!stop.load(std::memory_order_relaxed)) {}
            });
        disturbed.push_back(tokens_per_second(session));
        stop = true;
        for (std::thread& neighbour : neighbours) neighbour.join();
    }
    const double share = core::median(disturbed) / core::median(alone);
    std::printf("%d threads: %.1f tokens/s alone, %.1f beside %d busy threads: %.0f %% are left\n", pool.threads(), core::median(alone), core::median(disturbed),
                busy, 100 * share);
}
