// What cheaper decoding can gain on this machine: made-up weights of a well-known shape, so speed is known without a model file.
//
// Usage: bench_decoding [shape] [format] [depth] [threads]     (llama-1.1b q8_0 1024 2)
// rows      a step that checks k drafted tokens has k + 1 rows. Its time in steps of one row, and the share of drafted tokens that must be
//           taken for it to pay if drafting itself were free: 1 + a + ... + a^k = time.
// cache     a step behind `depth` tokens, with a limited KV cache and with the whole.
// sparsity  a step with a share of the feed-forward neurons left out.
// Times are first quartiles of steps in turns, since neighbours only make them longer. What these ways change in a text has to be measured on
// a learned model: tailor run and tailor eval say it.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "core/statistics.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "run/comparison.h"
#include "run/sparsity.h"

namespace bench {

using namespace tailor;

static std::vector<text::TokenId> some_ids(std::int64_t count, std::int64_t vocabulary) {
    std::vector<text::TokenId> ids;
    std::uint64_t state = 1;
    for (std::int64_t i = 0; i < count; ++i) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        ids.push_back(static_cast<text::TokenId>((state >> 33) % static_cast<std::uint64_t>(vocabulary)));
    }
    return ids;
}

// The share `a` with 1 + a + ... + a^k = steps; above 1 if all of them do not pay.
static double share_that_pays(std::int64_t k, double steps) {
    double low = 0, high = 2;
    for (int i = 0; i < 60; ++i) {
        const double a = (low + high) / 2;
        double tokens = 0;
        for (std::int64_t j = 0; j <= k; ++j) tokens += std::pow(a, static_cast<double>(j));
        (tokens < steps ? low : high) = a;
    }
    return low;
}

static void time_rows(const std::shared_ptr<const run::LanguageModel>& model, core::Pool& pool) {
    run::Session session(model, pool, {.context = 1024});
    const std::vector<text::TokenId> ids = some_ids(64, model->facts().vocabulary);
    const std::vector<std::int64_t> rows = {1, 2, 3, 4, 5, 7, 9, 13, 17};
    std::vector<std::vector<double>> seconds(rows.size());
    for (int round = 0; round < 8; ++round)
        for (std::size_t i = 0; i < rows.size(); ++i) {
            session.keep(64);
            if (session.past() == 0) session.prefill(ids);
            session.plan(rows[i], rows[i]);
            const auto start = std::chrono::steady_clock::now();
            session.evaluate(std::span(ids).first(static_cast<std::size_t>(rows[i])), rows[i]);
            if (round > 0) seconds[i].push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        }
    const double one = core::quantile(seconds[0], 0.25);
    std::printf("| drafted | time of the step | pays if taken |\n|---:|---:|---:|\n");
    for (std::size_t i = 1; i < rows.size(); ++i) {
        const double steps = core::quantile(seconds[i], 0.25) / one, share = share_that_pays(rows[i] - 1, steps);
        std::printf("| %d | %.2f steps of one row (%.1f ms) | %s |\n", static_cast<int>(rows[i] - 1), steps, 1e3 * core::quantile(seconds[i], 0.25),
                    share > 1 ? "never" : (std::to_string(static_cast<int>(std::lround(100 * share))) + " %").c_str());
    }
}

static void print_comparison(const std::string& what, const run::Comparison& c) {
    std::printf("| %s | %.1f | %.1f | %.2f |\n", what.c_str(), 1e3 * c.seconds, 1e3 * c.plain_seconds, c.gain());
    std::fflush(stdout);
}

static void run_all(const std::string& shape, const std::string& format, std::int64_t depth, int threads) {
    const std::shared_ptr<const run::LanguageModel> model = run::LanguageModel::from_file(files::make_synthetic(shape, formats::get(format)));
    core::Pool pool(threads);
    std::printf("%s %s, %d threads\n\n", shape.c_str(), format.c_str(), threads);
    time_rows(model, pool);
    constexpr std::int64_t steps = 24;
    const std::vector<text::TokenId> ids = some_ids(depth + steps, model->facts().vocabulary);
    std::printf("\n| way | ms per token | plain | gain |\n|---|---:|---:|---:|\n");
    {
        const run::SessionOptions options{.context = depth + steps};
        run::Session plain(model, pool, options);
        for (const char* const policy : {"window", "heavy-hitters"}) {
            run::SessionOptions limited = options;
            limited.kv_budget = {std::max<std::int64_t>(16, depth / 8), policy};
            run::Session session(model, pool, limited);
            print_comparison(core::format("{}, {} of {} entries", policy, limited.kv_budget.entries, depth), run::compare_steps(session, plain, ids, steps));
        }
    }
    run::Session plain(model, pool, {.context = 256});
    for (const double share : {0.3, 0.5, 0.7}) {
        const run::Sparsity sparsity(plain, std::span(ids).first(64), {share, "cats"});
        run::SessionOptions options{.context = 256};
        options.rewrite = [&](const graph::Graph& graph) { return sparsity.apply(graph); };
        run::Session session(model, pool, options);
        print_comparison(core::format("{:.0f} % of the neurons left out", 100 * share), run::compare_steps(session, plain, std::span(ids).first(64), steps));
    }
}

}  // namespace bench

int main(int count, char** arguments) {
    const auto argument = [&](int i, const char* otherwise) { return std::string(count > i ? arguments[i] : otherwise); };
    try {
        bench::run_all(argument(1, "llama-1.1b"), argument(2, "q8_0"), std::atoll(argument(3, "1024").c_str()), std::atoi(argument(4, "2").c_str()));
    } catch (const tailor::core::Error& error) {
        std::fprintf(stderr, "bench_decoding: %s\n", error.what());
        return 1;
    }
}
