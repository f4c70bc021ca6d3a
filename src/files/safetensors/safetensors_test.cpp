// Reading files made by hand, and writing: what is written is read back, and the size is known before.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"
#include "files/safetensors/layout.h"
#include "files/safetensors/test_bytes.h"
#include "formats/half.h"
#include "formats/registry.h"

namespace tailor::files {
namespace {

using namespace safetensors::test_bytes;

std::unique_ptr<File> opened(const std::string& bytes) { return open_memory(std::as_bytes(std::span(bytes)), "test.safetensors"); }

std::vector<float> values_of(const core::Tensor& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
    for (std::int64_t r = 0; r < tensor.shape.rows(); ++r)
        tensor.format->decode.at(cpu::Isa::base)(tensor.row(r), values.data() + r * tensor.shape.width(), tensor.shape.width());
    return values;
}

TEST(Safetensors, ReadsShapesNamesAndMetadata) {
    const std::string bytes = file(" {\"__metadata__\" : {\"format\":\"pt\", \"a\\u00e9\\n\":\"\\ud83d\\ude00\"}, " + tensor("m", "F32", "2,3", 4, 28) + " , " +
                                       tensor("scalar", "F32", "", 0, 4) + "," + tensor("none", "F32", "0,4", 28, 28) + "}   ",
                                   numbers<float>({7, 1, 2, 3, 4, 5, 6}));
    std::string shifted = bytes;
    EXPECT_THROW(opened(shifted), core::Error) << "a header begins with '{'";
    const std::string good = file(bytes.substr(9, bytes.size() - 9 - 28), bytes.substr(bytes.size() - 28));
    const auto file = opened(good);
    ASSERT_EQ(file->tensors().size(), 3u);
    EXPECT_EQ(file->tensors()[0].name, "m");
    EXPECT_EQ(file->tensors()[0].shape, (core::Shape{2, 3}));
    EXPECT_EQ(values_of(file->read(file->tensors()[0])), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(values_of(file->read(*file->find("scalar"))), (std::vector<float>{7}));
    EXPECT_EQ(file->find("none")->bytes, 0u);
    EXPECT_EQ(file->metadata().text("safetensors.format"), "pt");
    EXPECT_EQ(file->metadata().text("safetensors.a\xC3\xA9\n"), "\xF0\x9F\x98\x80");
    EXPECT_EQ(file->bytes(), good.size());
}

struct TypeCase {
    std::string type, data;
    std::string_view format;
    std::vector<float> values;
};

TEST(Safetensors, ReadsEveryType) {
    const TypeCase cases[] = {
        {"F64", numbers<double>({0.1, -3}), "f32", {0.1f, -3}},
        {"F32", numbers<float>({0.25f, -1}), "f32", {0.25f, -1}},
        {"F16", numbers<std::uint16_t>({0x3C00, 0xC000}), "f16", {1, -2}},
        {"BF16", numbers<std::uint16_t>({0x3F80, 0xC000}), "bf16", {1, -2}},
        {"I64", numbers<std::int64_t>({-5, 2147483647}), "i32", {-5, 2147483647.0f}},
        {"I32", numbers<std::int32_t>({-5, 6}), "i32", {-5, 6}},
        {"I16", numbers<std::int16_t>({-300, 6}), "i32", {-300, 6}},
        {"I8", numbers<std::int8_t>({-128, 127}), "i32", {-128, 127}},
        {"U8", numbers<std::uint8_t>({0, 255}), "i32", {0, 255}},
        {"BOOL", numbers<std::uint8_t>({1, 0}), "i32", {1, 0}},
        {"F8_E4M3", numbers<std::uint8_t>({0x38, 0xFE}), "f16", {1, -448}},
        {"F8_E5M2", numbers<std::uint8_t>({0x3C, 0xFB}), "f16", {1, -57344}},
    };
    for (const TypeCase& c : cases) {
        SCOPED_TRACE(c.type);
        // One byte before puts the data at an odd address, as a file may.
        for (const std::string& before : {std::string(), std::string("x")}) {
            const std::string first = before.empty() ? "" : tensor("b", "U8", "1", 0, 1) + ",";
            const std::string bytes = file("{" + first + tensor("t", c.type, "2", before.size(), before.size() + c.data.size()) + "}", before + c.data);
            const auto file = opened(bytes);
            const TensorInfo& info = *file->find("t");
            EXPECT_EQ(info.format, formats::find(c.format));
            EXPECT_EQ(info.type_name, c.type);
            EXPECT_EQ(info.bytes, static_cast<std::uint64_t>(2 * info.format->bytes_per_block));
            EXPECT_EQ(values_of(file->read(info)), c.values);
        }
    }
}

TEST(Safetensors, UnknownTypesAreListedButNotRead) {
    const std::string bytes = file("{" + tensor("new", "F12", "3", 0, 5) + "," + tensor("scales", "F8_E8M0", "2", 5, 7) + "," + tensor("fours", "F4", "4", 7, 9) + "}",
                                   std::string(9, 'x'));
    const auto file = opened(bytes);
    ASSERT_EQ(file->tensors().size(), 3u);
    for (const TensorInfo& info : file->tensors()) {
        EXPECT_EQ(info.format, nullptr);
        EXPECT_THROW(file->read(info), core::Error);
    }
}

TEST(Safetensors, IntegersBeyond32BitsAreAnError) {
    const std::string bytes = file("{" + tensor("t", "I64", "1", 0, 8) + "}", numbers<std::int64_t>({std::int64_t{1} << 31}));
    const auto file = opened(bytes);
    EXPECT_THROW(file->read(file->tensors()[0]), core::Error);
}

TEST(Safetensors, EightBitFloatsFollowTheirDefinition) {
    for (unsigned code = 0; code < 256; ++code) {
        const std::byte byte{static_cast<unsigned char>(code)};
        const double sign = code & 0x80 ? -1 : 1;
        float value = 0;
        ASSERT_TRUE(safetensors::to_f32(*safetensors::find_data_type("F8_E4M3"), &byte, &value, 1));
        const int e4 = code >> 3 & 15, m3 = code & 7;
        if (e4 == 15 && m3 == 7) EXPECT_TRUE(std::isnan(value)) << code;
        else EXPECT_EQ(value, sign * (e4 ? std::ldexp(1 + m3 / 8.0, e4 - 7) : std::ldexp(m3 / 8.0, -6))) << code;
        EXPECT_EQ(std::signbit(value), code >= 128) << code;
        ASSERT_TRUE(safetensors::to_f32(*safetensors::find_data_type("F8_E5M2"), &byte, &value, 1));
        const int e5 = code >> 2 & 31, m2 = code & 3;
        if (e5 == 31 && m2) EXPECT_TRUE(std::isnan(value)) << code;
        else if (e5 == 31) EXPECT_EQ(value, sign * INFINITY) << code;
        else EXPECT_EQ(value, sign * (e5 ? std::ldexp(1 + m2 / 4.0, e5 - 15) : std::ldexp(m2 / 4.0, -14))) << code;
    }
}

core::Tensor counted(const formats::Format& format, const core::Shape& shape, float first) {
    core::Tensor tensor = formats::make_tensor(format, shape);
    std::vector<float> row(static_cast<std::size_t>(shape.width()));
    for (std::int64_t r = 0; r < shape.rows(); ++r) {
        for (float& x : row) x = first++;
        format.encode(row.data(), nullptr, tensor.row(r), shape.width());
    }
    return tensor;
}

TEST(Safetensors, WhatIsWrittenIsReadBack) {
    const std::string path = testing::TempDir() + "tailor_written.safetensors";
    WritePlan plan;
    plan.metadata.set_text("general.architecture", "llama");
    plan.metadata.set_integer("u64", INT64_MAX, MetaType::u64);
    plan.metadata.set_real("third", 1.0f / 3);
    plan.metadata.set_texts("words", {"a\"b\\", "", "\xFF\x01"});
    plan.metadata.set_reals("reals", {INFINITY, -0.5, 1e30});
    plan.metadata.set_boolean("flag", true);
    plan.metadata.set_integers("none", {}, MetaType::i16);
    std::vector<core::Tensor> tensors = {counted(formats::get("f32"), {3, 2}, 1), counted(formats::get("bf16"), {5}, -2), counted(formats::get("f16"), {2, 1, 2}, 7),
                                         counted(*formats::find("i32"), {}, 9)};
    const std::string names[] = {"a \"quoted\" name", "b", "c", "d"};
    for (std::size_t i = 0; i < tensors.size(); ++i) plan.tensors.push_back({names[i], tensors[i].format, tensors[i].shape});
    const FileKind& kind = kind_for(path);
    const std::uint64_t bytes = kind.write(path, plan, [&](std::size_t i) { return tensors[i]; });
    EXPECT_EQ(bytes, std::filesystem::file_size(path));
    EXPECT_EQ(bytes, kind.written_bytes(plan));
    const auto file = open(path);
    ASSERT_EQ(file->tensors().size(), tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const TensorInfo& info = file->tensors()[i];
        EXPECT_EQ(info.name, names[i]);
        EXPECT_EQ(info.format, tensors[i].format);
        EXPECT_EQ(info.shape, tensors[i].shape);
        EXPECT_EQ(values_of(file->read(info)), values_of(tensors[i]));
    }
    ASSERT_EQ(file->metadata().entries().size(), plan.metadata.entries().size());
    for (std::size_t i = 0; i < plan.metadata.entries().size(); ++i) {
        const auto& [key, value] = plan.metadata.entries()[i];
        const auto& [read_key, read] = file->metadata().entries()[i];
        EXPECT_EQ(read_key, key);
        EXPECT_TRUE(read.type == value.type && read.item_type == value.item_type) << key;
        EXPECT_TRUE(read.integer == value.integer && read.real == value.real && read.text == value.text) << key;
        EXPECT_TRUE(read.integers == value.integers && read.reals == value.reals && read.texts == value.texts) << key;
    }
    std::filesystem::remove(path);
}

TEST(Safetensors, FormatsWithoutATypeAreRefusedBeforeWriting) {
    const std::string path = testing::TempDir() + "tailor_refused.safetensors";
    WritePlan plan;
    plan.tensors.push_back({"w", &formats::get("q8_0"), {1, 32}});
    try {
        kind_for(path).write(path, plan, [](std::size_t) { return core::Tensor{}; });
        ADD_FAILURE() << "written";
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), core::ErrorKind::unsupported);
        EXPECT_NE(std::string(error.what()).find("no type for the format q8_0 of tensor 'w'"), std::string::npos) << error.what();
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace tailor::files
