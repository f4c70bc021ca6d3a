// Packed weights against their definitions: codes, scales and zero points are chosen, packed here by plain loops over bits, and
// must come back as scale * (code - zero).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <map>
#include <set>

#include "core/error.h"
#include "files/packed_weights/registry.h"
#include "formats/half.h"
#include "formats/registry.h"

namespace tailor::files::packed_weights {
namespace {

/// Stored tensors in memory.
class Store {
  public:
    template <class T>
    void add(const std::string& name, const std::string& type, std::vector<std::int64_t> dimensions, const std::vector<T>& values) {
        data_.emplace_back(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
        safetensors::StoredTensor tensor;
        tensor.name = name;
        tensor.type_name = type;
        tensor.type = safetensors::find_data_type(type);
        tensor.dimensions = std::move(dimensions);
        tensor.bytes = data_.back().size();
        ASSERT_EQ(tensor.bytes, static_cast<std::uint64_t>(tensor.elements() * tensor.type->bits / 8)) << name;
        tensors_.push_back(tensor);
        parts_[name] = {&tensors_.back(), reinterpret_cast<const std::byte*>(data_.back().data()), "test"};
    }
    void remove(const std::string& name) { parts_.erase(name); }
    Part find(const std::string& name) const {
        const auto it = parts_.find(name);
        return it == parts_.end() ? Part{} : it->second;
    }
    std::optional<Weight> unpack(const std::string& main, const core::Json& settings) const {
        return packing_of(&settings, "test")->unpack(find(main), [this](const std::string& name) { return find(name); }, settings);
    }

  private:
    std::deque<std::string> data_;
    std::deque<safetensors::StoredTensor> tensors_;
    std::map<std::string, Part> parts_;
};

/// A different small number for every index.
std::uint32_t scramble(std::int64_t i) { return static_cast<std::uint32_t>((static_cast<std::uint64_t>(i) * 2654435761u + 12345) >> 7); }

std::vector<std::uint16_t> scales(std::int64_t count, bool bf16 = false) {
    std::vector<std::uint16_t> halves;
    for (std::int64_t i = 0; i < count; ++i) {
        const float scale = 0.001f + static_cast<float>(scramble(i) % 1000) / 50000;
        halves.push_back(bf16 ? formats::f32_to_bf16(scale) : formats::f32_to_f16(scale));
    }
    return halves;
}

/// Sets bits [at, at + bits) of a stream of words.
void put(std::vector<std::uint32_t>& words, std::int64_t at, std::int64_t bits, std::uint32_t code) {
    for (std::int64_t b = 0; b < bits; ++b)
        if (code >> b & 1) words[static_cast<std::size_t>((at + b) / 32)] |= 1u << ((at + b) % 32);
}

/// Decoded values must equal `expected(row, column)` exactly: a scale of 11 bits times a small integer is exact in f32.
void expect_weight(const std::optional<Weight>& weight, const core::Shape& shape, const std::function<float(std::int64_t, std::int64_t)>& expected) {
    ASSERT_TRUE(weight.has_value());
    ASSERT_EQ(weight->shape, shape);
    std::int64_t next = 0, wrong = 0;
    weight->decode([&](std::int64_t first, std::int64_t rows, const float* values) {
        EXPECT_EQ(first, next);
        next = first + rows;
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < shape[1]; ++c)
                if (values[r * shape[1] + c] != expected(first + r, c) && ++wrong < 4)
                    ADD_FAILURE() << "[" << first + r << ", " << c << "] is " << values[r * shape[1] + c] << ", not " << expected(first + r, c);
    });
    EXPECT_EQ(next, shape[0]);
    EXPECT_EQ(wrong, 0);
}

std::string error_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const core::Error& error) {
        return error.what();
    }
    return "no error";
}

// ---- GPTQ ----

struct Gptq {
    std::int64_t bits, inputs, outputs, group;
    bool symmetric, sorted, second_version;

    std::uint32_t code(std::int64_t j, std::int64_t i) const { return scramble(j * inputs + i) & ((1u << bits) - 1); }
    std::uint32_t zero(std::int64_t g, std::int64_t j) const { return symmetric ? 1u << (bits - 1) : scramble(g * 77 + j) & ((1u << bits) - 1); }
    std::int64_t group_of(std::int64_t i) const { return sorted ? scramble(i) % groups() : i / group; }
    std::int64_t groups() const { return (inputs + group - 1) / group; }

    Store store() const {
        Store store;
        std::vector<std::uint32_t> words(static_cast<std::size_t>(inputs * bits / 32 * outputs));
        for (std::int64_t j = 0; j < outputs; ++j) {
            // A column is a stream of its own; its words then lie `outputs` apart.
            std::vector<std::uint32_t> column(static_cast<std::size_t>(inputs * bits / 32));
            for (std::int64_t i = 0; i < inputs; ++i) put(column, i * bits, bits, code(j, i));
            for (std::size_t w = 0; w < column.size(); ++w) words[w * static_cast<std::size_t>(outputs) + static_cast<std::size_t>(j)] = column[w];
        }
        std::vector<std::uint32_t> zeros(static_cast<std::size_t>(groups() * outputs * bits / 32));
        for (std::int64_t g = 0; g < groups(); ++g)
            for (std::int64_t j = 0; j < outputs; ++j)
                put(zeros, (g * outputs + j) * bits, bits, (zero(g, j) - (second_version ? 0 : 1)) & ((1u << bits) - 1));
        std::vector<std::int32_t> order;
        for (std::int64_t i = 0; i < inputs; ++i) order.push_back(static_cast<std::int32_t>(group_of(i)));
        store.add("l.qweight", "I32", {inputs * bits / 32, outputs}, words);
        store.add("l.qzeros", "I32", {groups(), outputs * bits / 32}, zeros);
        store.add("l.scales", "F16", {groups(), outputs}, scales(groups() * outputs));
        if (sorted) store.add("l.g_idx", "I32", {inputs}, order);
        return store;
    }
    core::Json settings() const {
        return core::Json().set("quant_method", "gptq").set("bits", bits).set("group_size", group).set("sym", symmetric)
            .set("checkpoint_format", second_version ? "gptq_v2" : "gptq");
    }
};

TEST(PackedWeights, Gptq) {
    for (const std::int64_t bits : {2, 3, 4, 8})
        for (const bool symmetric : {true, false})
            for (const bool sorted : {true, false})
                for (const bool second : {true, false}) {
                    SCOPED_TRACE(core::format("{} bits, symmetric {}, sorted {}, version 2 {}", bits, symmetric, sorted, second));
                    // 96 outputs: more than one block of rows; 3-bit codes then cross words.
                    const Gptq q{bits, 128, 96, 32, symmetric, sorted, second};
                    const Store store = q.store();
                    const std::vector<std::uint16_t> scale = scales(q.groups() * q.outputs);
                    const std::optional<Weight> weight = store.unpack("l.qweight", q.settings());
                    expect_weight(weight, {96, 128}, [&](std::int64_t j, std::int64_t i) {
                        const std::int64_t g = q.group_of(i);
                        const auto distance = static_cast<float>(static_cast<int>(q.code(j, i)) - static_cast<int>(q.zero(g, j)));
                        return formats::f16_to_f32(scale[static_cast<std::size_t>(g * q.outputs + j)]) * distance;
                    });
                    EXPECT_EQ(weight->name, "l.weight");
                    EXPECT_EQ(weight->format, formats::find("f16"));
                    EXPECT_EQ(weight->parts.size(), sorted ? 4u : 3u);
                }
}

TEST(PackedWeights, GptqWithOneGroupAndWithoutZeroPoints) {
    const Gptq q{4, 64, 32, 64, true, false, false};
    Store store = q.store();
    store.remove("l.qzeros");
    const core::Json settings = core::Json().set("quant_method", "gptq").set("bits", 4).set("group_size", -1);
    const std::vector<std::uint16_t> scale = scales(32);
    expect_weight(store.unpack("l.qweight", settings), {32, 64}, [&](std::int64_t j, std::int64_t i) {
        return formats::f16_to_f32(scale[static_cast<std::size_t>(j)]) * static_cast<float>(static_cast<int>(q.code(j, i)) - 8);
    });
}

TEST(PackedWeights, GptqErrorsNameTheTensor) {
    const Gptq q{4, 64, 32, 32, true, true, false};
    const auto error = [&](const std::function<void(Store&)>& damage, core::Json settings) {
        Store store = q.store();
        damage(store);
        return error_of([&] { store.unpack("l.qweight", settings)->decode([](std::int64_t, std::int64_t, const float*) {}); });
    };
    EXPECT_NE(error([](Store& s) { s.remove("l.scales"); }, q.settings()).find("test: tensor 'l.qweight' has no scales"), std::string::npos);
    EXPECT_NE(error([](Store& s) { s.add("l.scales", "F16", {2, 31}, std::vector<std::uint16_t>(62)); }, q.settings()).find("tensor 'l.scales' is F16 [2, 31]"), std::string::npos);
    EXPECT_NE(error([](Store& s) { s.add("l.qzeros", "I32", {1, 4}, std::vector<std::uint32_t>(4)); }, q.settings()).find("'l.qzeros' is I32 [1, 4]"), std::string::npos);
    EXPECT_NE(error([](Store& s) { s.add("l.g_idx", "I32", {64}, std::vector<std::int32_t>(64, 2)); }, q.settings()).find("'l.g_idx' holds 2; it must lie between 0 and 1"), std::string::npos);
    EXPECT_NE(error([](Store& s) { s.remove("l.g_idx"); }, q.settings().set("bits", 5)).find("5 bits; 2, 3, 4 and 8 are supported"), std::string::npos);
    EXPECT_NE(error([](Store& s) { s.remove("l.g_idx"); }, q.settings().set("group_size", 16)).find("in groups of 16, but scales for 2 groups"), std::string::npos);
    EXPECT_NE(error([](Store&) {}, q.settings().set("checkpoint_format", "marlin")).find("checkpoint_format 'marlin'"), std::string::npos);
}

// ---- AWQ ----

TEST(PackedWeights, Awq) {
    constexpr std::int64_t inputs = 64, outputs = 80, group = 32, groups = 2;
    constexpr int order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    const auto code = [](std::int64_t i, std::int64_t j) { return scramble(i * outputs + j) & 15; };
    const auto zero = [](std::int64_t g, std::int64_t j) { return scramble(g * 999 + j) & 15; };
    const auto packed = [&](std::int64_t rows, const auto& value) {
        std::vector<std::uint32_t> words;
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t w = 0; w < outputs / 8; ++w) {
                std::uint32_t word = 0;
                for (int n = 0; n < 8; ++n) word |= value(r, w * 8 + order[n]) << (4 * n);
                words.push_back(word);
            }
        return words;
    };
    Store store;
    store.add("l.qweight", "I32", {inputs, outputs / 8}, packed(inputs, code));
    store.add("l.qzeros", "I32", {groups, outputs / 8}, packed(groups, zero));
    store.add("l.scales", "F16", {groups, outputs}, scales(groups * outputs));
    const core::Json settings = core::Json().set("quant_method", "awq").set("bits", 4).set("group_size", group).set("version", "gemm");
    const std::vector<std::uint16_t> scale = scales(groups * outputs);
    const auto expected = [&](bool with_zero) {
        return [&, with_zero](std::int64_t j, std::int64_t i) {
            const std::int64_t g = i / group;
            const int distance = static_cast<int>(code(i, j)) - (with_zero ? static_cast<int>(zero(g, j)) : 8);
            return formats::f16_to_f32(scale[static_cast<std::size_t>(g * outputs + j)]) * static_cast<float>(distance);
        };
    };
    expect_weight(store.unpack("l.qweight", settings), {outputs, inputs}, expected(true));
    store.remove("l.qzeros");
    expect_weight(store.unpack("l.qweight", settings), {outputs, inputs}, expected(false));
    EXPECT_NE(error_of([&] { core::Json other = settings; store.unpack("l.qweight", other.set("version", "gemv")); }).find("version 'gemv'"), std::string::npos);
    EXPECT_NE(error_of([&] { core::Json other = settings; store.unpack("l.qweight", other.set("group_size", 16)); }).find("'l.scales' is F16 [2, 80]"), std::string::npos);
}

// ---- compressed-tensors ----

core::Json compressed(std::int64_t bits) {
    core::Json weights = core::Json().set("num_bits", bits).set("type", "int");
    return core::Json().set("quant_method", "compressed-tensors").set("config_groups", core::Json().set("group_0", core::Json().set("weights", std::move(weights))));
}

TEST(PackedWeights, CompressedTensorsPackedIntegers) {
    for (const std::int64_t bits : {2, 3, 4, 6, 8})
        for (const int zeros : {0, 1, 2})  // none, packed along columns, plain
            for (const bool sorted : {false, true}) {
                SCOPED_TRACE(core::format("{} bits, zero points {}, sorted {}", bits, zeros, sorted));
                // 70 rows and 36 columns fill no word exactly at some widths.
                constexpr std::int64_t rows = 70, columns = 36, groups = 3;
                const std::int64_t per_word = 32 / bits, words = (columns + per_word - 1) / per_word, middle = 1 << (bits - 1);
                const auto code = [&](std::int64_t j, std::int64_t i) { return static_cast<std::int64_t>(scramble(j * columns + i) & (2 * middle - 1)) - middle; };
                const auto zero = [&](std::int64_t j, std::int64_t g) { return static_cast<std::int64_t>(scramble(j * 7 + g) & (2 * middle - 1)) - middle; };
                const auto group_of = [&](std::int64_t i) { return sorted ? static_cast<std::int64_t>(scramble(i) % groups) : i / (columns / groups); };
                std::vector<std::uint32_t> packed(static_cast<std::size_t>(rows * words)), packed_zeros(static_cast<std::size_t>((rows + per_word - 1) / per_word * groups));
                std::vector<std::int8_t> plain_zeros;
                for (std::int64_t j = 0; j < rows; ++j) {
                    for (std::int64_t i = 0; i < columns; ++i)
                        packed[static_cast<std::size_t>(j * words + i / per_word)] |= static_cast<std::uint32_t>(code(j, i) + middle) << (i % per_word * bits);
                    for (std::int64_t g = 0; g < groups; ++g) {
                        packed_zeros[static_cast<std::size_t>(j / per_word * groups + g)] |= static_cast<std::uint32_t>(zero(j, g) + middle) << (j % per_word * bits);
                        plain_zeros.push_back(static_cast<std::int8_t>(zero(j, g)));
                    }
                }
                Store store;
                store.add("l.weight_packed", "I32", {rows, words}, packed);
                store.add("l.weight_scale", "BF16", {rows, groups}, scales(rows * groups, true));
                store.add("l.weight_shape", "I64", {2}, std::vector<std::int64_t>{rows, columns});
                if (zeros == 1) store.add("l.weight_zero_point", "I32", {(rows + per_word - 1) / per_word, groups}, packed_zeros);
                if (zeros == 2) store.add("l.weight_zero_point", "I8", {rows, groups}, plain_zeros);
                std::vector<std::int32_t> order;
                for (std::int64_t i = 0; i < columns; ++i) order.push_back(sorted ? static_cast<std::int32_t>(group_of(i)) : -1);
                store.add("l.weight_g_idx", "I32", {columns}, order);
                const std::optional<Weight> weight = store.unpack("l.weight_packed", compressed(bits));
                const std::vector<std::uint16_t> scale = scales(rows * groups, true);
                expect_weight(weight, {rows, columns}, [&](std::int64_t j, std::int64_t i) {
                    const std::int64_t g = group_of(i);
                    return formats::bf16_to_f32(scale[static_cast<std::size_t>(j * groups + g)]) * static_cast<float>(code(j, i) - (zeros ? zero(j, g) : 0));
                });
                EXPECT_EQ(weight->format, formats::find("bf16"));
            }
}

TEST(PackedWeights, CompressedTensorsPlainCodesInEveryBlock) {
    constexpr std::int64_t rows = 66, columns = 40;
    std::vector<std::int8_t> codes;
    for (std::int64_t i = 0; i < rows * columns; ++i) codes.push_back(static_cast<std::int8_t>(scramble(i)));
    struct Block {
        std::vector<std::int64_t> shape;
        std::int64_t rows, columns;
    };
    const Block blocks[] = {{{1}, rows, columns}, {{rows, 1}, 1, columns}, {{rows}, 1, columns}, {{rows, 4}, 1, 10}, {{3, 2}, 32, 32}};
    for (const Block& block : blocks) {
        SCOPED_TRACE(core::format("blocks of {} x {}", block.rows, block.columns));
        Store store;
        const std::int64_t across = (columns + block.columns - 1) / block.columns, count = (rows + block.rows - 1) / block.rows * across;
        store.add("l.weight", "I8", {rows, columns}, codes);
        store.add("l.weight_scale", "F16", block.shape, scales(count));
        core::Json settings = core::Json::parse(R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"block_structure": [32, 32]}}}})");
        const std::vector<std::uint16_t> scale = scales(count);
        expect_weight(store.unpack("l.weight", settings), {rows, columns}, [&](std::int64_t j, std::int64_t i) {
            const auto at = static_cast<std::size_t>(j / block.rows * across + i / block.columns);
            return formats::f16_to_f32(scale[at]) * static_cast<float>(codes[static_cast<std::size_t>(j * columns + i)]);
        });
    }
}

TEST(PackedWeights, CompressedTensorsNvfp4) {
    constexpr std::int64_t rows = 3, columns = 32;
    std::vector<std::uint8_t> codes, group_scales;
    for (std::int64_t i = 0; i < rows * columns / 2; ++i) codes.push_back(static_cast<std::uint8_t>(scramble(i)));
    for (std::int64_t i = 0; i < rows * columns / 16; ++i) group_scales.push_back(static_cast<std::uint8_t>(0x30 + i));
    Store store;
    store.add("l.weight_packed", "U8", {rows, columns / 2}, codes);
    store.add("l.weight_scale", "F8_E4M3", {rows, columns / 16}, group_scales);
    store.add("l.weight_global_scale", "F32", {1}, std::vector<float>{8});
    expect_weight(store.unpack("l.weight_packed", compressed(4)), {rows, columns}, [&](std::int64_t j, std::int64_t i) {
        const std::int64_t at = j * columns + i;
        const int code = codes[static_cast<std::size_t>(at / 2)] >> (at % 2 * 4) & 15, exponent = code >> 1 & 3, fraction = code & 1;
        const double magnitude = exponent ? std::ldexp(1 + fraction / 2.0, exponent - 1) : fraction / 2.0;
        const int scale = group_scales[static_cast<std::size_t>(at / 16)];
        return static_cast<float>((code & 8 ? -1 : 1) * magnitude * std::ldexp(1 + (scale & 7) / 8.0, (scale >> 3) - 7) / 8);
    });
}

// ---- 8-bit floats ----

TEST(PackedWeights, Fp8Blocks) {
    constexpr std::int64_t rows = 70, columns = 50, block = 32;
    std::vector<std::uint8_t> codes;
    for (std::int64_t i = 0; i < rows * columns; ++i) codes.push_back(static_cast<std::uint8_t>(scramble(i) % 0x7F));
    std::vector<float> factors = {0.5f, 1.25f, 2, 3, 0.0625f, 7};
    Store store;
    store.add("l.weight", "F8_E4M3", {rows, columns}, codes);
    store.add("l.weight_scale_inv", "F32", {3, 2}, factors);
    const core::Json settings = core::Json::parse(R"({"quant_method": "fp8", "weight_block_size": [32, 32]})");
    const auto value = [&](std::int64_t j, std::int64_t i) {
        const int code = codes[static_cast<std::size_t>(j * columns + i)], exponent = code >> 3, fraction = code & 7;
        return static_cast<float>(exponent ? std::ldexp(1 + fraction / 8.0, exponent - 7) : std::ldexp(fraction / 8.0, -6));
    };
    expect_weight(store.unpack("l.weight", settings), {rows, columns}, [&](std::int64_t j, std::int64_t i) {
        return factors[static_cast<std::size_t>(j / block * 2 + i / block)] * value(j, i);
    });
    store.remove("l.weight_scale_inv");
    EXPECT_FALSE(store.unpack("l.weight", settings)) << "without scales it is a plain tensor";
    store.add("l.weight_scale", "F32", {}, std::vector<float>{0.25f});
    expect_weight(store.unpack("l.weight", core::Json().set("quant_method", "fp8")), {rows, columns}, [&](std::int64_t j, std::int64_t i) { return 0.25f * value(j, i); });
    EXPECT_NE(error_of([&] { store.unpack("l.weight", settings); }).find("'l.weight_scale' has 1 numbers; 'l.weight' [70, 50] in blocks of 32 x 32 needs 6"), std::string::npos);
}

TEST(PackedWeights, Methods) {
    std::set<std::string_view> names;
    for (const Packing* packing : all()) {
        EXPECT_TRUE(names.insert(packing->name).second) << packing->name;
        EXPECT_TRUE(packing->unpack && !packing->doc.empty());
    }
    EXPECT_EQ(packing_of(nullptr, "x"), nullptr);
    const core::Json other = core::Json().set("quant_method", "hqq");
    EXPECT_NE(error_of([&] { packing_of(&other, "folder/config.json"); }).find("folder/config.json: quantization_config has the quant_method 'hqq'"), std::string::npos);
}

}  // namespace
}  // namespace tailor::files::packed_weights
