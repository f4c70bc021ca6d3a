// Every family can be quantized: small models that are made by asking it (models/tiny_family.h) are calibrated, written in several
// formats, opened again and evaluated.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "compress/cut.h"
#include "compress/quantize_file.h"
#include "models/tiny_family.h"

namespace tailor::compress {
namespace {

using models::testing::TinyFamily;
using models::testing::TinyKind;

run::Windows calibration_windows() {
    run::Windows windows(2, std::vector<text::TokenId>(24));
    for (std::size_t i = 0; i < 48; ++i) windows[i / 24][i % 24] = static_cast<text::TokenId>((i * 31 + i * i % 11) % TinyFamily::vocabulary);
    return windows;
}

std::vector<float> answers_of(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool) {
    run::Session session(std::move(model), pool, {});
    const core::Tensor& rows = run::answer(session, calibration_windows()[1], 12);
    return {rows.row_f32(0), rows.row_f32(0) + rows.shape.elements()};
}

// Root of the squared difference over the squares.
double relative_difference(const std::vector<float>& expected, const std::vector<float>& actual) {
    double difference = 0, square = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double d = static_cast<double>(expected[i]) - actual[i];
        difference += d * d, square += static_cast<double>(expected[i]) * expected[i];
    }
    return std::sqrt(difference / square);
}

struct WrittenFile {
    std::string path = testing::TempDir() + "/families_" + std::to_string(::getpid()) + ".gguf";
    ~WrittenFile() { ::unlink(path.c_str()); }
};

class EveryFamily : public testing::TestWithParam<TinyKind> {
  protected:
    core::Pool pool{2};
    std::shared_ptr<run::LanguageModel> model = run::LanguageModel::from_file(models::testing::make_tiny_family(GetParam().architecture, GetParam().parts));
};

// Only rows that are looked up rather than multiplied have no inputs to measure.
TEST_P(EveryFamily, EveryMatrixKnowsItsInputs) {
    run::Session session(model, pool, {});
    const Importance importance = Importance::measure(session, calibration_windows());
    for (const files::TensorInfo& tensor : model->file().tensors()) {
        if (!is_weight_matrix(tensor) || tensor.name.find("token_embd") != std::string::npos) continue;
        const std::span<const float> inputs = importance.of(tensor.name);
        const std::int64_t matrices = tensor.shape.rank() == 3 ? tensor.shape[0] : 1;
        ASSERT_EQ(static_cast<std::size_t>(matrices * tensor.shape.width()), inputs.size()) << tensor.name;
        double sum = 0;
        for (const float v : inputs) sum += v;
        EXPECT_TRUE(std::isfinite(sum) && sum > 0) << tensor.name;
    }
}

// An expert's inputs are those of the tokens that it was sent, and they say how often that was.
TEST(Experts, ImportanceCountsWhatEachOneWasSent) {
    core::Pool pool(1);
    const auto model = run::LanguageModel::from_file(models::testing::make_tiny_family("llama", models::testing::Parts::experts));
    run::Session session(model, pool, {});
    const Importance importance = Importance::measure(session, calibration_windows());
    const std::span<const float> inputs = importance.of("blk.0.ffn_up_exps.weight"), router = importance.of("blk.0.ffn_gate_inp.weight");
    ASSERT_EQ(static_cast<std::size_t>(TinyFamily::dim), router.size());
    ASSERT_EQ(static_cast<std::size_t>(TinyFamily::experts * TinyFamily::dim), inputs.size());
    // Two of four experts per token: over all experts, the sums are twice those of the router, which sees every token once, but for
    // the one average row that each expert is given.
    double of_router = 0, of_experts = 0;
    std::vector<double> shares(TinyFamily::experts);
    for (const float v : router) of_router += v;
    for (std::size_t i = 0; i < inputs.size(); ++i) of_experts += inputs[i], shares[i / TinyFamily::dim] += inputs[i];
    EXPECT_NEAR(2, of_experts / of_router, 0.1);
    EXPECT_GT(*std::max_element(shares.begin(), shares.end()), 1.05 * *std::min_element(shares.begin(), shares.end())) << "all asked equally often";
}

TEST_P(EveryFamily, QuantizedFileLoadsAndEvaluates) {
    const std::vector<float> exact = answers_of(model, pool);
    run::Session session(model, pool, {});
    const Importance importance = Importance::measure(session, calibration_windows());
    // 32 values a block fit every matrix; blocks of 256 fit none here and give way to the nearest format that does.
    for (const auto& [name, most] : {std::pair{"q8_0", 0.15}, {"q5_k", 0.6}, {"q4_0", 1.2}}) {
        const formats::Format& wanted = formats::get(name);
        const WrittenFile file;
        int matrices = 0;
        const auto choose = [&](const files::TensorInfo& t) -> const formats::Format& {
            if (!is_weight_matrix(t)) return *t.format;
            ++matrices;
            return fitting_format(wanted, t.shape.width());
        };
        write_quantized(model->file(), choose, &importance, file.path, pool);
        EXPECT_GT(matrices, 0);
        const auto copy = run::LanguageModel::open(file.path);
        const std::vector<float> rounded = answers_of(copy, pool);
        ASSERT_EQ(exact.size(), rounded.size()) << name;
        for (const float v : rounded) ASSERT_TRUE(std::isfinite(v)) << name;
        EXPECT_NE(exact, rounded) << name;
        EXPECT_LT(relative_difference(exact, rounded), most) << name;
        for (const files::TensorInfo& tensor : copy->file().tensors())
            if (tensor.name.find("ffn_gate_inp") != std::string::npos) {
                EXPECT_EQ("f32", tensor.format->name) << tensor.name;
            }
    }
}

// Every second unit of a feed-forward part stays, with what stands beside its matrices: biases, scales, norms between the products.
TEST_P(EveryFamily, NarrowedFeedForwardPartsLoadAndEvaluate) {
    const files::File& file = model->file();
    if (!file.find("blk.1.ffn_up.weight") || !file.find("blk.1.ffn_down.weight")) return;
    std::vector<std::int64_t> kept;
    for (std::int64_t unit = 0; unit < feed_forward_units(file, 1); unit += 2) kept.push_back(unit);
    if (file.find("blk.1.ffn_act_1.numerator")) {
        EXPECT_THROW(cut(file, {{.layer = 1, .kept_units = kept}}), core::Error);
        return;
    }
    const std::unique_ptr<files::File> narrow = cut(file, {{.layer = 1, .kept_units = kept}});
    const WrittenFile written;
    write_quantized(*narrow, [](const files::TensorInfo& t) -> const formats::Format& { return *t.format; }, nullptr, written.path, pool);
    const auto copy = run::LanguageModel::open(written.path);
    EXPECT_EQ(static_cast<std::int64_t>(kept.size()), feed_forward_units(copy->file(), 1));
    const std::vector<float> answers = answers_of(copy, pool);
    for (const float v : answers) ASSERT_TRUE(std::isfinite(v));
    EXPECT_NE(answers_of(model, pool), answers);
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryFamily, testing::ValuesIn(models::testing::all_tiny_families()),
                         [](const auto& info) { return models::testing::test_name(info.param); });

}  // namespace
}  // namespace tailor::compress
