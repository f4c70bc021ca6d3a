// Caches with fewer entries than tokens: which entries stay, that they stay whole, and what that does to a model.
#include "run/kv_budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "core/error.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "ops/attention/mass.h"
#include "ops/registry.h"
#include "run/comparison.h"
#include "run/drafts/registry.h"
#include "run/evictions/registry.h"

namespace tailor::run {
namespace {

using ops::attention_kernels::Side;

std::shared_ptr<LanguageModel> tiny() { return LanguageModel::from_file(files::make_synthetic("llama-tiny", formats::get("f32"))); }

std::vector<text::TokenId> some_ids(std::int64_t count) {
    std::vector<text::TokenId> ids;
    for (std::int64_t i = 0; i < count; ++i) ids.push_back(static_cast<text::TokenId>((i * i * 31 + 7 * i + 5) % 512));
    return ids;
}

std::vector<int> kept_by(std::string_view policy, const evictions::Entries& entries, std::int64_t kept) {
    std::vector<char> stays(entries.positions.size(), 0);
    evictions::get(policy).choose(entries, kept, stays);
    std::vector<int> positions;
    for (std::size_t i = 0; i < stays.size(); ++i)
        if (stays[i]) positions.push_back(entries.positions[i]);
    std::sort(positions.begin(), positions.end());
    return positions;
}

TEST(Evictions, PoliciesKeepWhatTheySay) {
    const std::vector<std::int32_t> positions = {0, 9, 2, 3, 4, 8, 6, 7, 5, 1};  // in no order
    const std::vector<float> mass = {1, 0, 0, 7, 0, 0, 9, 0, 8, 0};             // of 3, 6 and 5
    EXPECT_EQ((std::vector<int>{0, 1, 2, 7, 8, 9}), kept_by("window", {positions, {}}, 6));
    EXPECT_EQ((std::vector<int>{5, 6, 8, 9}), kept_by("heavy-hitters", {positions, mass}, 4));
    EXPECT_THROW(evictions::get("nonsense"), core::Error);
}

TEST(KvBudget, MovedEntriesAreTheSameBits) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (const char* const name : {"f32", "f16", "bf16", "q8_0", "q4_0", "q5_1"})
        for (const Side side : {Side::keys, Side::values}) {
            const core::Tensor cache = formats::make_tensor(formats::get(name), {1, 2, 192, 64});
            std::vector<float> x(64);
            for (std::int64_t position = 0; position < 192; ++position)
                for (std::int64_t head = 0; head < 2; ++head) {
                    for (float& v : x) v = normal(random);
                    write_position(cache, side, 0, head, position, x.data());
                }
            const auto read = [&](std::int64_t head, std::int64_t position) { return read_position(cache, side, 0, head, position); };
            const auto moved = read(1, 170), neighbour = read(1, 6), other = read(0, 5);
            move_position(cache, side, 0, 1, 170, 5);
            EXPECT_EQ(moved, read(1, 5)) << name;
            EXPECT_EQ(moved, read(1, 170)) << name;
            EXPECT_EQ(neighbour, read(1, 6)) << name;
            EXPECT_EQ(other, read(0, 5)) << name;
        }
}

TEST(KvBudget, MassIsTheSumOfTheSharesOfAttention) {
    std::mt19937 random(4);
    std::normal_distribution<float> normal;
    constexpr std::int64_t width = 40, rows = 3, heads = 2, first_end = 70;
    for (const char* const name : {"f32", "f16", "q5_1"}) {
        const std::int64_t w = name == std::string("q5_1") ? 32 : width;
        const core::Tensor cache = formats::make_tensor(formats::get(name), {1, 2, 128, w});
        std::vector<float> x(static_cast<std::size_t>(rows * heads * w + 5));
        for (std::int64_t position = 0; position < first_end + rows - 1; ++position) {
            for (float& v : x) v = normal(random);
            write_position(cache, Side::keys, 0, 1, position, x.data());
        }
        for (float& v : x) v = normal(random);
        std::vector<double> expected(first_end + rows - 1);
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t h = 0; h < heads; ++h) {
                std::vector<double> e;
                for (std::int64_t j = 0; j < first_end + r; ++j) {
                    const std::vector<double> key = read_position(cache, Side::keys, 0, 1, j);
                    double score = 0;
                    for (std::int64_t d = 0; d < w; ++d) score += key[static_cast<std::size_t>(d)] * x[static_cast<std::size_t>((r * heads + h) * w + d)];
                    e.push_back(std::exp(0.3 * score));
                }
                const double total = std::accumulate(e.begin(), e.end(), 0.0);
                for (std::size_t j = 0; j < e.size(); ++j) expected[j] += e[j] / total;
            }
        for (const cpu::Isa isa : cpu::available_isas()) {
            std::vector<float> scratch, mass(expected.size(), 0);
            ops::attention_kernels::add_mass({cache, 1, x.data(), rows, heads * w, heads, first_end, 0.3f}, isa, scratch, mass.data());
            for (std::size_t j = 0; j < mass.size(); ++j) EXPECT_NEAR(expected[j], mass[j], 1e-4 * (expected[j] + 0.01)) << name << " at " << cpu::name(isa) << ", entry " << j;
        }
    }
}

std::vector<float> logits_of(Session& session, std::span<const text::TokenId> ids, std::int64_t wanted) {
    session.reset();
    const core::Tensor& logits = session.evaluate(ids, wanted);
    return {logits.row_f32(0), logits.row_f32(0) + wanted * logits.shape.width()};
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double most = a.size() == b.size() ? 0 : 1e9;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) most = std::max(most, static_cast<double>(std::fabs(a[i] - b[i])));
    return most;
}

TEST(KvBudget, NothingChangesWhileTheTextFits) {
    core::Pool pool(2);
    const std::vector<text::TokenId> ids = some_ids(60);
    for (const char* const policy : {"window", "heavy-hitters"}) {
        Session whole(tiny(), pool, {.context = 128}), limited(tiny(), pool, {.context = 128, .kv_budget = {64, policy}});
        EXPECT_LT(largest_difference(logits_of(whole, ids, 60), logits_of(limited, ids, 60)), 2e-5);
        EXPECT_EQ(0, limited.evictions());
        EXPECT_LT(limited.state_bytes(), whole.state_bytes());
    }
}

TEST(KvBudget, TextsGoOnBeyondTheBudget) {
    core::Pool pool(2);
    const std::vector<text::TokenId> ids = some_ids(200);
    for (const char* const policy : {"window", "heavy-hitters"})
        for (const char* const kv : {"f32", "f16"}) {
            Session whole(tiny(), pool, {.context = 256, .kv_format = kv}), limited(tiny(), pool, {.context = 256, .kv_format = kv, .kv_budget = {128, policy}});
            const std::vector<float> expected = logits_of(whole, ids, 1), first = logits_of(limited, ids, 1);
            EXPECT_GT(limited.evictions(), 4);
            EXPECT_EQ(200, limited.past());
            // Less than another text makes, and not nothing.
            std::vector<text::TokenId> other = ids;
            for (std::size_t i = 100; i + 1 < other.size(); ++i) other[i] = (other[i] + 77) % 512;
            EXPECT_LT(largest_difference(expected, first), largest_difference(expected, logits_of(whole, other, 1))) << policy;
            EXPECT_GT(largest_difference(expected, first), 1e-6) << policy;
            EXPECT_EQ(first, logits_of(limited, ids, 1)) << "the same text again";
        }
}

// With one layer, dropping all but the sinks and the window is a mask: the same as a text of those tokens at those positions. Whoever
// dropped the wrong entries, or moved them to the wrong places, would see other logits.
TEST(KvBudget, DroppedTokensDoNotMatter) {
    core::Pool pool(1);
    const auto model = tiny();
    std::vector<text::TokenId> ids = some_ids(60), other = ids;
    for (std::size_t i = 4; i < 20; ++i) other[i] = (other[i] + 100) % 512;
    Session limited(model, pool, {.context = 128, .kv_budget = {16, "window"}});
    // Layer by layer the window sees back a window further, so what was dropped long ago is gone altogether: two layers of sixteen.
    ASSERT_EQ(2, model->facts().layers);
    const std::vector<float> first = logits_of(limited, ids, 1);
    EXPECT_EQ(first, logits_of(limited, other, 1));
    other[50] = (other[50] + 1) % 512;
    EXPECT_NE(first, logits_of(limited, other, 1));
}

TEST(KvBudget, LatestTokensCanBeForgotten) {
    core::Pool pool(1);
    for (const char* const policy : {"window", "heavy-hitters"}) {
        Session session(tiny(), pool, {.context = 256, .kv_budget = {32, policy}}), straight(tiny(), pool, {.context = 256, .kv_budget = {32, policy}});
        const std::vector<text::TokenId> ids = some_ids(100);
        for (const text::TokenId id : ids) session.evaluate({&id, 1}), straight.evaluate({&id, 1});
        const std::vector<text::TokenId> wrong = {1}, right = {2};
        // Entries were dropped for the 97th token, so that four have been written since.
        session.evaluate(wrong);
        ASSERT_EQ(100, session.keep(100)) << policy;
        const core::Tensor &a = session.evaluate(right), &b = straight.evaluate(right);
        for (std::int64_t i = 0; i < a.shape.width(); ++i) ASSERT_EQ(a.row_f32(0)[i], b.row_f32(0)[i]) << policy;
        EXPECT_EQ(0, session.keep(50)) << "what was dropped cannot be had back";
        EXPECT_EQ(0, session.past());
    }
}

TEST(KvBudget, IsComparedWithTheWholeCache) {
    core::Pool pool(1);
    const std::vector<text::TokenId> ids = some_ids(150);
    Session whole(tiny(), pool, {.context = 256}), limited(tiny(), pool, {.context = 256, .kv_budget = {64, "heavy-hitters"}}), roomy(tiny(), pool, {.context = 256, .kv_budget = {200, "window"}});
    const Comparison c = compare_steps(limited, whole, ids, 50);
    EXPECT_EQ(150, c.tokens);
    EXPECT_EQ(50, c.compared);
    EXPECT_LT(c.state_bytes, c.plain_state_bytes);
    EXPECT_GT(c.divergence, 1e-9);
    EXPECT_GT(c.gain(), 0);
    const Comparison same = compare_steps(roomy, whole, ids, 50);
    EXPECT_LT(same.divergence, 1e-9);
    EXPECT_NEAR(1, same.agreement, 1e-9);
    EXPECT_EQ(0, compare_steps(limited, whole, std::span(ids).first(1), 50).compared);
}

TEST(KvBudget, RefusesWhatCannotBe) {
    core::Pool pool(1);
    EXPECT_THROW(Session(tiny(), pool, {.kv_budget = {8, "window"}}), core::Error);
    EXPECT_THROW(Session(tiny(), pool, {.kv_budget = {64, "nonsense"}}), core::Error);
    EXPECT_THROW(Session(tiny(), pool, {.slots = 2, .kv_budget = {64, "window"}}), core::Error);
    Session session(tiny(), pool, {.kv_budget = {64, "window"}});
    EXPECT_THROW(drafts::make("prompt-lookup", session, pool, {}), core::Error);
    const std::pair<std::string_view, ops::Attributes::Value> refused[] = {{"window", std::int64_t{5}}, {"chunk", std::int64_t{5}}, {"alibi", 8.0}, {"causal", std::int64_t{0}}};
    for (const auto& [name, value] : refused) {
        graph::Graph graph;
        const graph::Value x = graph.input("x", {&formats::get("f32"), {1, 8}});
        ops::Attributes attributes{{"heads", std::int64_t{1}}, {"kv_heads", std::int64_t{1}}, {"scale", 1.0}};
        attributes.set(name, value);
        graph.add("attention", {x, x, x}, attributes, "blk.0.attention");
        EXPECT_THROW(KvBudget(graph, {64, "window"}), core::Error) << name;
    }
    EXPECT_THROW(KvBudget(graph::Graph(), {64, "window"}), core::Error) << "no attention";
}

}  // namespace
}  // namespace tailor::run
