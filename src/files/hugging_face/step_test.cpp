// Each step does what its sentence says, and undo undoes it.
#include "files/hugging_face/step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "files/hugging_face/test_folder.h"

namespace tailor::files::hugging_face {
namespace {

core::Tensor counted(const core::Shape& shape, float first = 0, std::string_view format = "f32") {
    core::Tensor tensor = formats::make_tensor(formats::get("f32"), shape);
    for (std::int64_t r = 0; r < shape.rows(); ++r)
        for (std::int64_t c = 0; c < shape.width(); ++c) tensor.row_f32(r)[c] = first++;
    return converted(tensor, formats::get(format));
}

/// The first number of every row, of a vector its numbers.
std::vector<float> order_of(const core::Tensor& tensor) {
    const std::vector<float> values = values_of(tensor);
    if (tensor.shape.rank() == 1) return values;
    std::vector<float> order;
    for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) order.push_back(values[static_cast<std::size_t>(r * tensor.shape.width())] / static_cast<float>(tensor.shape.width()));
    return order;
}

TEST(Step, RowsGoWhereTheyShould) {
    EXPECT_EQ(order_of(neighbour_pairs(2).apply(counted({8, 3}))), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
    EXPECT_EQ(order_of(neighbour_pairs(1).apply(counted({6}))), (std::vector<float>{0, 3, 1, 4, 2, 5}));
    // Two heads of q, k, v with two rows each.
    EXPECT_EQ(order_of(split_fused_heads(2).apply(counted({12, 2}))), (std::vector<float>{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}));
    EXPECT_EQ(values_of(transposed().apply(counted({2, 3}))), (std::vector<float>{0, 3, 1, 4, 2, 5}));
    EXPECT_EQ(values_of(plus_one().apply(counted({3}))), (std::vector<float>{1, 2, 3}));
    EXPECT_EQ(values_of(negative_exponential().apply(counted({2}))), (std::vector<float>{-1, -std::exp(1.0f)}));
    EXPECT_EQ(without_middle().apply(counted({5, 1, 4})).shape, (core::Shape{5, 4}));
    EXPECT_EQ(reshaped({1, 6}, {6}).apply(counted({1, 6})).shape, (core::Shape{6}));
}

TEST(Step, RowsMustDivide) {
    for (const core::Shape& shape : {core::Shape{9, 4}, core::Shape{4, 4}, core::Shape{0, 4}, core::Shape{7}}) {
        EXPECT_THROW(neighbour_pairs(3).shape(shape), core::Error);
        EXPECT_THROW(split_fused_heads(2).shape_back(shape), core::Error);
    }
    EXPECT_EQ(neighbour_pairs(3).shape({12, 4}), (core::Shape{12, 4}));
}

TEST(Step, UndoUndoes) {
    const std::pair<Step, core::Shape> cases[] = {
        {neighbour_pairs(3), {24, 5}}, {neighbour_pairs(3), {24}}, {transposed(), {70, 33}}, {transposed(), {7}}, {plus_one(), {9}},
        {without_middle(), {5, 1, 4}}, {reshaped({1, 6}, {6}), {1, 6}}, {split_fused_heads(4), {36, 2}}, {split_fused_heads(4), {36}},
    };
    for (const auto& [step, shape] : cases)
        for (const std::string_view format : {"f32", "bf16"}) {
            if (step.as_f32 && format != "f32") continue;
            const core::Tensor before = counted(shape, 1, format), there = step.apply(before);
            SCOPED_TRACE(std::string(step.name));
            EXPECT_EQ(there.shape, step.shape ? step.shape(shape) : shape);
            const core::Tensor back = step.undo(there);
            EXPECT_EQ(back.shape, shape);
            EXPECT_EQ(step.shape_back ? step.shape_back(there.shape) : there.shape, shape);
            EXPECT_EQ(back.format, before.format);
            EXPECT_EQ(values_of(back), values_of(before));
        }
    const core::Tensor logarithms = counted({4}, -2);
    const std::vector<float> back = values_of(negative_exponential().undo(negative_exponential().apply(logarithms)));
    for (int i = 0; i < 4; ++i) EXPECT_NEAR(back[static_cast<std::size_t>(i)], -2 + i, 1e-6);
}

// What the reordering is for: turning halves of W x against each other is turning neighbours of (reordered W) x.
TEST(Step, NeighbourPairsTurnAsHalvesDid) {
    constexpr std::int64_t heads = 2, width = 8, half = width / 2, inputs = 3;
    const core::Tensor theirs = counted({heads * width, inputs}, 0.5f), ours = neighbour_pairs(heads).apply(theirs);
    const float x[inputs] = {0.25f, -1, 2};
    const auto product = [&](const core::Tensor& w, std::int64_t row) {
        double sum = 0;
        for (std::int64_t c = 0; c < inputs; ++c) sum += static_cast<double>(w.row_f32(row)[c]) * x[c];
        return sum;
    };
    for (std::int64_t h = 0; h < heads; ++h)
        for (std::int64_t i = 0; i < half; ++i) {
            const std::complex<double> turn = std::polar(1.0, 7 * std::pow(10000.0, -2.0 * static_cast<double>(i) / width));
            const std::complex<double> a = turn * std::complex<double>(product(theirs, h * width + i), product(theirs, h * width + half + i));
            const std::complex<double> b = turn * std::complex<double>(product(ours, h * width + 2 * i), product(ours, h * width + 2 * i + 1));
            EXPECT_EQ(a, b);
        }
}

}  // namespace
}  // namespace tailor::files::hugging_face
