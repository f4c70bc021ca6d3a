// Synthetic models: sizes of the well-known shapes, repeatable values of the stated spread, and a GGUF that reads back.
#include "files/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "files/registry.h"
#include "formats/registry.h"

namespace tailor::files {
namespace {

TEST(Synthetic, ParameterCountsAreTheKnownOnes) {
    const auto parameters = [](std::string_view name) {
        const auto file = make_synthetic(name, formats::get("f32"));
        std::int64_t sum = 0;
        for (const TensorInfo& info : file->tensors()) sum += info.shape.elements();
        return sum;
    };
    EXPECT_EQ(parameters("llama-1.1b"), 1100048384);    // TinyLlama 1.1B
    EXPECT_EQ(parameters("llama-7b"), 6738415616);      // Llama 2 7B
    EXPECT_EQ(parameters("llama-3.2-1b"), 1235814400);  // Llama 3.2 1B
    EXPECT_EQ(parameters("llama-160m"), 162417408);
    EXPECT_EQ(synthetic_shapes().size(), 5u);
}

TEST(Synthetic, ValuesRepeatAndHaveTheStatedSpread) {
    const auto file = make_synthetic("llama-tiny", formats::get("f32"));
    const TensorInfo& info = *file->find("blk.1.ffn_down.weight");
    EXPECT_EQ(info.shape, (core::Shape{64, 192}));
    const core::Tensor first = file->read(info), second = file->read(info);
    EXPECT_EQ(std::memcmp(first.data, second.data, info.bytes), 0);
    double sum = 0, squares = 0;
    const auto* values = reinterpret_cast<const float*>(first.data);
    const double count = static_cast<double>(info.shape.elements());
    for (std::int64_t i = 0; i < info.shape.elements(); ++i) sum += values[i], squares += double(values[i]) * values[i];
    EXPECT_NEAR(sum / count, 0, 0.003);
    EXPECT_NEAR(std::sqrt(squares / count), 1 / std::sqrt(192.0), 0.002);
    const core::Tensor other = file->read(*file->find("blk.0.ffn_down.weight"));
    EXPECT_NE(std::memcmp(first.data, other.data, 64), 0) << "layers must differ";
    const core::Tensor norm = file->read(*file->find("output_norm.weight"));
    EXPECT_NEAR(norm.row_f32(0)[0], 1, 0.35);
}

TEST(Synthetic, EveryWeightFormatThatFitsCanBeMade) {
    int made = 0;
    for (const formats::Format* format : formats::all()) {
        if (!format->weights || !format->encode || !format->holds(768)) continue;
        SCOPED_TRACE(std::string(format->name));
        const auto file = make_synthetic("llama-160m", *format);
        const TensorInfo& info = *file->find("blk.0.attn_k.weight");
        EXPECT_EQ(info.format, format);
        const core::Tensor tensor = file->read(info);
        std::vector<float> row(768), last(768);
        format->decode.at(cpu::Isa::base)(tensor.row(1), row.data(), 768);
        format->decode.at(cpu::Isa::base)(tensor.row(767), last.data(), 768);
        double squares = 0;
        for (const float value : last) squares += double(value) * value;
        EXPECT_NEAR(squares, 1, 0.75) << "768 weights of variance 1/768";
        EXPECT_NE(row, last);
        ++made;
    }
    EXPECT_GT(made, 0);
}

TEST(Synthetic, NamesWhatItDoesNotKnow) {
    EXPECT_THROW(make_synthetic("llama-9t", formats::get("f32")), core::Error);
    EXPECT_THROW(make_synthetic("llama-tiny", formats::get("i32")), core::Error);
}

TEST(Synthetic, WritesAsGguf) {
    const auto file = make_synthetic("llama-tiny", formats::get("f32"));
    WritePlan plan;
    plan.metadata = file->metadata();
    for (const TensorInfo& info : file->tensors()) plan.tensors.push_back({info.name, info.format, info.shape});
    const std::string path = testing::TempDir() + "tailor_synthetic.gguf";
    kind_for(path).write(path, plan, [&](std::size_t i) { return file->read(file->tensors()[i]); });
    const auto again = open(path);
    EXPECT_EQ(again->metadata().text("general.architecture"), "llama");
    EXPECT_EQ(again->metadata().integer("llama.attention.head_count_kv"), 2);
    EXPECT_NEAR(again->metadata().real("llama.attention.layer_norm_rms_epsilon"), 1e-5, 1e-11);
    ASSERT_EQ(again->tensors().size(), file->tensors().size());
    for (std::size_t i = 0; i < file->tensors().size(); ++i) {
        const TensorInfo &a = file->tensors()[i], &b = again->tensors()[i];
        EXPECT_EQ(a.shape, b.shape);
        EXPECT_EQ(std::memcmp(file->read(a).data, again->read(b).data, a.bytes), 0) << a.name;
    }
    std::filesystem::remove(path);
}

}  // namespace
}  // namespace tailor::files
