// What a JSON Schema costs per token: text written under it against text of the same length written freely, in turns.
//
// Usage: bench_structured MODEL [tokens] [turns]     (480 15)
// "first" finds out about its grammar while it writes, as one call of tailor run does; "again" has written under it before, as the later
// answers of a chat have. Medians over texts of as many seeds. The smaller the model, the larger the share.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "core/statistics.h"
#include "run/generate.h"
#include "text/grammar/grammar.h"

namespace bench {

using namespace tailor;

struct Subject {
    const char *name, *schema;
};

// Objects and arrays that may grow; arrays and strings that are counted, where every character stands at a place of its own.
static const Subject subjects[] = {
    {"free strings", R"({"type":"array","minItems":6,"items":{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"}}},"required":["name","age","tags"]}})"},
    {"choices", R"({"type":"array","minItems":5,"items":{"type":"object","properties":{"kind":{"enum":["person","place","thing","event"]},"at":{"type":"string","format":"date-time"},"score":{"type":"number"},"seen":{"type":"boolean"}},"required":["kind","at","score","seen"]}})"},
    {"counted", R"({"type":"array","minItems":20,"maxItems":100,"items":{"type":"string","maxLength":40}})"},
};

struct Times {
    std::vector<double> plain, first, again;  ///< microseconds per token
    std::size_t tokens = 0;
};

static double microseconds(const run::Generated& text) { return 1e6 * text.decode_seconds / static_cast<double>(text.ids.size()); }

/// One text of each kind from the same seed.
static void write(run::Session& session, const std::vector<text::TokenId>& prompt, const text::grammar::Rules& rules, std::int64_t tokens, std::uint64_t seed, Times& times) {
    run::GenerateOptions options{.most_tokens = tokens};
    options.sampler.temperature = 1, options.sampler.seed = seed;
    const auto text = [&] {
        session.reset();
        return run::generate(session, prompt, options);
    };
    text::grammar::TokenMask mask(rules, session.model().tokenizer());
    options.mask = &mask;
    const run::Generated first = text();
    mask.restart();
    const run::Generated again = text();
    options.mask = nullptr, options.ignore_end = true, options.most_tokens = static_cast<std::int64_t>(first.ids.size());
    times.plain.push_back(microseconds(text())), times.first.push_back(microseconds(first)), times.again.push_back(microseconds(again));
    times.tokens += first.ids.size();
}

static void measure(const std::string& path, std::int64_t tokens, int turns) {
    core::Pool pool(0);
    const std::shared_ptr<const run::LanguageModel> model = run::LanguageModel::open(path);
    const std::vector<text::TokenId> prompt = model->tokenizer().encode("Once upon a time");
    run::Session session(model, pool, {.context = tokens + static_cast<std::int64_t>(prompt.size()), .kv_format = "f16"});
    std::printf("%s, %d threads, microseconds per token\n", path.c_str(), pool.threads());
    std::printf("%-14s %8s %8s %8s %8s %8s %8s\n", "schema", "tokens", "plain", "first", "more", "again", "more");
    for (const Subject& subject : subjects) {
        const text::grammar::Rules rules = text::grammar::from_json_schema(core::Json::parse(subject.schema));
        Times times;
        for (int turn = 0; turn < turns; ++turn) write(session, prompt, rules, tokens, static_cast<std::uint64_t>(turn), times);
        const double plain = core::median(times.plain), first = core::median(times.first), again = core::median(times.again);
        std::printf("%-14s %8zu %8.1f %8.1f %6.1f %% %8.1f %6.1f %%\n", subject.name, times.tokens / static_cast<std::size_t>(turns), plain, first, 100 * (first / plain - 1), again,
                    100 * (again / plain - 1));
    }
}

}  // namespace bench

int main(int argc, char** argv) {
    if (argc < 2) return std::fprintf(stderr, "usage: bench_structured MODEL [tokens] [turns]\n"), 2;
    try {
        bench::measure(argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 480, argc > 3 ? std::max(1, std::atoi(argv[3])) : 15);
    } catch (const tailor::core::Error& error) {
        return std::fprintf(stderr, "%s\n", error.what()), 2;
    }
}
