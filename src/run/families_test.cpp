// What must hold for every family, on small models that are made by asking it (models/tiny_family.h): a sequence evaluated one token at
// a time, in chunks of any size or in one batch gives the same logits; sequences in different slots do not see each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "models/tiny_family.h"
#include "run/evaluation.h"

namespace tailor::run {
namespace {

using models::testing::TinyFamily;
using models::testing::TinyKind;
using Ids = std::vector<text::TokenId>;

// Sums in another order; where there are tiles, few rows go another way than many, and weights are rounded to two bf16.
double tolerance() { return cpu::active_isa() == cpu::Isa::amx ? 3e-4 : 2e-5; }

// Different for every seed, longer than the window of windowed layers and the taps of convolutions.
Ids sequence(int seed, std::size_t length = 13) {
    Ids ids;
    for (std::size_t i = 0; i < length; ++i)
        ids.push_back(static_cast<text::TokenId>((i * 29 + static_cast<std::size_t>(seed) * 17 + i * i % 7) % TinyFamily::vocabulary));
    return ids;
}

std::vector<float> copy(const core::Tensor& logits) { return {logits.row_f32(0), logits.row_f32(0) + logits.shape.elements()}; }

void expect_close(const std::vector<float>& expected, const std::vector<float>& actual, const std::string& what) {
    ASSERT_EQ(expected.size(), actual.size()) << what;
    double largest = 0, worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
        const double difference = std::fabs(static_cast<double>(expected[i]) - actual[i]);
        if (!(difference <= worst)) worst = difference;
    }
    EXPECT_TRUE(worst <= tolerance() * largest) << what << ": off by " << worst / largest << " of the largest";
}

class EveryFamily : public testing::TestWithParam<TinyKind> {
  protected:
    /// What the encoder of a family with one reads before a slot writes.
    void begin(Session& session, std::int64_t slot, int seed) const {
        session.reset(slot);
        if (model->family().build_encoder) session.encode(sequence(seed + 40, 9), slot);
    }
    std::vector<float> alone(Session& session, int seed) const {
        const Ids ids = sequence(seed);
        begin(session, 0, seed);
        return copy(session.evaluate(ids, static_cast<std::int64_t>(ids.size())));
    }

    core::Pool pool{2};
    std::shared_ptr<LanguageModel> model = LanguageModel::from_file(models::testing::make_tiny_family(GetParam().architecture, GetParam().parts));
};

TEST_P(EveryFamily, ChunksOfAnySizeAreOneBatch) {
    Session session(model, pool, {});
    const std::vector<float> whole = alone(session, 1);
    for (const float v : whole) ASSERT_TRUE(std::isfinite(v));
    if (model->family().encodes) return;  // every token sees the whole text
    const Ids ids = sequence(1);
    for (const std::size_t chunk : {1u, 2u, 5u, 12u}) {
        begin(session, 0, 1);
        std::vector<float> pieces;
        for (std::size_t i = 0; i < ids.size(); i += chunk) {
            const std::size_t count = std::min(chunk, ids.size() - i);
            const std::vector<float> piece = copy(session.evaluate(std::span(ids).subspan(i, count), static_cast<std::int64_t>(count)));
            pieces.insert(pieces.end(), piece.begin(), piece.end());
        }
        expect_close(whole, pieces, "chunks of " + std::to_string(chunk));
    }
}

TEST_P(EveryFamily, SlotsDoNotSeeEachOther) {
    Session single(model, pool, {}), slots(model, pool, {.slots = 3});
    std::vector<std::vector<float>> expected, actual(3);
    for (int seed = 0; seed < 3; ++seed) expected.push_back(alone(single, seed));
    if (model->family().encodes) {  // texts one after the other, each in its own slot
        for (int slot = 0; slot < 3; ++slot) actual[static_cast<std::size_t>(slot)] = copy(slots.evaluate(sequence(slot), 13, slot));
    } else {
        // Slot 1 is four tokens ahead when the three go on together; slot 2 held something else before.
        slots.evaluate(sequence(9), 1, 2);
        for (int slot = 0; slot < 3; ++slot) begin(slots, slot, slot);
        const Ids ahead = sequence(1, 4);
        actual[1] = copy(slots.evaluate(ahead, 4, 1));
        for (std::size_t step = 0; step < 9; ++step) {
            const std::vector<float> rows = copy(slots.evaluate_slots(Ids{sequence(0)[step], sequence(1)[step + 4], sequence(2)[step]}));
            const std::size_t width = rows.size() / 3;
            for (std::size_t slot = 0; slot < 3; ++slot) {
                const auto row = rows.begin() + static_cast<std::ptrdiff_t>(slot * width);
                actual[slot].insert(actual[slot].end(), row, row + static_cast<std::ptrdiff_t>(width));
            }
        }
        for (const std::size_t slot : {0u, 2u}) expected[slot].resize(actual[slot].size());
    }
    for (std::size_t slot = 0; slot < 3; ++slot) expect_close(expected[slot], actual[slot], "slot " + std::to_string(slot));
    EXPECT_NE(expected[0], std::vector<float>(expected[2].begin(), expected[2].begin() + static_cast<std::ptrdiff_t>(expected[0].size())));
}

TEST_P(EveryFamily, AnswersOfAWindowAreItsLastTokens) {
    Session session(model, pool, {});
    const Ids window = sequence(5, 12);
    const std::vector<float> answers = copy(answer(session, window, 6));
    if (model->family().build_encoder) {
        session.encode(std::span(window).first(6));
        Ids written(window.begin() + 6, window.end());
        written[0] = session.first_written();
        EXPECT_EQ(copy(session.evaluate(written, 6)), answers);
        session.encode(sequence(6, 6));
        EXPECT_NE(copy(session.evaluate(written, 6)), answers) << "what was read does not matter";
    } else {
        session.reset();
        EXPECT_EQ(copy(session.evaluate(window, 6)), answers);
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryFamily, testing::ValuesIn(models::testing::all_tiny_families()),
                         [](const auto& info) { return models::testing::test_name(info.param); });

}  // namespace
}  // namespace tailor::run
