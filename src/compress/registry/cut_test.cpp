// Cut models against their originals with zeros in the place of what was cut, and the way through files: per-layer widths stay.
#include "compress/cut.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compress/quantize_file.h"
#include "core/error.h"
#include "files/registry.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "models/tiny_model.h"

namespace tailor::compress {
namespace {

using models::testing::TinyModel;

constexpr std::int64_t layers = 4;

// Of any file, as a session gives them.
std::vector<float> answers_of(const files::File& file) {
    core::Pool pool(1);
    class Borrowed : public files::File {
      public:
        explicit Borrowed(const files::File& file) : file_(file) { path_ = file.path(), metadata_ = file.metadata(), tensors_ = file.tensors(); }
        core::Tensor read(const files::TensorInfo& tensor) const override { return file_.read(*file_.find(tensor.name)); }
        std::uint64_t bytes() const override { return 0; }

      private:
        const files::File& file_;
    };
    run::Session session(run::LanguageModel::from_file(std::make_unique<Borrowed>(file)), pool, {});
    const std::vector<text::TokenId> ids = {1, 7, 3, 3, 20, 39, 11};
    const core::Tensor& logits = session.evaluate(ids, 7);
    return {logits.row_f32(0), logits.row_f32(0) + logits.shape.elements()};
}

void zero_rows(const core::Tensor& matrix, const std::vector<std::int64_t>& kept) {
    for (std::int64_t r = 0; r < matrix.shape[0]; ++r)
        if (!std::binary_search(kept.begin(), kept.end(), r)) std::fill(matrix.row_f32(r), matrix.row_f32(r) + matrix.shape.width(), 0.0f);
}

// Layer 1 keeps 16 of 48 units, layer 2 has no attention.
const std::vector<std::int64_t> some_units = {0, 1, 2, 3, 5, 8, 13, 21, 30, 31, 32, 40, 41, 42, 46, 47};
std::vector<LayerCut> two_cuts() { return {{.layer = 1, .kept_units = some_units}, {.layer = 2, .keeps_attention = false}}; }

TinyModel with_zeros() {
    TinyModel zeros("llama");
    for (const char* const part : {"blk.1.ffn_gate.weight", "blk.1.ffn_up.weight"}) zero_rows(zeros.at(part), some_units);
    zero_rows(zeros.at("blk.2.attn_output.weight"), {});
    return zeros;
}

using Numbers = std::vector<std::int64_t>;

void expect_widths(const files::File& file) {
    EXPECT_EQ("deci", file.metadata().text("general.architecture"));
    EXPECT_EQ((Numbers{4, 4, 0, 4}), file.metadata().integers("deci.attention.head_count"));
    EXPECT_EQ((Numbers{2, 2, 0, 2}), file.metadata().integers("deci.attention.head_count_kv"));
    EXPECT_EQ((Numbers{48, 16, 48, 48}), file.metadata().integers("deci.feed_forward_length"));
    for (const auto& [key, value] : file.metadata().entries()) EXPECT_FALSE(key.starts_with("llama.")) << key;
}

TEST(Cut, IsTheOriginalWithZerosInItsPlace) {
    const TinyModel model("llama");
    const auto file = cut(model, two_cuts());
    expect_widths(*file);
    EXPECT_EQ(nullptr, file->find("blk.2.attn_q.weight"));
    EXPECT_EQ(nullptr, file->find("blk.2.attn_norm.weight"));
    EXPECT_EQ((core::Shape{16, 32}), file->find("blk.1.ffn_gate.weight")->shape);
    EXPECT_EQ((core::Shape{32, 16}), file->find("blk.1.ffn_down.weight")->shape);
    EXPECT_LT(models::testing::difference(answers_of(with_zeros()), answers_of(*file)), 1e-6);
    EXPECT_GT(models::testing::difference(answers_of(model), answers_of(*file)), 1e-3);
    // Nothing cut is nothing changed, and a second cut finds the widths of the first.
    EXPECT_EQ(answers_of(model), answers_of(*cut(model, {})));
    const auto further = cut(*file, {{.layer = 0, .keeps_attention = false}, {.layer = 1, .kept_units = {0, 1, 2, 3}}});
    EXPECT_EQ((Numbers{0, 4, 0, 4}), further->metadata().integers("deci.attention.head_count"));
    EXPECT_EQ((Numbers{48, 4, 48, 48}), further->metadata().integers("deci.feed_forward_length"));
    for (const float v : answers_of(*further)) EXPECT_TRUE(std::isfinite(v));
}

TEST(Cut, NarrowsOtherFamiliesInTheirOwnName) {
    TinyModel model("qwen2"), joined("phi3");
    EXPECT_EQ("qwen2", cut(model, {{.layer = 1, .kept_units = some_units}})->metadata().text("general.architecture"));
    for (std::int64_t i = 0; i < layers; ++i) {
        const std::string name = "blk." + std::to_string(i) + ".";
        joined.put(name + "ffn_up.weight", models::testing::stacked({joined.at(name + "ffn_gate.weight"), joined.at(name + "ffn_up.weight")}));
        joined.add(name + "ffn_up.bias", {96});
        const core::Tensor both = joined.at(name + "ffn_up.bias"), gate = model.add(name + "ffn_gate.bias", {48}), up = model.add(name + "ffn_up.bias", {48});
        std::copy(both.row_f32(0), both.row_f32(0) + 48, gate.row_f32(0));
        std::copy(both.row_f32(0) + 48, both.row_f32(0) + 96, up.row_f32(0));
        joined.remove(name + "ffn_gate.weight");
    }
    const std::vector<LayerCut> one = {{.layer = 1, .kept_units = some_units}};
    EXPECT_LT(models::testing::difference(answers_of(*cut(model, one)), answers_of(*cut(joined, one))), 1e-6) << "gate and up apart, and in one tensor";
    EXPECT_EQ((core::Shape{32}), cut(joined, one)->find("blk.1.ffn_up.bias")->shape);
}

TEST(Cut, StrongestUnitsAreThoseThatMatter) {
    TinyModel model("llama");
    const core::Tensor down = model.at("blk.1.ffn_down.weight");
    for (std::int64_t r = 0; r < down.shape[0]; ++r)
        for (std::int64_t j = 0; j < 48; ++j) down.row_f32(r)[j] = j == 7 || j == 40 ? 3.0f : j == 11 ? 2.0f : 0.1f;
    EXPECT_EQ((Numbers{7, 11, 40}), strongest_units(model, 1, 3, nullptr));
    EXPECT_EQ((Numbers{7, 40}), strongest_units(model, 1, 2, nullptr));
    EXPECT_THROW(strongest_units(model, 1, 0, nullptr), core::Error);
    EXPECT_THROW(strongest_units(model, 1, 49, nullptr), core::Error);
    // A unit that is always silent does not matter, however large its column.
    for (const char* const part : {"blk.1.ffn_gate.weight", "blk.1.ffn_up.weight"})
        std::fill(model.at(part).row_f32(40), model.at(part).row_f32(40) + 32, 0.0f);
    core::Pool pool(1);
    run::Session session(run::LanguageModel::from_file(cut(model, {})), pool, {.context = 16, .batch = 16});
    const Importance importance = Importance::measure(session, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}});
    const Numbers three = strongest_units(model, 1, 3, &importance);
    EXPECT_EQ(three.end(), std::find(three.begin(), three.end(), 40));
}

struct WrittenFile {
    explicit WrittenFile(const std::string& name) : path(testing::TempDir() + "/cut_" + std::to_string(::getpid()) + "_" + name + ".gguf") {}
    ~WrittenFile() { ::unlink(path.c_str()); }
    std::string path;
};

// As a user would: cut, written, opened, quantized, opened again.
TEST(Cut, WidthsSurviveWritingAndQuantizing) {
    core::Pool pool(1);
    const TinyModel model("llama");
    const auto file = cut(model, two_cuts());
    const WrittenFile plain("plain"), small("small"), again("again");
    const auto as_it_is = [](const files::TensorInfo& t) -> const formats::Format& { return *t.format; };
    write_quantized(*file, as_it_is, nullptr, plain.path, pool);
    const auto opened = files::open(plain.path);
    expect_widths(*opened);
    EXPECT_EQ(answers_of(*file), answers_of(*opened));
    const auto matrices = [](const files::TensorInfo& t) -> const formats::Format& {
        return is_weight_matrix(t) ? fitting_format(formats::get("q8_0"), t.shape.width()) : *t.format;
    };
    write_quantized(*opened, matrices, nullptr, small.path, pool);
    const auto quantized = files::open(small.path);
    expect_widths(*quantized);
    EXPECT_LT(models::testing::difference(answers_of(*opened), answers_of(*quantized)), 0.1);
    write_quantized(*quantized, as_it_is, nullptr, again.path, pool);
    EXPECT_EQ(answers_of(*quantized), answers_of(*files::open(again.path)));
}

TEST(Cut, WholeBlocksOfAQuantizedSourceAreCopied) {
    const auto source = files::make_synthetic("llama-tiny", formats::get("q8_0"));
    std::vector<std::int64_t> kept;
    for (std::int64_t i = 0; i < 64; ++i) kept.push_back(i < 32 ? i : 64 + i);
    const auto file = cut(*source, {{.layer = 0, .kept_units = kept}});
    const core::Tensor before = source->read(*source->find("blk.0.ffn_down.weight")), after = file->read(*file->find("blk.0.ffn_down.weight"));
    const std::int64_t block = formats::get("q8_0").row_bytes(32);
    for (std::int64_t r = 0; r < before.shape[0]; ++r) {
        EXPECT_EQ(0, std::memcmp(before.row(r), after.row(r), static_cast<std::size_t>(block)));
        EXPECT_EQ(0, std::memcmp(before.row(r) + 3 * block, after.row(r) + block, static_cast<std::size_t>(block)));
    }
    kept.pop_back();
    EXPECT_THROW(cut(*source, {{.layer = 0, .kept_units = kept}}), core::Error) << "63 units do not fill blocks of 32";
}

TEST(Cut, RefusesWithTheNameOfWhatIsWrong) {
    const auto error_of = [](const files::File& file, const std::vector<LayerCut>& cuts) -> std::string {
        try {
            cut(file, cuts);
            return "";
        } catch (const core::Error& error) {
            return error.what();
        }
    };
    const TinyModel llama("llama"), qwen("qwen2");
    EXPECT_NE(std::string::npos, error_of(qwen, {{.layer = 1, .keeps_attention = false}}).find("only llama and deci"));
    EXPECT_NE(std::string::npos, error_of(llama, {{.layer = 4, .keeps_attention = false}}).find("no layer 4; there are 4"));
    EXPECT_NE(std::string::npos, error_of(llama, {{.layer = 0, .kept_units = {3, 2}}}).find("must ascend"));
    EXPECT_NE(std::string::npos, error_of(llama, {{.layer = 0}, {.layer = 0}}).find("cut twice"));
    TinyModel bare("llama");
    bare.remove("blk.0.ffn_up.weight");
    EXPECT_NE(std::string::npos, error_of(bare, {{.layer = 0, .kept_units = {3}}}).find("layer 0 has no plain feed-forward part"));
}

}  // namespace
}  // namespace tailor::compress
