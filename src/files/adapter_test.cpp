// Adapters in both forms of file, with formats and scales of others, and what must be refused.
#include "files/adapter.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"
#include "files/synthetic.h"
#include "formats/registry.h"

namespace tailor::files {
namespace {

core::Tensor matrix(std::int64_t rows, std::int64_t columns, int from) {
    const core::Tensor tensor = formats::make_tensor(formats::get("f32"), {rows, columns});
    // Multiples of 1/64, which f16 holds.
    for (std::int64_t i = 0; i < rows * columns; ++i) tensor.row_f32(0)[i] = static_cast<float>((i * 37 + from) % 129 - 64) / 64.0f;
    return tensor;
}

class AdapterTest : public testing::Test {
  protected:
    void SetUp() override {
        base_ = make_synthetic(synthetic_shapes().front().name, formats::get("f16"));
        for (const char* const name : {"blk.0.attn_q.weight", "blk.1.attn_k.weight", "blk.1.ffn_down.weight"}) {
            const core::Shape shape = base_->find(name)->shape;
            adapter_.pairs.push_back({name, matrix(4, shape[1], 1), matrix(shape[0], 4, 2)});
        }
        adapter_.alpha = 6;
        path_ = testing::TempDir() + "adapter-" + std::to_string(::getpid());
    }
    void TearDown() override { std::filesystem::remove_all(path_), std::filesystem::remove(path_ + ".gguf"); }

    void expect_same(const Adapter& read, double tolerance = 0) {
        ASSERT_EQ(read.pairs.size(), adapter_.pairs.size());
        for (const Adapter::Pair& pair : adapter_.pairs) {
            const Adapter::Pair* const found = read.find(pair.weight);
            ASSERT_NE(found, nullptr) << pair.weight;
            EXPECT_DOUBLE_EQ(read.factor(*found), adapter_.factor(pair));
            expect_near(found->a, pair.a, tolerance), expect_near(found->b, pair.b, tolerance);
        }
    }
    static void expect_near(const core::Tensor& found, const core::Tensor& expected, double tolerance) {
        ASSERT_EQ(found.shape, expected.shape);
        std::vector<float> row(static_cast<std::size_t>(found.shape.width()));
        for (std::int64_t r = 0; r < found.shape.rows(); ++r) {
            found.format->decode.functions[0](found.row(r), row.data(), found.shape.width());
            for (std::int64_t i = 0; i < found.shape.width(); ++i) ASSERT_NEAR(row[static_cast<std::size_t>(i)], expected.row_f32(r)[i], tolerance);
        }
    }
    std::string refusal(const std::string& path, const File& base) {
        try {
            read_adapter(path, base);
        } catch (const core::Error& error) {
            return error.what();
        }
        return "";
    }

    std::unique_ptr<File> base_;
    Adapter adapter_;
    std::string path_;
};

TEST_F(AdapterTest, IsTheSameAfterGgufInF16AndF32) {
    for (const char* const format : {"f16", "f32"}) {
        write_adapter(path_ + ".gguf", adapter_, *base_, formats::get(format));
        expect_same(read_adapter(path_ + ".gguf", *base_));
    }
    const std::unique_ptr<File> file = open(path_ + ".gguf");
    EXPECT_EQ(file->metadata().text("general.type"), "adapter");
    EXPECT_EQ(file->metadata().text("adapter.type"), "lora");
    EXPECT_EQ(file->metadata().real("adapter.lora.alpha"), 6);
    EXPECT_EQ(file->metadata().text("general.architecture"), "llama");
    ASSERT_NE(file->find("blk.0.attn_q.weight.lora_a"), nullptr);
    EXPECT_EQ(file->find("blk.0.attn_q.weight.lora_a")->shape[0], 4);
    EXPECT_EQ(file->find("blk.0.attn_q.weight.lora_b")->shape[1], 4);
}

TEST_F(AdapterTest, IsTheSameAfterAFolderWhereRowsOfHeadsLieInAnotherOrder) {
    write_adapter(path_, adapter_, *base_, formats::get("f16"));
    expect_same(read_adapter(path_, *base_));
    const std::string config = core::read_text_file(path_ + "/adapter_config.json");
    EXPECT_NE(config.find("\"LORA\""), std::string::npos);
    EXPECT_NE(config.find("\"q_proj\""), std::string::npos) << config;
    // Theirs has the rows of a head's halves one after the other, ours as pairs: B of attn_q differs, that of ffn_down does not.
    const auto file = open(path_ + "/adapter_model.safetensors");
    const std::string stem = "base_model.model.model.layers.";
    const TensorInfo *const q = file->find(stem + "0.self_attn.q_proj.lora_B.weight"), *const down = file->find(stem + "1.mlp.down_proj.lora_B.weight");
    ASSERT_TRUE(q && down);
    const core::Tensor theirs = file->read(*q), same = read_adapter(path_, *base_).find("blk.0.attn_q.weight")->b;
    bool moved = false;
    for (std::int64_t r = 0; r < theirs.shape.rows(); ++r) moved |= std::memcmp(theirs.row(r), same.row(r), 8) != 0;
    EXPECT_TRUE(moved);
    expect_near(file->read(*down), adapter_.pairs[2].b, 0);
    EXPECT_THROW(write_adapter(path_, adapter_, *base_, formats::get("f16")), core::Error) << "a folder was overwritten";
}

TEST_F(AdapterTest, ReadsOtherWaysToStateTheFactor) {
    write_adapter(path_, adapter_, *base_, formats::get("f32"));
    const std::string path = path_ + "/adapter_config.json", config = core::read_text_file(path);
    const auto with = [&](const std::string& member) {
        core::write_text_file(path, "{" + member + "," + config.substr(config.find('{') + 1));
        const Adapter read = read_adapter(path_, *base_);
        const Adapter::Pair& pair = *read.find("blk.1.attn_k.weight");
        return read.factor(pair) * static_cast<double>(pair.b.row_f32(0)[0]) / static_cast<double>(adapter_.pairs[1].b.row_f32(0)[0]);
    };
    EXPECT_NEAR(with("\"use_rslora\": true"), 6.0 / 2, 1e-6);  // the root of the rank 4
    EXPECT_NEAR(with("\"alpha_pattern\": {\"k_proj\": 12}"), 12.0 / 4, 1e-6);
    core::write_text_file(path, "{\"use_dora\": true," + config.substr(config.find('{') + 1));
    EXPECT_NE(refusal(path_, *base_).find("use_dora"), std::string::npos);
}

TEST_F(AdapterTest, RefusesWhatIsOfAnotherModelAndSaysWhy) {
    write_adapter(path_ + ".gguf", adapter_, *base_, formats::get("f16"));
    const auto other = make_synthetic(synthetic_shapes().back().name, formats::get("f16"));
    EXPECT_NE(refusal(path_ + ".gguf", *other).find("is it of another model?"), std::string::npos) << refusal(path_ + ".gguf", *other);
    adapter_.pairs[0].weight = "blk.9999.attn_q.weight";
    write_adapter(path_ + ".gguf", adapter_, *base_, formats::get("f16"));
    EXPECT_NE(refusal(path_ + ".gguf", *base_).find("blk.9999.attn_q.weight"), std::string::npos);
    adapter_.pairs.clear();
    write_adapter(path_ + ".gguf", adapter_, *base_, formats::get("f16"));
    EXPECT_NE(refusal(path_ + ".gguf", *base_).find("without matrices"), std::string::npos);
}

TEST_F(AdapterTest, MergesIntoItsWeights) {
    const std::unique_ptr<File> whole = merged(*base_, adapter_);
    const Adapter::Pair& pair = adapter_.pairs[1];
    const core::Tensor before = base_->read(*base_->find(pair.weight)), after = whole->read(*whole->find(pair.weight));
    std::vector<float> row(static_cast<std::size_t>(before.shape.width()));
    for (const std::int64_t r : {std::int64_t{0}, before.shape.rows() - 1}) {
        before.format->decode.functions[0](before.row(r), row.data(), before.shape.width());
        for (std::int64_t i = 0; i < before.shape.width(); i += 7) {
            double expected = row[static_cast<std::size_t>(i)];
            for (std::int64_t k = 0; k < 4; ++k) expected += 1.5 * static_cast<double>(pair.b.row_f32(r)[k] * pair.a.row_f32(k)[i]);
            ASSERT_NEAR(after.row_f32(r)[i], expected, 1e-5);
        }
    }
    const TensorInfo& other = *whole->find("blk.0.attn_k.weight");
    EXPECT_EQ(other.format, &formats::get("f16"));
    EXPECT_EQ(0, std::memcmp(whole->read(other).data, base_->read(*base_->find(other.name)).data, static_cast<std::size_t>(other.bytes)));
}

}  // namespace
}  // namespace tailor::files
