// Hugging Face folders as models that run: logits at every instruction-set level against those of an independent double-precision
// forward of the same weights.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "core/mapped_file.h"
#include "files/hugging_face/folder.h"
#include "run/session.h"

namespace tailor::run {
namespace {

namespace fs = std::filesystem;
const fs::path golden = fs::path(TAILOR_SOURCE_DIR) / ".." / "shared" / "golden" / "models";

std::vector<float> logits_of(const std::shared_ptr<const LanguageModel>& model, const std::vector<text::TokenId>& ids, core::Pool& pool, cpu::Isa isa) {
    Session session(model, pool, {.isa = isa});
    const core::Tensor& logits = session.evaluate(ids, static_cast<std::int64_t>(ids.size()));
    return {logits.row_f32(0), logits.row_f32(0) + logits.shape.elements()};
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (const double difference = std::fabs(static_cast<double>(a[i]) - b[i]); !(difference <= worst)) worst = difference;
    return worst;
}

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
        core::Pool one(1), two(2);
        const auto folder_model = LanguageModel::open(folder.string());
        for (const cpu::Isa isa : cpu::available_isas()) {
            const std::string what = name + " at " + cpu::name(isa);
            const std::vector<float> actual = logits_of(folder_model, ids, one, isa);
            ASSERT_EQ(expected.size(), actual.size()) << what;
            // Sums in single precision: some units of 2^-24 for each of a few hundred terms, 1.1e-6 as seen; tiles of bf16 take
            // each weight as the sum of two.
            EXPECT_LE(largest_difference(expected, actual), (isa == cpu::Isa::amx ? 3e-4 : 1e-5) * largest_difference(expected, std::vector<float>(expected.size()))) << what;
            EXPECT_EQ(actual, logits_of(folder_model, ids, two, isa)) << what << ": 2 threads differ";
        }
        ++checked;
    }
    if (checked == 0) GTEST_SKIP() << "no reference models at " << golden;
}

// Every reference model whose family has a Hugging Face form goes there and says the same; the others are refused with a list of those.
TEST(Folder, ReferenceModelsGoThereUnchanged) {
    if (!fs::exists(golden)) GTEST_SKIP() << "no reference models at " << golden;
    const fs::path folder = fs::path(testing::TempDir()) / ("folder_test_" + std::to_string(::getpid()));
    core::Pool pool(2);
    int written = 0;
    for (const auto& entry : fs::directory_iterator(golden)) {
        const fs::path path = entry.path() / "model.gguf";
        if (!fs::exists(path)) continue;
        const auto model = LanguageModel::open(path.string());
        try {
            files::hugging_face::write_folder(model->file(), folder.string(), {});
        } catch (const core::Error& error) {
            EXPECT_EQ(core::ErrorKind::unsupported, error.kind()) << error.what();
            EXPECT_NE(std::string::npos, std::string(error.what()).find("cannot be written as a Hugging Face folder; there are bloom, ")) << error.what();
            continue;
        }
        bool blocks = false;
        for (const files::TensorInfo& tensor : model->file().tensors()) blocks |= tensor.format->values_per_block > 1;
        const std::vector<text::TokenId> ids = {3, 17, 5, 99, 42, 8, 8, 61, 30, 2};
        const std::vector<float> there = logits_of(LanguageModel::open(folder.string()), ids, pool, cpu::active_isa()), here = logits_of(model, ids, pool, cpu::active_isa());
        ASSERT_EQ(here.size(), there.size()) << path;
        // Blocks become f16 there; Mamba's rates go through a logarithm.
        EXPECT_LE(largest_difference(here, there), (blocks ? 1e-2 : 2e-6) * largest_difference(here, std::vector<float>(here.size()))) << path;
        fs::remove_all(folder);
        ++written;
    }
    EXPECT_GT(written, 40);
}

}  // namespace
}  // namespace tailor::run
