// Attention beyond single shapes: long contexts in parts, several sequences in one batch in any arrangement, a prompt in pieces.
// Rows are checked against the definition in double precision, on a cache filled directly, at every level and kernel.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "ops/attention/cache.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::ops {
namespace {

struct Shape {
    std::int64_t heads, kv_heads, head_dim, value_dim, context, slots;
};

struct Step {
    Shape shape;
    std::vector<std::int32_t> sequences, positions;
    Attributes attributes;
    std::vector<core::Tensor> inputs, states;

    Step(const Shape& s, const char* format, std::vector<std::int32_t> of, std::vector<std::int32_t> at) : shape(s), sequences(std::move(of)), positions(std::move(at)) {
        attributes = {{"heads", s.heads}, {"kv_heads", s.kv_heads}, {"scale", 1 / std::sqrt(static_cast<double>(s.head_dim))}};
        std::mt19937 random(3);
        std::normal_distribution<float> normal;
        const auto rows = static_cast<std::int64_t>(positions.size());
        for (const std::int64_t width : {s.heads * s.head_dim, s.kv_heads * s.head_dim, s.kv_heads * s.value_dim}) {
            inputs.push_back(formats::make_tensor(formats::get("f32"), {rows, width}));
            for (std::int64_t i = 0; i < rows * width; ++i) inputs.back().row_f32(0)[i] = normal(random);
        }
        using attention_kernels::Side;
        for (const Side side : {Side::keys, Side::values}) {
            const std::int64_t width = side == Side::keys ? s.head_dim : s.value_dim;
            states.push_back(formats::make_tensor(formats::get(format), {s.slots, s.kv_heads, attention_kernels::whole_tiles(s.context), width}));
            std::vector<float> row(static_cast<std::size_t>(width));
            for (std::int64_t r = 0; r < s.slots * s.kv_heads * s.context; ++r) {
                // One key in a hundred is three times as long: a few weights dominate, as real attention does.
                for (float& v : row) v = normal(random) * (r % 100 == 7 ? 3.0f : 1.0f);
                write_position(states.back(), side, r / s.context / s.kv_heads, r / s.context % s.kv_heads, r % s.context, row.data());
            }
        }
    }

    std::vector<float> run(Run function, cpu::Isa isa, core::Pool& pool) {
        core::Tensor output = formats::make_tensor(formats::get("f32"), {static_cast<std::int64_t>(positions.size()), shape.heads * shape.value_dim});
        function(Call{attributes, inputs, output, states, {sequences, positions}, &pool, isa});
        return {output.row_f32(0), output.row_f32(0) + output.shape.elements()};
    }
    std::vector<float> reference(core::Pool& pool) {
        core::Tensor output = formats::make_tensor(formats::get("f32"), {static_cast<std::int64_t>(positions.size()), shape.heads * shape.value_dim});
        get("attention").reference(Call{attributes, inputs, output, states, {sequences, positions}, &pool, cpu::Isa::base});
        return {output.row_f32(0), output.row_f32(0) + output.shape.elements()};
    }
};

void expect_agreement(Step step, const std::string& what) {
    core::Pool one(1), three(3);
    const std::vector<float> expected = step.reference(one);
    float largest = 0;
    for (const float v : expected) largest = std::max(largest, std::fabs(v));
    for (const Kernel& kernel : get("attention").kernels)
        for (const cpu::Isa isa : cpu::available_isas()) {
            const std::vector<float> actual = step.run(kernel.run.at(isa), isa, one);
            double worst = 0;
            for (std::size_t i = 0; i < actual.size(); ++i) {
                const double difference = std::fabs(static_cast<double>(actual[i]) - expected[i]);
                if (!(difference <= worst)) worst = difference;
            }
            // Scores of long keys are three times those of the cases in attention.cpp, and so is the effect of 16-bit rounding.
            const double tolerance = step.states[0].format->name == "f32" ? 2e-5 : 3e-4;
            EXPECT_TRUE(worst <= tolerance * largest) << what << ", " << kernel.name << " at " << cpu::name(isa) << ": off by " << worst << " of " << largest;
            EXPECT_EQ(actual, step.run(kernel.run.at(isa), isa, three)) << what << ", " << kernel.name << " at " << cpu::name(isa) << " depends on the threads";
        }
}

TEST(Attention, ACacheGivesBackWhatWasWritten) {
    using namespace attention_kernels;
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    for (const char* format : {"f32", "f16", "bf16", "q8_0", "q4_0", "q5_1"})
        for (const Side side : {Side::keys, Side::values}) {
            const core::Tensor cache = formats::make_tensor(formats::get(format), {2, 3, whole_tiles(100), 64});
            std::vector<std::vector<float>> written;
            for (std::int64_t r = 0; r < 600; ++r) {
                written.emplace_back(64);
                for (float& v : written.back()) v = normal(random);
                write_position(cache, side, r / 300, r / 100 % 3, r % 100, written.back().data());
            }
            double error = 0;
            for (std::int64_t r = 0; r < 600; ++r) {
                const std::vector<double> read = read_position(cache, side, r / 300, r / 100 % 3, r % 100);
                for (std::size_t i = 0; i < 64; ++i) error += std::pow(read[i] - written[static_cast<std::size_t>(r)][i], 2) / (600 * 64);
            }
            // As good as the format's own encoder, but for q8_0, which is rounded without a search.
            const double worse = std::string_view(format) == "q8_0" ? 1.15 : 1.03;
            EXPECT_LE(std::sqrt(error), worse * cache.format->facts.gaussian_relative_rmse + 1e-7) << format;
        }
}

TEST(Attention, CrossAttentionSeesWhatWasRemembered) {
    core::Pool pool(2);
    for (const char* format : {"f32", "q8_0"})
        for (const std::int32_t rows : {1, 20}) {
            // As many keys as the memory holds, all seen, none brought: attention over the whole sequence without its own rows.
            std::vector<std::int32_t> of(static_cast<std::size_t>(rows), 1), at;
            for (std::int32_t r = 0; r < rows; ++r) at.push_back(r);
            Step step({8, 2, 32, 64, 150, 2}, format, of, at);
            step.attributes.set("cross", std::int64_t{1});
            step.attributes.set("value_dim", std::int64_t{64});
            step.inputs.resize(1);
            step.states.push_back(formats::make_tensor(formats::get("f32"), {2, 1}));
            step.states[2].row_f32(1)[0] = 131;
            const std::vector<float> expected = step.reference(pool);
            EXPECT_NE(0, expected[0]);
            for (const Kernel& kernel : get("cross_attention").kernels)
                for (const cpu::Isa isa : cpu::available_isas()) {
                    const std::vector<float> actual = step.run(kernel.run.at(isa), isa, pool);
                    const float largest = std::fabs(*std::max_element(expected.begin(), expected.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
                    for (std::size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(expected[i], actual[i], 3e-4 * largest) << format << ", " << kernel.name << " at " << cpu::name(isa);
                }
        }
}

TEST(Attention, LongContextsInParts) {
    for (const char* format : {"f32", "f16", "bf16", "q8_0", "q4_0", "q5_1"})
        for (const std::int32_t position : {255, 256, 1000, 2999}) {
            expect_agreement({{8, 1, 64, 64, 3000, 1}, format, {0}, {position}}, core::format("{} at {}", format, position));
            expect_agreement({{3, 3, 32, 96, 3000, 2}, format, {1, 1}, {position - 1, position}}, core::format("{} without groups at {}", format, position));
        }
}

TEST(Attention, SequencesInAnyArrangement) {
    std::vector<std::int32_t> of, at;
    for (std::int32_t r = 0; r < 90; ++r) of.push_back(r < 40 ? 2 : r < 41 ? 0 : r < 80 ? 1 : r % 2), at.push_back(r < 40 ? 60 + r : r < 41 ? 5 : r < 80 ? r - 41 : 50 + r);
    for (const char* format : {"f32", "q8_0"}) {
        expect_agreement({{6, 2, 64, 32, 200, 3}, format, of, at}, "blocks and interleaved rows");
        expect_agreement({{20, 1, 32, 64, 700, 12}, format, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {0, 1, 70, 600, 64, 63, 5, 699, 300, 128, 9, 10}}, "one row of each of twelve");
    }
}

TEST(Attention, ValuesThatAreNotNumbersStayVisible) {
    core::Pool pool(1);
    for (const Kernel& kernel : get("attention").kernels)
        for (const cpu::Isa isa : cpu::available_isas())
            for (const std::size_t input : {0u, 1u, 2u}) {
                Step step({2, 1, 64, 64, 80, 1}, "f32", {0}, {70});
                step.inputs[input].row_f32(0)[3] = std::nanf("");
                const std::vector<float> y = step.run(kernel.run.at(isa), isa, pool);
                EXPECT_TRUE(std::isnan(y[input == 2 ? 3 : 0])) << kernel.name << " at " << cpu::name(isa) << ", input " << input;
            }
}

}  // namespace
}  // namespace tailor::ops
