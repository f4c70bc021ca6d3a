// What conformance_test.cpp cannot see of expert_matmul: which weights are read, what the operator says of its cost, and that its
// kernels state what matmul states of the same ones.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "formats/panels.h"
#include "ops/registry.h"
#include "ops/support.h"

namespace tailor::ops {
namespace {

TEST(ExpertMatmul, HasTheKernelsOfMatmul) {
    int found = 0;
    for (const Kernel& own : get("expert_matmul").kernels)
        for (const Kernel& other : get("matmul").kernels)
            if (own.name == other.name) {
                EXPECT_EQ(other.error, own.error) << own.name;
                EXPECT_EQ(other.unit, own.unit) << own.name;
                for (const cpu::Isa isa : cpu::available_isas()) EXPECT_EQ(other.run.at(isa) != nullptr, own.run.at(isa) != nullptr) << own.name << " at " << cpu::name(isa);
                ++found;
            }
    EXPECT_EQ(static_cast<int>(get("expert_matmul").kernels.size()), found);
    // "rows" and "panels" are one here, and pairs of bf16 ("pairs") are for matrices alone so far.
    EXPECT_EQ(get("matmul").kernels.size(), get("expert_matmul").kernels.size() + 2) << "a new kernel of matmul belongs in expert_matmul.cpp too";
}

// Experts that no row is sent to hold undefined numbers, which would show in any sum that touched them.
TEST(ExpertMatmul, ReadsChosenExpertsOnly) {
    const core::Shape shape{5, 24, 64};
    core::Tensor weight = formats::make_tensor(formats::get("f32"), shape);
    for (std::int64_t r = 0; r < shape.rows(); ++r)
        for (std::int64_t i = 0; i < shape[2]; ++i) weight.row_f32(r)[i] = r / shape[1] % 2 ? std::numeric_limits<float>::quiet_NaN() : 1.0f;
    const core::Tensor x = formats::make_tensor(formats::get("f32"), {3, 64}), ids = formats::make_tensor(formats::get("i32"), {3, 2});
    for (std::int64_t i = 0; i < x.shape.elements(); ++i) x.row_f32(0)[i] = static_cast<float>(i / 64 + 1);
    for (const auto& [p, e] : {std::pair<int, int>{0, 4}, {1, 0}, {2, 2}, {3, 4}, {4, 0}, {5, 2}}) ids.row_i32(0)[p] = e;
    core::Pool pool(2);
    for (const bool panels : {false, true}) {
        const core::Tensor inputs[] = {x, panels ? formats::make_panels(weight) : weight, ids};
        const std::vector<TensorType> types = {f32(x.shape), {weight.format, shape, inputs[1].layout}, i32(ids.shape)};
        const Op& op = get("expert_matmul");
        const Attributes none;
        const TensorType type = op.shape({none, types, {}});
        const core::Tensor scratch = formats::make_tensor(formats::get("i32"), {op.scratch_bytes({none, types, type}) / 4 + 1});
        for (const Kernel& kernel : op.kernels) {
            if (!kernel.can_run({none, types, type})) continue;
            const core::Tensor y = formats::make_tensor(*type.format, type.shape);
            const auto run = kernel.run.at(cpu::Isa::base);
            if (!run) continue;
            run({none, inputs, y, {}, {}, &pool, cpu::Isa::base, scratch.data});
            for (std::int64_t p = 0; p < 6; ++p)
                for (std::int64_t j = 0; j < 24; ++j) ASSERT_EQ(64.0f * static_cast<float>(p / 2 + 1), y.row_f32(p)[j]) << kernel.name << " pair " << p;
        }
    }
}

TEST(ExpertMatmul, OneRowCostsItsShareOfTheWeights) {
    const Op& op = get("expert_matmul");
    const Attributes none;
    const auto bytes_of = [&](std::int64_t rows) {
        const std::vector<TensorType> types = {f32({rows, 256}), of("q4_0", {128, 64, 256}), i32({rows, 8})};
        return op.cost({none, types, op.shape({none, types, {}})}).bytes_read - static_cast<double>(rows * (256 + 8) * 4);
    };
    const auto all = static_cast<double>(formats::tensor_bytes(formats::get("q4_0"), {128, 64, 256}));
    EXPECT_NEAR(all * 8 / 128, bytes_of(1), 1);
    EXPECT_NEAR(all, bytes_of(512), all * 1e-3);
    EXPECT_LT(bytes_of(2), 2 * bytes_of(1)) << "two rows may share an expert";
}

TEST(ExpertMatmul, PanelsOfAStackAreThoseOfItsMatrices) {
    const core::Shape shape{3, 20, 64};
    core::Tensor weight = formats::make_tensor(formats::get("q5_0"), shape);
    std::vector<float> row(64), decoded(64), expected(64);
    for (std::int64_t r = 0; r < shape.rows(); ++r) {
        for (std::size_t i = 0; i < row.size(); ++i) row[i] = std::sin(static_cast<float>(r * 64) + static_cast<float>(i));
        weight.format->encode(row.data(), nullptr, weight.row(r), 64);
    }
    core::Pool pool(2);
    const core::Tensor panels = formats::make_panels(weight, &pool);
    EXPECT_EQ(3 * formats::panels_bytes(*weight.format, {20, 64}), formats::panels_bytes(*weight.format, shape));
    for (std::int64_t r = 0; r < shape.rows(); ++r) {
        formats::decode_row(weight, r, expected.data());
        formats::decode_row(panels, r, decoded.data());
        ASSERT_EQ(expected, decoded) << "row " << r;
    }
}

TEST(Experts, RefuseWrongInputs) {
    const Attributes none, two{{"used", std::int64_t{2}}};
    const auto refuses = [](std::string_view op, const Attributes& attributes, const std::vector<TensorType>& types) {
        EXPECT_THROW(get(op).shape({attributes, types, {}}), core::Error) << op;
    };
    refuses("expert_matmul", none, {f32({2, 8}), f32({4, 3, 9}), i32({2, 1})});
    refuses("expert_matmul", none, {f32({3, 8}), f32({4, 3, 8}), i32({2, 2})});
    refuses("expert_matmul", none, {f32({2, 8}), f32({4, 3, 8}), i32({2, 1}), f32({3})});
    refuses("expert_matmul", none, {f32({2, 8}), f32({4, 3, 8})});
    refuses("route", two, {f32({5, 1})});
    refuses("route", {{"used", std::int64_t{3}}, {"groups", std::int64_t{4}}, {"groups_used", std::int64_t{1}}}, {f32({5, 8})});
    refuses("route", {{"used", std::int64_t{1}}, {"scoring", std::string("best")}}, {f32({5, 8})});
    refuses("route_weights", none, {f32({5, 8}), i32({4, 2})});
    refuses("expert_sum", two, {f32({5, 8})});
    refuses("expert_sum", two, {f32({4, 8}), {}, {}, f32({2, 1})});
}

TEST(Route, EqualAndUndefinedScoresStillGiveDifferentExperts) {
    const Op& op = get("route");
    const Attributes attributes{{"used", std::int64_t{3}}};
    const core::Tensor logits = formats::make_tensor(formats::get("f32"), {2, 5});
    for (std::int64_t e = 0; e < 5; ++e) logits.row_f32(0)[e] = e == 3 ? 2.0f : 1.0f, logits.row_f32(1)[e] = std::numeric_limits<float>::quiet_NaN();
    const core::Tensor ids = formats::make_tensor(formats::get("i32"), {2, 3}), inputs[] = {logits};
    core::Pool pool(1);
    op.kernels[0].run.at(cpu::Isa::base)({attributes, inputs, ids, {}, {}, &pool, cpu::Isa::base, nullptr});
    EXPECT_EQ((std::vector<std::int32_t>{3, 0, 1, 0, 1, 2}), std::vector<std::int32_t>(ids.row_i32(0), ids.row_i32(0) + 6));
}

}  // namespace
}  // namespace tailor::ops
