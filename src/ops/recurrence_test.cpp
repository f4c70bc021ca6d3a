// Operators that carry a memory from row to row: however the rows of a sequence are cut into calls, and whichever other
// sequences share a call, outputs and memory are the same. Covers every registered operator with a state of a fixed format;
// conformance_test.cpp compares single calls with the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "ops/recurrence.h"
#include "ops/registry.h"

namespace tailor::ops {
namespace {

constexpr std::int64_t rows = 45;  // two whole chunks and a rest
constexpr double tolerance = 1e-5;

core::Tensor zeros(const TensorType& type) { return formats::make_tensor(*type.format, type.shape); }

/// An operator with the inputs of `rows` rows and the memory of two sequences.
struct Trial {
    const Op& op;
    Case example;
    std::vector<core::Tensor> inputs, states;
    core::Tensor output;
    cpu::Isa isa;
    std::int32_t lengths[2] = {};  ///< rows of each sequence so far

    bool per_row(std::size_t i) const { return example.inputs[i] && example.inputs[i].shape.rank() == 2 && example.inputs[i].shape[0] == example.inputs[0].shape[0]; }

    Trial(const Op& operation, const Case& c, cpu::Isa level, unsigned seed) : op(operation), example(c), isa(level) {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (std::size_t i = 0; i < c.inputs.size(); ++i) {
            TensorType type = c.inputs[i];
            if (type && per_row(i)) type.shape[0] = rows;
            inputs.push_back(type ? zeros(type) : core::Tensor{});
            for (std::int64_t j = 0; type && j < type.shape.elements(); ++j) inputs.back().row_f32(0)[j] = normal(random);
        }
        if (c.confine) c.confine(inputs);
        const std::vector<TensorType> all = types(rows);
        output = zeros(op.shape({c.attributes, all, {}}));
        for (const StateType& state : op.states({c.attributes, all, {}}, {rows})) {
            core::Shape shape{2};
            for (int i = 0; i < state.shape.rank(); ++i) shape.append(state.shape[i]);
            states.push_back(formats::make_tensor(*state.format, shape));
        }
    }

    std::vector<TensorType> types(std::int64_t count) const {
        std::vector<TensorType> result;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            result.push_back(inputs[i] ? TensorType{inputs[i].format, inputs[i].shape} : TensorType{});
            if (per_row(i)) result.back().shape[0] = count;
        }
        return result;
    }

    /// The next sequences.size() rows from `first` on, by the kernel that a plan would choose where no error is allowed.
    void call(std::int64_t first, const std::vector<std::int32_t>& sequences) {
        static core::Pool pool(1);
        const auto count = static_cast<std::int64_t>(sequences.size());
        const std::vector<TensorType> some = types(count);
        std::vector<core::Tensor> views;
        for (std::size_t i = 0; i < inputs.size(); ++i)
            views.push_back(inputs[i] ? formats::view(*some[i].format, some[i].shape, per_row(i) ? inputs[i].row(first) : inputs[i].data) : core::Tensor{});
        const core::Tensor y = formats::view(*output.format, {count, output.shape.width()}, output.row(first));
        std::vector<std::int32_t> positions;
        for (const std::int32_t sequence : sequences) positions.push_back(lengths[sequence]++);
        const std::int64_t bytes = op.scratch_bytes ? op.scratch_bytes({example.attributes, some, {y.format, y.shape}}) : 0;
        const core::Tensor scratch = formats::make_tensor(formats::get("i32"), {bytes / 4 + 1});
        for (const Kernel& kernel : op.kernels) {
            if (kernel.error > 0 || !kernel.run.at(isa) || !kernel.can_run({example.attributes, some, {y.format, y.shape}})) continue;
            return kernel.run.at(isa)({example.attributes, views, y, states, {sequences, positions}, &pool, isa, scratch.data});
        }
        FAIL() << op.name << ": no kernel";
    }

    /// All rows as sequence `slot`, in calls of `size` rows.
    Trial& in_calls_of(std::int64_t size, std::int32_t slot = 0) {
        for (std::int64_t r = 0; r < rows; r += size) call(r, std::vector<std::int32_t>(static_cast<std::size_t>(std::min(size, rows - r)), slot));
        return *this;
    }
};

void expect_same(const core::Tensor& expected, std::int64_t expected_row, const core::Tensor& actual, std::int64_t actual_row, std::int64_t count, const std::string& what) {
    const std::int64_t elements = count * expected.shape.width();
    double largest = 0, worst = 0;
    for (std::int64_t i = 0; i < elements; ++i) {
        largest = std::max(largest, std::fabs(static_cast<double>(expected.row_f32(expected_row)[i])));
        const double difference = std::fabs(static_cast<double>(expected.row_f32(expected_row)[i]) - static_cast<double>(actual.row_f32(actual_row)[i]));
        if (!(difference <= worst)) worst = difference;
    }
    EXPECT_TRUE(worst <= tolerance * largest) << what << ": off by " << worst << ", largest value " << largest;
}

std::vector<const Op*> with_memory() {
    std::vector<const Op*> found;
    for (const Op* op : all()) {
        if (!op->states) continue;
        const Case c = op->cases().front();
        bool fixed = true;
        for (const StateType& state : op->states({c.attributes, c.inputs, {}}, {1})) fixed &= state.format != nullptr;
        if (fixed) found.push_back(op);
    }
    return found;
}

/// A few cases of different sizes.
std::vector<Case> some_cases(const Op& op) {
    std::vector<Case> list, cases = op.cases();
    for (std::size_t i = 0; i < cases.size(); i += 1 + cases.size() / 12) list.push_back(cases[i]);
    return list;
}

class Memory : public testing::TestWithParam<const Op*> {};

TEST_P(Memory, RowsMayBeCutIntoCallsAnywhere) {
    const Op& op = *GetParam();
    for (const Case& c : some_cases(op))
        for (const cpu::Isa isa : cpu::available_isas()) {
            Trial whole(op, c, isa, 3);
            whole.in_calls_of(rows);
            for (const std::int64_t size : {1, 2, 7, 16, 31}) {
                Trial pieces(op, c, isa, 3);
                pieces.in_calls_of(size);
                const std::string what = core::format("{} at {} in calls of {} rows", op.name, cpu::name(isa), size);
                expect_same(whole.output, 0, pieces.output, 0, rows, what);
                for (std::size_t s = 0; s < whole.states.size(); ++s) expect_same(whole.states[s], 0, pieces.states[s], 0, whole.states[s].shape.rows(), what + ", memory");
            }
        }
}

// One call with rows of both sequences in turn, in runs of different lengths, against each sequence alone.
TEST_P(Memory, SequencesShareACall) {
    const Op& op = *GetParam();
    for (const Case& c : some_cases(op))
        for (const cpu::Isa isa : cpu::available_isas()) {
            Trial together(op, c, isa, 3), apart(op, c, isa, 3);
            std::vector<std::int32_t> sequences;
            for (const int length : {1, 9, 17, 2, 1, 1, 14})
                for (int i = 0; i < length; ++i) sequences.push_back(length % 2);
            ASSERT_EQ(rows, static_cast<std::int64_t>(sequences.size()));
            together.call(0, sequences);
            for (std::int64_t r = 0; r < rows; ++r) apart.call(r, {sequences[static_cast<std::size_t>(r)]});
            const std::string what = core::format("{} at {}, two sequences", op.name, cpu::name(isa));
            expect_same(apart.output, 0, together.output, 0, rows, what);
            for (std::size_t s = 0; s < apart.states.size(); ++s) expect_same(apart.states[s], 0, together.states[s], 0, apart.states[s].shape.rows(), what + ", memory");
        }
}

INSTANTIATE_TEST_SUITE_P(Operators, Memory, testing::ValuesIn(with_memory()), [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace tailor::ops
