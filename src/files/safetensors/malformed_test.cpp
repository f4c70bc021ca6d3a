// safetensors files that are wrong: each kind of damage is named in the message, and no damage crashes.
#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/registry.h"
#include "files/safetensors/test_bytes.h"

namespace tailor::files {
namespace {

using namespace safetensors::test_bytes;
using core::ErrorKind;

const FileKind& kind() { return kind_for("bad.safetensors"); }

void expect_error(const std::string& bytes, const std::string& message, ErrorKind wanted = ErrorKind::format) {
    // A copy of exactly this size, so that the address sanitizer sees a read behind it.
    const std::vector<std::byte> copy(reinterpret_cast<const std::byte*>(bytes.data()), reinterpret_cast<const std::byte*>(bytes.data()) + bytes.size());
    try {
        kind().open_memory(copy, "bad.safetensors");
        ADD_FAILURE() << "accepted; expected: " << message;
    } catch (const core::Error& error) {
        const std::string text = error.what();
        EXPECT_EQ(text.rfind("bad.safetensors: ", 0), 0u) << "the path is missing: " << text;
        EXPECT_NE(text.find(message), std::string::npos) << text << "\n  expected: " << message;
        EXPECT_EQ(error.kind(), wanted) << text;
    }
}

std::string length(std::uint64_t bytes) { return numbers<std::uint64_t>({bytes}); }
std::string one(const std::string& member, std::size_t data_bytes = 0) { return file("{" + member + "}", std::string(data_bytes, 'x')); }

TEST(SafetensorsMalformed, Header) {
    expect_error("", "it has 0 bytes");
    expect_error("1234567", "it has 7 bytes");
    expect_error(length(5) + "{}", "the header should have 5 bytes, but only 2 follow");
    expect_error(length(UINT64_MAX) + "{}", "the header should have 18446744073709551615 bytes; the most is 100000000");
    expect_error(length(100'000'001) + "{}", "the most is 100000000");
    expect_error(length(0), "does not begin with '{'");
    expect_error(file("[]"), "does not begin with '{'");
    expect_error(file("{"), "the header ends where '\"' should be");
    expect_error(file("{}x"), "byte 2 of the header is 'x', where the end of the header should be");
    expect_error(file("{\"\xFF\":1}"), "the header is not UTF-8");
    expect_error(file("{\"a"), "the header ends inside a string");
    expect_error(file("{\"a\":1}"), "byte 5 of the header is '1', where '{' should be");
    expect_error(file("{\"a\\x\":1}"), "where one of \"\\/bfnrtu should be");
    expect_error(file("{\"a\\u12g4\":1}"), "where a hexadecimal digit should be");
    expect_error(file("{\"\\ud800\":1}"), "half a surrogate pair");
    expect_error(file("{\"a\nb\":1}"), "holds a control character");
    expect_error(file("{\"__metadata__\":{\"a\":1}}"), "byte 21 of the header is '1', where '\"' should be");
    expect_error(file("{\"__metadata__\":{},\"__metadata__\":{}}"), "two members __metadata__");
}

TEST(SafetensorsMalformed, Tensors) {
    const std::string good = tensor("t", "F32", "2", 0, 8);
    const std::string whole = one(good, 8);
    EXPECT_NO_THROW(kind().open_memory(std::as_bytes(std::span(whole)), "good"));
    expect_error(one(good, 7), "tensor 't' needs 8 bytes at offset 0, but the file holds 7 bytes of data; it may be incomplete");
    expect_error(one(good, 9), "1 bytes after the last tensor belong to no tensor");
    expect_error(one(good + "," + good, 8), "tensor 't' occurs twice");
    expect_error(one(tensor("", "F32", "2", 0, 8), 8), "a tensor has an empty name");
    expect_error(one(tensor("t", "F32", "3", 0, 8), 8), "tensor 't' has 3 numbers of type F32, 32 bits each, but 8 bytes of data");
    expect_error(one(tensor("t", "F4", "3", 0, 1), 1), "tensor 't' has 3 numbers of type F4, 4 bits each");
    expect_error(one(tensor("t", "F32", "2", 8, 0), 8), "the data of tensor 't' ends at 0, before it begins at 8");
    expect_error(one(tensor("t", "F32", "2", 4, 12), 12), "4 bytes before tensor 't' belong to no tensor");
    expect_error(one(tensor("a", "U8", "4", 0, 4) + "," + tensor("b", "U8", "4", 2, 6), 6), "the data of tensors 'a' and 'b' overlap at offset 2");
    expect_error(one(tensor("a", "U8", "4", 0, 4) + "," + tensor("b", "U8", "4", 0, 4), 4), "overlap at offset 0");
    expect_error(one(tensor("t", "F32", "4294967296,4294967296", 0, 8), 8), "tensor 't' has more than 2^63 bits");
    expect_error(one(tensor("t", "F32", "9223372036854775808", 0, 8), 8), "is above 2^63 - 1");
    expect_error(one(tensor("t", "F32", "-1", 0, 8), 8), "is '-', where a whole number should be");
    expect_error(one(tensor("t", "F32", "1.5", 0, 8), 8), "is '.', where");
    expect_error(one("\"t\":{\"dtype\":\"F32\",\"shape\":[2]}", 8), "tensor 't' lacks its data_offsets");
    expect_error(one("\"t\":{\"shape\":[2],\"data_offsets\":[0,8]}", 8), "tensor 't' lacks its dtype");
    expect_error(one("\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}", 8), "tensor 't' lacks its shape");
    expect_error(one("\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}", 8), "tensor 't' has a second field 'dtype'");
    expect_error(one("\"t\":{\"stride\":[2]}", 8), "tensor 't' has an unknown field 'stride'");
    expect_error(one("\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}", 8), "where ']' should be");
    expect_error(one(tensor("t", "U8", "1,1,1,1,1", 0, 1), 1), "tensor 't' has 5 dimensions; at most 4 are supported", ErrorKind::unsupported);
    expect_error(one("\"__metadata__\":{\"tailor.metadata\":\"{\\\"k\\\":[\\\"u8\\\",256]}\"}"), "key 'k': 256 is no u8");
    expect_error(one("\"__metadata__\":{\"tailor.metadata\":\"{\\\"k\\\":[\\\"u9\\\",2]}\"}"), "key 'k': there is no value type 'u9'");
}

TEST(SafetensorsMalformed, NothingCrashesWhereverAFileEndsOrChanges) {
    const std::string good = file("{\"__metadata__\":{\"a\":\"\\u00e9\"}," + tensor("t", "F32", "2,1", 0, 8) + "," + tensor("u", "I64", "", 8, 16) + "}", std::string(16, 'x'));
    for (std::size_t cut = 0; cut < good.size(); ++cut) {
        const std::vector<char> part(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(cut));
        EXPECT_THROW(kind().open_memory(std::as_bytes(std::span(part)), "cut"), core::Error) << cut;
    }
    for (std::size_t at = 0; at < good.size() - 16; ++at)
        for (const char c : {'\0', '"', '9', '}', ']', ',', '\\', '\x7F', '\xFF'}) {
            std::string changed = good;
            changed[at] = c;
            try {
                const auto file = kind().open_memory(std::as_bytes(std::span(changed)), "changed");
                for (const TensorInfo& info : file->tensors())
                    if (info.format) file->read(info);
            } catch (const core::Error&) {
            }
        }
}

// The fuzzer's seeds say by their names what must become of them.
TEST(SafetensorsMalformed, SeedsOfTheFuzzer) {
    const std::filesystem::path folder = std::filesystem::path(TAILOR_SOURCE_DIR) / "fuzz" / "corpus" / "safetensors";
    int valid = 0, bad = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string(), bytes = core::read_text_file(entry.path().string());
        SCOPED_TRACE(name);
        const auto open = [&] { kind().open_memory(std::as_bytes(std::span(bytes)), name); };
        if (name.starts_with("valid-")) {
            ++valid;
            EXPECT_NO_THROW(open());
        } else {
            EXPECT_TRUE(name.starts_with("bad-")) << "a seed is named valid-* or bad-*";
            ++bad;
            EXPECT_THROW(open(), core::Error);
        }
    }
    EXPECT_GE(valid, 5);
    EXPECT_GE(bad, 10);
}

}  // namespace
}  // namespace tailor::files
