// Quantized copies of a small synthetic model: sizes known beforehand, data as the method gives it, no trace of failures.
#include "compress/quantize_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "compress/registry.h"
#include "core/error.h"
#include "files/registry.h"
#include "files/synthetic.h"
#include "formats/registry.h"

namespace tailor::compress {
namespace {

using files::TensorInfo;

std::string temporary(const std::string& name) { return testing::TempDir() + "/quantize_file_" + std::to_string(::getpid()) + "_" + name; }

/// Writes `source` as it is.
void save(const files::File& source, const std::string& path) {
    files::WritePlan plan;
    plan.metadata = source.metadata();
    for (const TensorInfo& t : source.tensors()) plan.tensors.push_back({t.name, t.format, t.shape});
    files::kind_for(path).write(path, plan, [&](std::size_t i) { return source.read(source.tensors()[i]); });
}

ChooseFormat matrices_in(std::string_view format) {
    return [&chosen = formats::get(format)](const TensorInfo& t) -> const formats::Format& { return is_weight_matrix(t) ? chosen : *t.format; };
}

bool same_bytes(const core::Tensor& a, const core::Tensor& b) {
    return a.format == b.format && a.shape == b.shape && std::memcmp(a.data, b.data, static_cast<std::size_t>(formats::tensor_bytes(*a.format, a.shape))) == 0;
}

TEST(QuantizeFile, WritesWhatWasPlannedAndKeepsTheRest) {
    core::Pool pool(2);
    const auto source = files::make_synthetic("llama-tiny", formats::get("f32"));
    const std::string path = temporary("q8_0.gguf");
    const std::uint64_t planned = files::kind_for(path).written_bytes(quantized_plan(*source, matrices_in("q8_0")));
    std::int64_t last_done = 0, last_total = 1;
    const std::uint64_t written = write_quantized(*source, matrices_in("q8_0"), nullptr, path, pool, [&](std::int64_t done, std::int64_t total) {
        EXPECT_GT(done, last_done);
        last_done = done, last_total = total;
    });
    EXPECT_EQ(last_done, last_total);
    const auto copy = files::open(path);
    EXPECT_EQ(planned, written);
    EXPECT_EQ(planned, copy->bytes());
    ASSERT_EQ(source->tensors().size(), copy->tensors().size());
    for (const TensorInfo& t : source->tensors()) {
        const core::Tensor original = source->read(t), stored = copy->read(*copy->find(t.name));
        const core::Tensor expected = is_weight_matrix(t) ? get("round").apply({original, formats::get("q8_0"), {}, pool}) : original;
        EXPECT_TRUE(same_bytes(expected, stored)) << t.name;
    }
    EXPECT_EQ(7, copy->metadata().integer("general.file_type"));
    EXPECT_EQ(2, copy->metadata().integer("general.quantization_version"));
    EXPECT_EQ(source->metadata().text("general.architecture"), copy->metadata().text("general.architecture"));
    ::unlink(path.c_str());
}

TEST(QuantizeFile, MetadataNeverClaimsTheOldFormat) {
    const auto source = files::make_synthetic("llama-tiny", formats::get("f16"));
    const formats::Format *numbered = nullptr, *unnumbered = nullptr;
    for (const formats::Format* f : formats::all())
        if (f->weights && f->gguf_type >= 0 && f->holds(64) && f->values_per_block > 1) (f->gguf_file_type >= 0 ? numbered : unnumbered) = f;
    ASSERT_NE(nullptr, numbered);
    EXPECT_EQ(numbered->gguf_file_type, quantized_plan(*source, matrices_in(numbered->name)).metadata.integer("general.file_type"));
    if (unnumbered) {
        EXPECT_EQ(nullptr, quantized_plan(*source, matrices_in(unnumbered->name)).metadata.find("general.file_type"));
    }
    EXPECT_EQ(nullptr, quantized_plan(*source, matrices_in("f32")).metadata.find("general.quantization_version"));
}

TEST(QuantizeFile, ReportsEveryTensorWithItsError) {
    core::Pool pool(2);
    const auto source = files::make_synthetic("llama-tiny", formats::get("f32"));
    const std::string path = temporary("report.gguf");
    std::size_t seen = 0;
    write_quantized(*source, matrices_in("q4_0"), nullptr, path, pool, {}, [&](const QuantizedTensor& t) {
        EXPECT_EQ(source->tensors()[seen++].name, t.source.name);
        const bool converted = t.source.format != &t.format;
        const double relative = converted ? std::sqrt(t.error.error / t.error.energy) : t.error.error;
        EXPECT_NEAR(converted ? formats::get("q4_0").facts.gaussian_relative_rmse : 0, relative, converted ? 0.02 : 0) << t.source.name;
    });
    EXPECT_EQ(source->tensors().size(), seen);
    ::unlink(path.c_str());
}

TEST(QuantizeFile, RefusesToOverwriteWhatItReads) {
    core::Pool pool(1);
    const std::string path = temporary("self.gguf");
    save(*files::make_synthetic("llama-tiny", formats::get("f16")), path);
    const auto source = files::open(path);
    EXPECT_THROW(write_quantized(*source, matrices_in("q8_0"), nullptr, path, pool), core::Error);
    EXPECT_EQ(source->bytes(), files::open(path)->bytes());
    ::unlink(path.c_str());
}

/// A model with one weight that is no number.
class Damaged : public files::File {
  public:
    explicit Damaged(std::unique_ptr<files::File> file) : file_(std::move(file)) {
        path_ = "damaged.gguf", metadata_ = file_->metadata(), tensors_ = file_->tensors();
    }
    core::Tensor read(const TensorInfo& info) const override {
        core::Tensor tensor = file_->read(info);
        if (info.name == "blk.1.ffn_up.weight") tensor.row_f32(7)[5] = std::numeric_limits<float>::quiet_NaN();
        return tensor;
    }
    std::uint64_t bytes() const override { return file_->bytes(); }

  private:
    std::unique_ptr<files::File> file_;
};

TEST(QuantizeFile, AFailureNamesTheTensorAndLeavesNothing) {
    core::Pool pool(2);
    const Damaged source(files::make_synthetic("llama-tiny", formats::get("f32")));
    const std::string path = temporary("damaged.gguf");
    try {
        write_quantized(source, matrices_in("q8_0"), nullptr, path, pool);
        FAIL() << "a NaN was written";
    } catch (const core::Error& error) {
        EXPECT_EQ(core::ErrorKind::numeric, error.kind());
        EXPECT_NE(std::string::npos, std::string(error.what()).find("blk.1.ffn_up.weight")) << error.what();
    }
    EXPECT_NE(0, ::access(path.c_str(), F_OK));
    EXPECT_NE(0, ::access((path + ".part-" + std::to_string(::getpid())).c_str(), F_OK));
}

TEST(QuantizeFile, PlansSayWhichTensorCannotBe) {
    const auto source = files::make_synthetic("llama-tiny", formats::get("f32"));
    try {
        quantized_plan(*source, matrices_in("q4_k"));
        FAIL() << "rows of 64 values in blocks of 256";
    } catch (const core::Error& error) {
        EXPECT_EQ(core::ErrorKind::shape, error.kind());
        EXPECT_NE(std::string::npos, std::string(error.what()).find("token_embd.weight")) << error.what();
    }
}

TEST(FittingFormat, KeepsWhatFitsAndNeverGoesBelowItsBits) {
    const formats::Format& q4_k = formats::get("q4_k");
    EXPECT_EQ(&q4_k, &fitting_format(q4_k, 512));
    EXPECT_EQ(4.5, fitting_format(q4_k, 96).bits_per_value());
    EXPECT_EQ(32, fitting_format(q4_k, 96).values_per_block);
    EXPECT_EQ("q8_0", fitting_format(formats::get("q6_k"), 96).name);
    EXPECT_EQ("f16", fitting_format(q4_k, 172).name);
    for (const formats::Format* wanted : formats::all())
        if (wanted->weights)
            for (const std::int64_t width : {1, 32, 96, 256}) {
                const formats::Format& used = fitting_format(*wanted, width);
                EXPECT_TRUE(used.holds(width)) << wanted->name << " " << width;
                EXPECT_GE(used.bits_per_value(), wanted->bits_per_value()) << wanted->name << " " << width;
            }
}

TEST(WeightMatrix, IsToldFromVectorsAndKernels) {
    const formats::Format& f32 = formats::get("f32");
    EXPECT_TRUE(is_weight_matrix({"blk.0.attn_q.weight", &f32, "F32", {64, 64}}));
    EXPECT_TRUE(is_weight_matrix({"blk.0.ffn_up_exps.weight", &f32, "F32", {8, 64, 64}}));
    EXPECT_FALSE(is_weight_matrix({"output_norm.weight", &f32, "F32", {64}}));
    EXPECT_FALSE(is_weight_matrix({"blk.0.ffn_gate_inp.weight", &f32, "F32", {8, 64}}));
    EXPECT_FALSE(is_weight_matrix({"blk.0.ssm_conv1d.weight", &f32, "F32", {128, 4}}));
    EXPECT_FALSE(is_weight_matrix({"blk.0.ssm_norm.weight", &f32, "F32", {2, 64}}));
    EXPECT_FALSE(is_weight_matrix({"blk.0.time_mix_lerp_fused.weight", &f32, "F32", {5, 1, 1, 128}}));
    EXPECT_FALSE(is_weight_matrix({"blk.0.time_mix_first.weight", &f32, "F32", {2, 64}}));
    EXPECT_FALSE(is_weight_matrix({"blk.0.attn_q.bias", &f32, "F32", {1, 64}}));
    EXPECT_FALSE(is_weight_matrix({"blk.0.attn_q.weight", nullptr, "type 99", {64, 64}}));
}

}  // namespace
}  // namespace tailor::compress
