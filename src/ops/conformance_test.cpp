// Every registered operator against its own reference: each kernel, at each instruction-set level of this machine, with
// 1, 2 and 3 threads. Outputs must be within the case's tolerance of the reference and the same bits for every number of
// threads. There is no list of names here: an operator is covered because it is registered.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "ops/registry.h"
#include "ops/support.h"
#include "ops/test_inputs.h"

namespace tailor::ops {
namespace {

struct Prepared {
    std::vector<core::Tensor> past_inputs, inputs;
    std::vector<core::Tensor> states;
    TensorType output;
    std::vector<std::int32_t> sequences, past_positions, positions;
};

// Matrices with as many rows as the first input have a row per token; the others, and vectors, are weights.
bool is_per_row(const std::vector<TensorType>& types, std::size_t i) {
    return types[i] && types[i].shape.rank() == 2 && types[i].shape.rows() == types[0].shape.rows();
}

std::vector<TensorType> with_rows(const std::vector<TensorType>& types, std::int64_t rows) {
    std::vector<TensorType> result = types;
    for (std::size_t i = 0; i < types.size(); ++i)
        if (is_per_row(types, i)) result[i].shape[0] = rows;
    return result;
}

Prepared prepare(const Op& op, const Case& c, std::mt19937& random) {
    Prepared p;
    p.output = op.shape({c.attributes, c.inputs, {}});
    for (const TensorType& t : c.inputs) p.inputs.push_back(t ? random_tensor(t, c.index_limit, random) : core::Tensor{});
    keep_vectors_positive(c, p.inputs);
    const std::int64_t rows = c.inputs[0].shape.rows();
    if (op.states) {
        if (c.past)
            for (std::size_t i = 0; i < c.inputs.size(); ++i)
                p.past_inputs.push_back(is_per_row(c.inputs, i) ? random_tensor(with_rows(c.inputs, c.past)[i], c.index_limit, random) : p.inputs[i]);
        for (const StateType& s : op.states({c.attributes, c.inputs, p.output}, {c.context})) {
            core::Shape shape{2};  // two slots: the second one is used, so that a slot mix-up shows
            for (int i = 0; i < s.shape.rank(); ++i) shape.append(s.shape[i]);
            p.states.push_back(formats::make_tensor(s.format ? *s.format : formats::get(c.kv_format), shape));
        }
    }
    if (c.confine) {
        c.confine(p.inputs);
        if (!p.past_inputs.empty()) c.confine(p.past_inputs);
    }
    p.sequences.assign(static_cast<std::size_t>(rows + c.past), op.states ? 1 : 0);
    for (std::int64_t i = 0; i < c.past; ++i) p.past_positions.push_back(static_cast<std::int32_t>(i));
    for (std::int64_t i = 0; i < rows; ++i) p.positions.push_back(static_cast<std::int32_t>(c.past + i));
    return p;
}

template <class Function>
core::Tensor execute(const Op& op, const Case& c, Prepared& p, core::Pool& pool, cpu::Isa isa, const Function& function) {
    for (core::Tensor& state : p.states)
        std::memset(state.data, 0, static_cast<std::size_t>(formats::tensor_bytes(*state.format, state.shape)));
    if (c.past) {
        const std::vector<TensorType> types = with_rows(c.inputs, c.past);
        const TensorType type = op.shape({c.attributes, types, {}});
        op.reference({c.attributes, p.past_inputs, formats::make_tensor(*type.format, type.shape), p.states, {p.sequences, p.past_positions}, &pool, isa});
    }
    core::Tensor output = formats::make_tensor(*p.output.format, p.output.shape);
    const std::int64_t scratch_bytes = op.scratch_bytes ? op.scratch_bytes({c.attributes, c.inputs, p.output}) : 0;
    const core::Tensor scratch = formats::make_tensor(formats::get("i32"), {scratch_bytes / 4 + 1});
    function(Call{c.attributes, p.inputs, output, p.states, {p.sequences, p.positions}, &pool, isa, scratch.data});
    return output;
}

void expect_close(const core::Tensor& expected, const core::Tensor& actual, double tolerance, const std::string& what) {
    double largest = 0, worst = 0;
    const bool integers = expected.format->name == "i32";
    const auto number = [&](const core::Tensor& tensor, std::int64_t r, std::int64_t i) { return integers ? static_cast<double>(tensor.row_i32(r)[i]) : static_cast<double>(tensor.row_f32(r)[i]); };
    for (std::int64_t r = 0; r < expected.shape.rows(); ++r)
        for (std::int64_t i = 0; i < expected.shape.width(); ++i) {
            const double difference = std::fabs(number(expected, r, i) - number(actual, r, i));
            largest = std::max(largest, std::fabs(number(expected, r, i)));
            if (!(difference <= worst)) worst = difference;
        }
    EXPECT_TRUE(worst <= tolerance * largest) << what << ": off by " << worst << ", largest value " << largest;
}

class Conformance : public testing::TestWithParam<const Op*> {};

// One case with one kernel at one level: close to the reference, and the same bits for every number of threads.
void check_kernel(const Op& op, const Case& c, const Kernel& kernel, cpu::Isa isa, Prepared& p, const core::Tensor& expected) {
    static core::Pool one(1), two(2), three(3);
    std::string what = core::format("{} kernel {} at {}:", op.name, kernel.name, cpu::name(isa));
    for (const TensorType& t : c.inputs) what += t ? (t.layout == core::Layout::panels ? " panels of " : " ") + std::string(t.format->name) + t.shape.text() : " none";
    const core::Tensor actual = execute(op, c, p, one, isa, kernel.run.at(isa));
    expect_close(expected, actual, std::max(c.tolerance, kernel.error), what);
    const auto bytes = static_cast<std::size_t>(formats::tensor_bytes(*p.output.format, p.output.shape));
    for (core::Pool* pool : {&two, &three}) {
        const core::Tensor other = execute(op, c, p, *pool, isa, kernel.run.at(isa));
        ASSERT_EQ(0, std::memcmp(actual.data, other.data, bytes)) << what << " differs with " << pool->threads() << " threads";
    }
}

TEST_P(Conformance, KernelsAgreeWithTheirReference) {
    const Op& op = *GetParam();
    std::mt19937 random(7);
    core::Pool one(1);
    ASSERT_TRUE(op.cases && op.reference && op.shape && op.cost && !op.kernels.empty());
    ASSERT_FALSE(op.cases().empty());
    for (const Case& c : op.cases()) {
        Prepared p = prepare(op, c, random);
        const core::Tensor expected = execute(op, c, p, one, cpu::Isa::base, op.reference);
        for (const Kernel& kernel : op.kernels) {
            if (!kernel.can_run({c.attributes, c.inputs, p.output})) continue;
            for (const cpu::Isa isa : cpu::available_isas())
                if (kernel.run.at(isa)) check_kernel(op, c, kernel, isa, p, expected);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Operators, Conformance, testing::ValuesIn(all().begin(), all().end()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(Operators, RefuseWrongInputs) {
    const Attributes none;
    const std::vector<TensorType> wrong = {f32({2, 8}), of("f32", {4, 9}), {}};
    EXPECT_THROW(get("matmul").shape({none, wrong, {}}), core::Error);
    EXPECT_THROW(get("no_such_operator"), core::Error);
}

TEST(Operators, NamesAreUnique) {
    for (const Op* a : all())
        for (const Op* b : all()) EXPECT_TRUE(a == b || a->name != b->name) << a->name;
}

}  // namespace
}  // namespace tailor::ops
