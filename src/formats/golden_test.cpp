// Reference data made elsewhere: packed rows, what they decode to, and the values they were made from. Decoding must give
// the same bits at every level, and our encoders may not do worse than the bytes of the reference.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/json.h"
#include "formats/registry.h"
#include "formats/test_rows.h"

namespace tailor::formats {
namespace {

const std::filesystem::path folder = std::filesystem::path(TAILOR_SOURCE_DIR) / "../shared/golden/dequant";

std::string content(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<float> floats(const std::string& bytes) {
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

struct Golden {
    std::string name;
    const Format* format;
    std::int64_t rows, width;
    std::string blocks;
    std::vector<float> decoded;
    std::int64_t block_size, type_size;
};

/// Of the types in the index those that are registered here.
std::vector<Golden> load() {
    std::vector<Golden> result;
    const core::Json index = core::Json::parse(content(folder / "index.json"), "index.json");
    for (const core::Json& type : index.at("types").items()) {
        const Format* const format = find_gguf_type(type.at("id").integer());
        if (!format) continue;
        const std::string name = type.at("name").string();
        result.push_back({name, format, index.at("rows").integer(), index.at("cols").integer(), content(folder / (name + ".bin")),
                          floats(content(folder / (name + ".f32"))), type.at("block_size").integer(),
                          type.at("type_size").integer()});
    }
    return result;
}

TEST(Golden, decodes_to_the_same_bits) {
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no reference data at " << folder;
    const auto types = load();
    EXPECT_GE(types.size(), 27u);
    for (const Golden& golden : types) {
        const Format& format = *golden.format;
        ASSERT_EQ(format.values_per_block, golden.block_size) << golden.name;
        ASSERT_EQ(format.bytes_per_block, golden.type_size) << golden.name;
        ASSERT_EQ(golden.blocks.size(), static_cast<std::size_t>(golden.rows * format.row_bytes(golden.width))) << golden.name;
        for (const cpu::Isa level : cpu::available_isas()) {
            std::vector<float> decoded(golden.decoded.size());
            format.decode.at(level)(reinterpret_cast<const std::byte*>(golden.blocks.data()), decoded.data(),
                                    static_cast<std::int64_t>(decoded.size()));
            EXPECT_EQ(std::memcmp(decoded.data(), golden.decoded.data(), decoded.size() * sizeof(float)), 0)
                << golden.name << " at " << cpu::name(level);
        }
    }
}

TEST(Golden, encoders_do_no_worse) {
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no reference data at " << folder;
    const std::vector<float> source = floats(content(folder / "source.f32"));
    for (const Golden& golden : load()) {
        const Format& format = *golden.format;
        std::vector<float> decoded(source.size());
        std::vector<std::byte> blocks(golden.blocks.size());
        for (std::int64_t row = 0; row < golden.rows; ++row) {
            std::byte* const at = blocks.data() + row * format.row_bytes(golden.width);
            format.encode(source.data() + row * golden.width, nullptr, at, golden.width);
            format.decode.at(cpu::highest_isa())(at, decoded.data() + row * golden.width, golden.width);
        }
        EXPECT_LE(test::relative_error(source, decoded), test::relative_error(source, golden.decoded)) << golden.name;
    }
}

}  // namespace
}  // namespace tailor::formats
