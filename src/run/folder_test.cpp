// Hugging Face folders as models that run: logits against those of an independent double-precision forward of the same weights.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/json.h"
#include "core/mapped_file.h"
#include "run/session.h"

namespace tailor::run {
namespace {

namespace fs = std::filesystem;
const fs::path golden = fs::path(TAILOR_SOURCE_DIR) / ".." / "shared" / "golden" / "models";

TEST(Folder, LogitsOfReferenceModels) {
    int checked = 0;
    for (const std::string name : {"llama", "qwen2"}) {
        const fs::path folder = golden / (name + "-safetensors");
        if (!fs::exists(folder)) continue;
        const std::string tokens = (golden / name / "tokens.json").string();
        const core::Json json = core::Json::parse(core::read_text_file(tokens), tokens);
        std::vector<text::TokenId> ids;
        for (const core::Json& id : json.at("ids").items()) ids.push_back(static_cast<text::TokenId>(id.integer()));
        const std::string bytes = core::read_text_file((folder / "logits_f64.f32").string());
        std::vector<float> expected(bytes.size() / sizeof(float));
        std::memcpy(expected.data(), bytes.data(), bytes.size());
        core::Pool pool(1);
        Session session(LanguageModel::open(folder.string()), pool, {});
        const core::Tensor& logits = session.evaluate(ids, static_cast<std::int64_t>(ids.size()));
        ASSERT_EQ(logits.shape.elements(), static_cast<std::int64_t>(expected.size())) << name;
        double largest = 0, worst = 0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
            largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
            worst = std::max(worst, std::fabs(static_cast<double>(expected[i]) - logits.row_f32(0)[i]));
        }
        // Sums in single precision: some units of 2^-24 for each of a few hundred terms, 1.1e-6 as seen.
        EXPECT_LE(worst, 1e-5 * largest) << name;
        ++checked;
    }
    if (checked == 0) GTEST_SKIP() << "no reference models at " << golden;
}

}  // namespace
}  // namespace tailor::run
