// GGUF files that are wrong: each kind of damage is named in the message, and no damage crashes.
//
// The bytes lie directly before a page that may not be touched, so reading one byte too far ends the test even without
// a sanitizer.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/gguf/test_bytes.h"
#include "files/registry.h"
#include "formats/registry.h"

namespace tailor::files {
namespace {

using namespace gguf::test_bytes;
using core::ErrorKind;

/// Room for a copy of some bytes whose end is the end of the readable memory.
class Guarded {
  public:
    explicit Guarded(std::size_t most) {
        const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        room_ = (most + page - 1) / page * page;
        total_ = room_ + page;
        void* const memory = ::mmap(nullptr, total_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        start_ = static_cast<std::byte*>(memory);
        ::mprotect(start_ + room_, page, PROT_NONE);
    }
    ~Guarded() { ::munmap(start_, total_); }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;

    std::span<const std::byte> hold(std::string_view bytes) {
        std::byte* const at = start_ + room_ - bytes.size();
        if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
        return {at, bytes.size()};
    }

  private:
    std::byte* start_;
    std::size_t room_, total_;
};

struct Damage {
    std::string bytes;
    ErrorKind kind;
    std::string message;  ///< the whole text after "bad.gguf: " or a part of it
};

void expect_error(const Damage& damage) {
    Guarded memory(damage.bytes.size());
    try {
        kind_for("bad.gguf").open_memory(memory.hold(damage.bytes), "bad.gguf");
        ADD_FAILURE() << "accepted; expected: " << damage.message;
    } catch (const core::Error& error) {
        const std::string text = error.what();
        EXPECT_EQ(text.rfind("bad.gguf: ", 0), 0u) << "the path is missing: " << text;
        EXPECT_NE(text.find(damage.message), std::string::npos) << text << "\n  expected: " << damage.message;
        EXPECT_EQ(error.kind(), damage.kind) << text;
    }
}

std::string one_key(const std::string& piece) { return header(0, 1) + piece; }
std::string one_tensor(const std::string& piece, std::size_t data_bytes = 64) {
    return with_data(header(1, 0) + piece, std::string(data_bytes, 'x'));
}

constexpr std::uint64_t huge = std::uint64_t{1} << 63;

TEST(GgufMalformed, Header) {
    expect_error({"", ErrorKind::format, "the file ends inside the magic number: 4 bytes expected at byte 0, 0 left"});
    expect_error({"GGUF\x03", ErrorKind::format, "the file ends inside the version"});
    expect_error({"ggml" + header(0, 0).substr(4), ErrorKind::format, "not a GGUF file"});
    expect_error({header(0, 0, 1), ErrorKind::unsupported, "GGUF version 1; this build reads versions 2 and 3"});
    expect_error({header(0, 0, 4), ErrorKind::unsupported, "GGUF version 4"});
    expect_error({header(0, 0, 0), ErrorKind::unsupported, "GGUF version 0"});
    expect_error({header(0, 0, 0x03000000), ErrorKind::unsupported, "a big-endian GGUF file; convert it to little-endian first"});
    expect_error({"FUGG" + header(0, 0).substr(4), ErrorKind::unsupported, "a big-endian GGUF file"});
    expect_error({header(huge, 0), ErrorKind::format,
                  "the number of tensors cannot be 9223372036854775808: only 0 bytes of the file are left"});
    expect_error({header(0, UINT64_MAX), ErrorKind::format, "the number of keys cannot be 18446744073709551615"});
    expect_error({header(0, 2) + key("a", 4, u32(1)), ErrorKind::format, "the number of keys cannot be 2"});
}

TEST(GgufMalformed, Keys) {
    expect_error({one_key(u64(huge) + std::string(20, 'a')), ErrorKind::format,
                  "the file ends inside the name of key 0: 9223372036854775808 bytes"});
    expect_error({one_key(text("") + u32(0) + "12"), ErrorKind::format,
                  "the name of key 0 at byte 24 has 0 bytes; it must have 1 to 65535"});
    expect_error(
        {one_key(key(std::string(65536, 'k'), 0, "1")), ErrorKind::format, "the name of key 0 at byte 24 has 65536 bytes"});
    expect_error({one_key(key("\xC0\xAF", 0, "1")), ErrorKind::format, "the name of key 0 at byte 24 is not UTF-8"});
    expect_error({header(0, 2) + key("a", 0, "1") + key("a", 0, "2"), ErrorKind::format, "key 'a' occurs twice"});
    expect_error({one_key(key("some.key", 13, "12345678")), ErrorKind::format,
                  "key 'some.key' has value type 13; GGUF has types 0 to 12"});
    expect_error({one_key(key("some.key", 10, "1234")), ErrorKind::format,
                  "the file ends inside key 'some.key': 8 bytes expected at byte 44, 4 left"});
    expect_error(
        {one_key(key("some.key", 7, "\x02")), ErrorKind::format, "key 'some.key' holds the boolean 2; it must be 0 or 1"});
    expect_error({one_key(key("some.key", 10, u64(huge))), ErrorKind::format,
                  "key 'some.key' holds 9223372036854775808; the largest integer"});
    expect_error({one_key(key("some.key", 8, u64(UINT64_MAX) + "abc")), ErrorKind::format,
                  "the file ends inside key 'some.key': 18446744073709551615"});
    const std::string key_of_200 = one_key(key(std::string(200, 'k'), 13, "12345678"));
    expect_error({key_of_200, ErrorKind::format, "key '" + std::string(100, 'k') + "...' (200 bytes) has value type 13"});
}

TEST(GgufMalformed, Arrays) {
    const auto damaged = [](const std::string& value) { return one_key(key("list", 9, value)); };
    expect_error({damaged(array(9, 1, array(4, 1, u32(1)))), ErrorKind::unsupported,
                  "key 'list' is an array of arrays, which is not supported"});
    expect_error({damaged(array(99, 1, u32(1))), ErrorKind::format, "key 'list' has value type 99"});
    expect_error(
        {damaged(array(4, 3, u32(1))), ErrorKind::format, "the number of items of key 'list' cannot be 3: only 4 bytes"});
    expect_error(
        {damaged(array(0, huge, "1")), ErrorKind::format, "the number of items of key 'list' cannot be 9223372036854775808"});
    expect_error({damaged(array(8, huge / 8, "12345678")), ErrorKind::format, "the number of items of key 'list' cannot be"});
    expect_error(
        {damaged(array(8, 2, text("a") + u64(100))), ErrorKind::format, "the file ends inside key 'list': 100 bytes expected"});
    expect_error({damaged(array(7, 2, std::string("\x01\x03"))), ErrorKind::format, "key 'list' holds the boolean 3"});
    expect_error({damaged(array(10, 1, u64(UINT64_MAX))), ErrorKind::format, "key 'list' holds 18446744073709551615"});
}

TEST(GgufMalformed, Alignment) {
    const auto damaged = [](std::uint32_t type, const std::string& value) {
        return one_key(key("general.alignment", type, value));
    };
    expect_error(
        {damaged(4, u32(0)), ErrorKind::format, "key 'general.alignment' is 0; it must be a power of two from 1 to 65536"});
    expect_error({damaged(4, u32(48)), ErrorKind::format, "key 'general.alignment' is 48"});
    expect_error({damaged(4, u32(131072)), ErrorKind::format, "key 'general.alignment' is 131072"});
    expect_error({damaged(11, u64(huge)), ErrorKind::format, "key 'general.alignment' is -9223372036854775808"});
    expect_error({damaged(8, text("32")), ErrorKind::format, "key 'general.alignment' has type string; it must be an integer"});
}

TEST(GgufMalformed, Tensors) {
    expect_error({one_tensor(tensor("", {4}, 0, 0)), ErrorKind::format, "the name of tensor 0 at byte 24 has 0 bytes"});
    expect_error({one_tensor(tensor("\xFF", {4}, 0, 0)), ErrorKind::format, "the name of tensor 0 at byte 24 is not UTF-8"});
    expect_error({with_data(header(2, 0) + tensor("t", {4}, 0, 0) + tensor("t", {4}, 0, 32), std::string(64, 'x')),
                  ErrorKind::format, "tensor 't' occurs twice"});
    expect_error({one_tensor(tensor("t", {1, 1, 1, 1, 1}, 0, 0)), ErrorKind::unsupported,
                  "tensor 't' has 5 dimensions; at most 4 are supported"});
    expect_error({one_tensor(text("t") + u32(UINT32_MAX)), ErrorKind::unsupported, "tensor 't' has 4294967295 dimensions"});
    expect_error({one_tensor(tensor("t", {4, 0}, 0, 0)), ErrorKind::format, "dimension 1 of tensor 't' is zero"});
    expect_error({one_tensor(tensor("t", {huge}, 0, 0)), ErrorKind::format,
                  "the dimensions of tensor 't' multiply to more than 2^63 - 1"});
    expect_error({one_tensor(tensor("t", {1ull << 32, 1ull << 31}, 0, 0)), ErrorKind::format,
                  "the dimensions of tensor 't' multiply to more"});
    expect_error({one_tensor(tensor("t", {1ull << 31, 1ull << 31}, 0, 0)), ErrorKind::format,
                  "tensor 't' of shape [2147483648, 2147483648] would have more than 2^63 - 1 bytes"});
    expect_error(
        {header(1, 0) + tensor("tt", {4, 4}, 0, 0).substr(0, 26), ErrorKind::format, "the file ends inside tensor 'tt'"});
}

TEST(GgufMalformed, TensorData) {
    expect_error({one_tensor(tensor("t", {4}, 0, 8)), ErrorKind::format,
                  "the data of tensor 't' is at offset 8, which is not a multiple of the alignment 32"});
    expect_error({one_tensor(tensor("t", {17}, 0, 0)), ErrorKind::format,
                  "tensor 't' needs 68 bytes at offset 0, but the file holds 64 bytes of data; it may be incomplete"});
    expect_error({one_tensor(tensor("t", {1}, 0, 64)), ErrorKind::format,
                  "tensor 't' needs 4 bytes at offset 64, but the file holds 64 bytes"});
    expect_error(
        {one_tensor(tensor("t", {1}, 0, huge)), ErrorKind::format, "tensor 't' needs 4 bytes at offset 9223372036854775808"});
    expect_error({one_tensor(tensor("t", {1}, 77, UINT64_MAX - 31)), ErrorKind::format, "tensor 't' needs 1 bytes at offset"});
    expect_error({header(1, 0) + tensor("t", {1}, 77, 0), ErrorKind::format,
                  "tensor 't' needs 1 bytes at offset 0, but the file holds 0 bytes"});
    expect_error({header(1, 0) + tensor("t", {1}, 0, 0), ErrorKind::format, "but the file holds 0 bytes of data"});
    expect_error({with_data(header(2, 0) + tensor("late", {9}, 0, 32) + tensor("early", {9}, 0, 0), std::string(128, 'x')),
                  ErrorKind::format, "the data of tensors 'early' and 'late' overlap at byte"});
    expect_error({with_data(header(2, 0) + tensor("a", {1}, 77, 0) + tensor("b", {1}, 0, 0), std::string(32, 'x')),
                  ErrorKind::format, "the data of tensors 'a' and 'b' overlap"});
}

TEST(GgufMalformed, RowsThatAreNoWholeBlocks) {
    for (const formats::Format* format : formats::all()) {
        if (format->gguf_type < 0 || format->values_per_block == 1) continue;
        const auto width = static_cast<std::uint64_t>(format->values_per_block) + 1;
        expect_error({one_tensor(tensor("t", {width}, static_cast<std::uint32_t>(format->gguf_type), 0), 4096), ErrorKind::format,
                      core::format("tensor 't' has rows of {} values, but {} stores blocks of {}", width, format->name,
                                   format->values_per_block)});
    }
}

/// Opens, touches everything there is to touch, and says whether the file was accepted. Anything but core::Error escapes.
bool exercise(std::span<const std::byte> bytes) {
    try {
        const auto file = kind_for("x.gguf").open_memory(bytes, "x.gguf");
        for (const auto& [key, value] : file->metadata().entries()) value.json(4);
        for (const TensorInfo& info : file->tensors()) {
            if (!info.format) continue;
            const core::Tensor tensor = file->read(info);
            volatile int sink = static_cast<int>(tensor.data[0]) + static_cast<int>(tensor.data[info.bytes - 1]);
            (void)sink;
        }
        return true;
    } catch (const core::Error&) {
        return false;
    }
}

TEST(GgufMalformed, TwentyThousandMutationsDoNotCrash) {
    const std::string original = sample();
    Guarded memory(original.size());
    int accepted = 0, rejected = 0;
    for (std::size_t length = 0; length <= original.size(); ++length)
        (exercise(memory.hold(std::string_view(original).substr(0, length))) ? accepted : rejected) += 1;
    std::uint64_t state = 1;
    const auto random = [&](std::uint64_t below) {
        state = state * 6364136223846793005 + 1442695040888963407;
        return (state >> 33) % below;
    };
    const std::uint64_t telling[] = {0,          1,        0x7F, 0xFF,       0xFFFF,          0x7FFFFFFF,
                                     0xFFFFFFFF, huge - 1, huge, UINT64_MAX, UINT64_MAX - 31, original.size()};
    for (int variant = 0; variant < 20000; ++variant) {
        std::string bytes = original;
        for (std::uint64_t edits = 1 + random(3); edits > 0; --edits) {
            const std::size_t at = random(bytes.size());
            if (random(2)) bytes[at] = static_cast<char>(random(256));
            else bytes.replace(at, 8, u64(telling[random(std::size(telling))]));
        }
        if (random(8) == 0) bytes.resize(random(bytes.size()));
        Guarded* room = &memory;
        Guarded larger(bytes.size() > original.size() ? bytes.size() : 1);
        if (bytes.size() > original.size()) room = &larger;
        (exercise(room->hold(bytes)) ? accepted : rejected) += 1;
    }
    EXPECT_GT(accepted, 1000);
    EXPECT_GT(rejected, 1000);
}

TEST(GgufMalformed, SeedsOfTheFuzzer) {
    const std::filesystem::path seeds = std::string(TAILOR_SOURCE_DIR) + "/fuzz/corpus/gguf";
    int seen = 0;
    for (const auto& entry : std::filesystem::directory_iterator(seeds)) {
        const std::string bytes = core::read_text_file(entry.path());
        Guarded memory(bytes.size());
        EXPECT_EQ(exercise(memory.hold(bytes)), entry.path().filename().string().rfind("valid", 0) == 0) << entry.path();
        ++seen;
    }
    EXPECT_GT(seen, 10);
}

}  // namespace
}  // namespace tailor::files
