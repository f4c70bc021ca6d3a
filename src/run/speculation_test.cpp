// Writing with drafts gives the text that is written without them: token for token where the most likely one is taken or drafts were
// found, and the same distribution where they were drawn. The drafters are those of the registry and one that is right as often as told.
#include "run/speculation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/json.h"
#include "core/mapped_file.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "run/drafts/registry.h"
#include "run/generate.h"

namespace tailor::run {
namespace {

namespace fs = std::filesystem;
const fs::path shared = fs::path(TAILOR_SOURCE_DIR) / ".." / "shared";

std::shared_ptr<LanguageModel> tiny(const char* format = "f32") { return LanguageModel::from_file(files::make_synthetic("llama-tiny", formats::get(format))); }

const std::vector<text::TokenId> prompt = {5, 9, 200, 13, 77, 77, 3, 410, 8, 21, 5, 9, 200};

GenerateOptions greedy(std::int64_t tokens) {
    GenerateOptions options;
    options.most_tokens = tokens, options.ignore_end = true, options.sampler.temperature = 0;
    return options;
}

std::vector<text::TokenId> write(Session& session, GenerateOptions options, drafts::Drafter* drafter = nullptr, const std::vector<text::TokenId>& after = prompt) {
    session.reset();
    options.drafter = drafter;
    const Generated written = generate(session, after, options);
    const auto expected_past = static_cast<std::int64_t>(after.size() + written.ids.size()) - 1;
    if (drafter) {
        EXPECT_EQ(expected_past, session.past()) << "drafts were left behind";
    }
    return written.ids;
}

// Knows the text; every `period`-th of its tokens is wrong.
class Oracle : public drafts::Drafter {
  public:
    Oracle(std::vector<text::TokenId> known, std::size_t period) : known_(std::move(known)), period_(period) {}
    void propose(std::span<const text::TokenId> history, std::int64_t, std::int64_t most, drafts::Proposal& proposal) override {
        for (std::size_t i = history.size(); i < known_.size() && static_cast<std::int64_t>(i - history.size()) < most; ++i)
            proposal.ids.push_back(i % period_ == 0 ? (known_[i] + 1) % 100 : known_[i]);
        asked += 1, given += proposal.ids.size();
    }
    std::size_t asked = 0, given = 0;

  private:
    std::vector<text::TokenId> known_;
    std::size_t period_;
};

std::vector<text::TokenId> joined(std::vector<text::TokenId> a, const std::vector<text::TokenId>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

TEST(Speculation, GreedyTextIsThatWithoutDrafts) {
    core::Pool pool(2);
    for (const char* const format : {"f32", "q8_0"}) {
        Session session(tiny(format), pool, {.context = 160});
        const std::vector<text::TokenId> plain = write(session, greedy(120));
        for (const std::size_t period : {1, 2, 5, 1000}) {
            Oracle oracle(joined(prompt, plain), period);
            EXPECT_EQ(plain, write(session, greedy(120), &oracle)) << format << ", wrong once in " << period;
            EXPECT_GT(oracle.given, 0u);
        }
        for (const char* const form : {"prompt-lookup", "prompt-lookup=1", "early-exit=1"}) {
            const auto drafter = drafts::make(form, session, pool, greedy(1).sampler);
            EXPECT_EQ(plain, write(session, greedy(120), drafter.get())) << format << " with " << form;
        }
    }
}

TEST(Speculation, EndsWhereTheContextEnds) {
    core::Pool pool(1);
    Session session(tiny(), pool, {.context = 40});
    const std::vector<text::TokenId> plain = write(session, greedy(-1));
    EXPECT_EQ(40u - prompt.size() + 1, plain.size());
    Oracle oracle(joined(prompt, joined(plain, plain)), 7);
    EXPECT_EQ(plain, write(session, greedy(-1), &oracle));
}

TEST(Speculation, DraftsThatWereFoundDoNotChangeWhatASeedWrites) {
    core::Pool pool(1);
    Session session(tiny(), pool, {.context = 160});
    GenerateOptions options = greedy(100);
    options.sampler.temperature = 0.9, options.sampler.seed = 11;
    const std::vector<text::TokenId> plain = write(session, options);
    Oracle oracle(joined(prompt, plain), 4);
    EXPECT_EQ(plain, write(session, options, &oracle));
}

TEST(Speculation, ReportCountsWhatWasTaken) {
    core::Pool pool(1);
    Session session(tiny(), pool, {.context = 400});
    const std::vector<text::TokenId> plain = write(session, greedy(300));
    Oracle oracle(joined(prompt, plain), 100000);
    GenerateOptions options = greedy(300);
    options.drafter = &oracle;
    session.reset();
    const Generated written = generate(session, prompt, options);
    ASSERT_TRUE(written.speculation);
    const SpeculationReport& report = *written.speculation;
    EXPECT_EQ(300, report.tokens);
    EXPECT_EQ(report.drafted, report.taken) << "nothing was wrong";
    EXPECT_GT(report.rounds, 0);
    EXPECT_GT(report.compared, 0);
    EXPECT_LT(report.divergence, 1e-9);
    EXPECT_GT(report.plain_tokens_per_second, 0);
    EXPECT_EQ(report.json().at("taken").integer(), report.taken);
}

// What is drawn by the rule is drawn from the wanted distribution whatever the proposed one is: within four standard errors.
TEST(Speculation, RuleOfRejectionGivesTheWantedDistribution) {
    Sampler sampler({.temperature = 1, .seed = 5});
    const Distribution wanted = {{3, 0.5}, {1, 0.3}, {7, 0.15}, {2, 0.05}};
    for (const Distribution& proposed : {Distribution{{1, 0.9}, {3, 0.1}}, {{9, 1.0}}, {{3, 0.25}, {1, 0.25}, {7, 0.25}, {2, 0.25}}, wanted}) {
        std::map<text::TokenId, int> counts;
        int kept = 0;
        constexpr int draws = 40000;
        for (int i = 0; i < draws; ++i) {
            const text::TokenId drafted = sampler.draw(proposed), id = sampler.draw_over(wanted, proposed, drafted);
            ++counts[id];
            kept += id == drafted;
        }
        double overlap = 0;
        for (const Choice& c : wanted) {
            EXPECT_NEAR(c.probability, counts[c.id] / double{draws}, 4 * std::sqrt(c.probability * (1 - c.probability) / draws)) << c.id;
            for (const Choice& q : proposed) overlap += q.id == c.id ? std::min(q.probability, c.probability) : 0;
        }
        EXPECT_NEAR(overlap, kept / double{draws}, 0.011) << "the share that is taken is the sum of the lesser probabilities";
    }
}

// The second token of many short texts, with a draft model's tokens and without.
TEST(Speculation, SampledTextHasTheModelsOwnDistribution) {
    core::Pool pool(1);
    Session session(tiny(), pool, {.context = 64});
    GenerateOptions options = greedy(6);
    options.sampler = {.temperature = 0.05, .top_k = 4, .top_p = 1, .min_p = 0};
    const auto drafter = drafts::make("early-exit=1", session, pool, options.sampler);
    // The drafter draws on from text to text, so that drafts and choices are independent.
    std::map<text::TokenId, double> plain, drafted;
    constexpr int texts = 1500;
    for (int i = 0; i < texts; ++i) {
        options.sampler.seed = static_cast<std::uint64_t>(i);
        const std::vector<text::TokenId> a = write(session, options), b = write(session, options, drafter.get());
        for (const std::size_t place : {4u, 5u}) plain[a[place]] += 1, drafted[b[place]] += 1;
    }
    for (const auto& [id, count] : plain) {
        const double deviation = std::sqrt(2 * std::max(count, 1.0));  // of the difference of two counts
        EXPECT_NEAR(count, drafted[id], 4.5 * deviation + 1) << "token " << id;
    }
}

TEST(Speculation, RecurrentModelsArePutBack) {
    core::Pool pool(1);
    int checked = 0;
    for (const char* const name : {"mamba", "rwkv6", "falcon-h1", "jamba", "lfm2", "llama", "gemma3", "qwen3moe"}) {
        const fs::path file = shared / "golden" / "models" / name / "model.gguf";
        if (!fs::exists(file)) continue;
        Session session(LanguageModel::open(file.string()), pool, {.context = 128});
        const std::vector<text::TokenId> start = {3, 8, 1, 12, 3, 8}, plain = write(session, greedy(60), nullptr, start);
        for (const std::size_t period : {3, 1000}) {
            Oracle oracle(joined(start, plain), period);
            EXPECT_EQ(plain, write(session, greedy(60), &oracle, start)) << name << ", wrong once in " << period;
            EXPECT_GT(oracle.given, 0u) << name;
        }
        ++checked;
    }
    if (checked == 0) GTEST_SKIP() << "no reference models at " << shared;
}

TEST(Speculation, LearnedModelsWriteTheSameWithEveryDrafter) {
    const fs::path file = shared / "models" / "victorian-8m-f32.gguf", half = shared / "models" / "victorian-8m-f16.gguf", other = shared / "models" / "stories260K-f32.gguf";
    if (!fs::exists(file)) GTEST_SKIP() << "no reference models at " << shared;
    core::Pool pool(2);
    Session session(LanguageModel::open(file.string()), pool, {});
    const std::vector<text::TokenId> start = session.model().tokenizer().encode("It was the best of times, it was the worst of times, it was");
    const std::vector<text::TokenId> plain = write(session, greedy(100), nullptr, start);
    for (const std::string& form : std::vector<std::string>{"prompt-lookup", "early-exit=2", "early-exit=7", "draft=" + half.string()}) {
        const auto drafter = drafts::make(form, session, pool, greedy(1).sampler);
        EXPECT_EQ(plain, write(session, greedy(100), drafter.get(), start)) << form;
        EXPECT_EQ(plain, write(session, greedy(100), drafter.get(), start)) << form << " again";
    }
    EXPECT_THROW(drafts::make("draft=" + other.string(), session, pool, {}), core::Error) << "another vocabulary";
}

TEST(Speculation, RefusesWhatCannotDraft) {
    core::Pool pool(1);
    Session session(tiny(), pool, {});
    for (const char* const form : {"nonsense", "prompt-lookup=0", "prompt-lookup=x", "early-exit", "early-exit=0", "early-exit=99", "early-exit=1x", "draft", "draft=/nowhere.gguf"})
        EXPECT_THROW(drafts::make(form, session, pool, {}), core::Error) << form;
}

TEST(PromptLookup, ProposesWhatFollowedTheLongestMatch) {
    core::Pool pool(1);
    Session session(tiny(), pool, {});
    const auto lookup = [&](const std::vector<text::TokenId>& history, std::int64_t most) {
        drafts::Proposal proposal;
        drafts::make("prompt-lookup", session, pool, {})->propose(history, 0, most, proposal);
        return proposal.ids;
    };
    using Ids = std::vector<text::TokenId>;
    EXPECT_EQ((Ids{4, 5}), lookup({1, 2, 3, 4, 5, 9, 2, 3, 7, 1, 2, 3}, 2)) << "three agree in the first place, two in the latest";
    EXPECT_EQ((Ids{7, 8, 2}), lookup({2, 3, 4, 2, 3, 7, 8, 2, 3}, 3)) << "of equals the latest";
    EXPECT_EQ((Ids{}), lookup({1, 2, 3, 4, 5, 3}, 4)) << "one token alone is no match";
    EXPECT_EQ((Ids{1, 2, 1, 2, 1}), lookup({1, 2, 1, 2}, 5)) << "a repetition goes on";
    EXPECT_EQ((Ids{}), lookup({1}, 5));
}

}  // namespace
}  // namespace tailor::run
