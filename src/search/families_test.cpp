// Every family can be fitted: small models that are made by asking it (models/tiny_family.h) meet a size in real bytes, and the file
// that was written stays close to the original. Encoders, which have no distributions, are judged by their vectors; a family that reads
// before it writes is judged with its encoder at work.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "compress/quantize_file.h"
#include "models/tiny_family.h"
#include "search/fit.h"

namespace tailor::search {
namespace {

namespace fs = std::filesystem;
using models::testing::TinyKind;

class EveryFamily : public testing::TestWithParam<TinyKind> {
  protected:
    EveryFamily() : folder(fs::temp_directory_path() / ("tailor_fit_families_" + std::to_string(::getpid()))) { fs::create_directories(folder); }
    ~EveryFamily() override { fs::remove_all(folder); }

    /// Matrices may have half of their bytes.
    FitOptions options() const {
        FitOptions o;
        o.output = (folder / "fitted.gguf").string();
        std::uint64_t bytes = 20'000;  // of the header
        for (const files::TensorInfo& tensor : model->file().tensors()) bytes += compress::is_weight_matrix(tensor) ? tensor.bytes / 2 : tensor.bytes + 32;
        o.budgets.file_bytes = bytes;
        o.window = 16;
        o.calibration_windows = 2, o.search_windows = 2, o.report_windows = 2;
        o.prompt_tokens = 8;
        o.search_seconds = 0.02;
        o.session.context = 32;
        o.formats = {"q4_0", "q8_0"};
        return o;
    }

    fs::path folder;
    core::Pool pool{1};
    // One for all tests: times of equal products are measured once.
    static measure::Store& store() {
        static measure::Store shared{""};
        return shared;
    }
    std::shared_ptr<run::LanguageModel> model = run::LanguageModel::from_file(models::testing::make_tiny_family(GetParam().architecture, GetParam().parts));
};

TEST_P(EveryFamily, MeetsASizeAndStaysClose) {
    const FitOptions o = options();
    const core::Json plan = fit(model, pool, store(), o, {});
    EXPECT_LE(fs::file_size(o.output), *o.budgets.file_bytes);
    EXPECT_EQ(model->family().encodes ? "cosine distance" : "kl", plan.at("divergence").string());
    for (const core::Json& candidate : plan.at("candidates").items()) {
        EXPECT_EQ(!model->family().encodes, candidate.find("perplexity") != nullptr);
        if (!candidate.at("chosen").boolean()) continue;
        const double divergence = candidate.at("kl").at("mean").at("value").number();
        EXPECT_GT(divergence, 0);
        EXPECT_LT(divergence, 0.05) << "q8_0 has room in this budget";
    }
    // Every product is counted, an encoder's too.
    for (const core::Json& tensor : plan.at("tensors").items()) {
        const std::string& name = tensor.at("name").string();
        const core::Json& smallest = tensor.at("choices").items().front();
        EXPECT_GT(smallest.at("weighted_error").number(), 0) << name;
        const double nanoseconds = smallest.at("prompt_ns").number() + smallest.at("decode_ns").number();
        EXPECT_TRUE(nanoseconds > 0 || name.find("token_embd") != std::string::npos) << name;
    }
    EXPECT_EQ(model->facts().parameters, run::LanguageModel::open(o.output)->facts().parameters);
}

// One kind of each family, the one with the most parts: a fit takes a fifth of a second.
std::vector<TinyKind> one_of_each_family() {
    std::map<const models::Model*, TinyKind> last;
    for (const TinyKind& kind : models::testing::all_tiny_families())
        last[&models::family_of(models::testing::TinyFamily(kind.architecture, kind.parts))] = kind;
    std::vector<TinyKind> kinds;
    for (const auto& [family, kind] : last) kinds.push_back(kind);
    std::sort(kinds.begin(), kinds.end(), [](const TinyKind& a, const TinyKind& b) { return a.architecture < b.architecture; });
    return kinds;
}

INSTANTIATE_TEST_SUITE_P(Tiny, EveryFamily, testing::ValuesIn(one_of_each_family()),
                         [](const auto& info) { return models::testing::test_name(info.param); });

}  // namespace
}  // namespace tailor::search
