// Encoders against independent vectors, and the pooling of them.
#include "run/embedding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "core/mapped_file.h"

namespace tailor::run {
namespace {

namespace fs = std::filesystem;
const fs::path golden = fs::path(TAILOR_SOURCE_DIR) / ".." / "shared" / "golden" / "models" / "bert";

std::vector<float> floats_of(const fs::path& path) {
    const std::string bytes = core::read_text_file(path.string());
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

TEST(Embedding, AgreesWithIndependentVectors) {
    if (!fs::exists(golden)) GTEST_SKIP() << "no reference model at " << golden;
    const std::string tokens = (golden / "tokens.json").string();
    std::vector<text::TokenId> ids;
    const core::Json json = core::Json::parse(core::read_text_file(tokens), tokens);
    for (const core::Json& id : json.at("ids").items()) ids.push_back(static_cast<text::TokenId>(id.integer()));
    const auto model = LanguageModel::open((golden / "model.gguf").string());
    EXPECT_EQ(Pooling::first, pooling_of(*model));
    core::Pool pool(2);
    for (const cpu::Isa isa : cpu::available_isas())
        for (const auto& [name, pooling] : {std::pair{"embd.f32", Pooling::none}, {"pooled_cls.f32", Pooling::first}, {"pooled_last.f32", Pooling::last}, {"pooled_mean.f32", Pooling::mean}}) {
            Session session(model, pool, {.isa = isa});
            const std::vector<float> expected = floats_of(golden / name), actual = embed(session, ids, pooling);
            ASSERT_EQ(expected.size(), actual.size()) << name;
            double largest = 0, worst = 0;
            for (std::size_t i = 0; i < expected.size(); ++i) {
                largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
                worst = std::max(worst, std::fabs(static_cast<double>(expected[i]) - actual[i]));
            }
            EXPECT_LE(worst, 1e-4 * largest) << name << " at " << cpu::name(isa);
        }
}

TEST(Embedding, NormalizedVectorsHaveLengthOne) {
    std::vector<float> v{3, 0, -4}, zero{0, 0};
    normalize(v), normalize(zero);
    EXPECT_EQ((std::vector<float>{0.6f, 0, -0.8f}), v);
    EXPECT_EQ((std::vector<float>{0, 0}), zero);
    EXPECT_THROW(pooling_named("middle"), core::Error);
}

}  // namespace
}  // namespace tailor::run
