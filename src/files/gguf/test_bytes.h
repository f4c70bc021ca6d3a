// GGUF pieces made by hand, for tests: written from the layout, without any code of the reader or the writer, so that a
// mistake both share shows. A file is the concatenation of pieces; a malformed one has a wrong piece.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::files::gguf::test_bytes {

template <class T>
std::string number(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

inline std::string u32(std::uint32_t value) { return number(value); }
inline std::string u64(std::uint64_t value) { return number(value); }
inline std::string text(std::string_view value) { return u64(value.size()) + std::string(value); }

inline std::string header(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    return "GGUF" + u32(version) + u64(tensors) + u64(keys);
}
/// A key with the type id and the bytes of its value.
inline std::string key(std::string_view name, std::uint32_t type, const std::string& value) { return text(name) + u32(type) + value; }
inline std::string array(std::uint32_t item_type, std::uint64_t items, const std::string& bytes) { return u32(item_type) + u64(items) + bytes; }
/// Dimensions innermost first, as in the file.
inline std::string tensor(std::string_view name, const std::vector<std::uint64_t>& dimensions, std::uint32_t type, std::uint64_t offset) {
    std::string bytes = text(name) + u32(static_cast<std::uint32_t>(dimensions.size()));
    for (const std::uint64_t d : dimensions) bytes += u64(d);
    return bytes + u32(type) + u64(offset);
}
/// `bytes` with zeros up to a multiple of `alignment`, then `data`.
inline std::string with_data(std::string bytes, const std::string& data, std::size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
    return bytes + data;
}

/// A valid file with every value type, alone and in an array, and tensors of rank 0 to 4, every byte of data distinct.
inline std::string sample() {
    const std::string f32_signalling_nan = u32(0xFFA00001), f64_value = number(-0.1);
    std::string bytes = header(4, 28) +
        key("a.u8", 0, "\xFF") + key("a.i8", 1, "\x80") + key("a.u16", 2, number<std::uint16_t>(65535)) +
        key("a.i16", 3, number<std::int16_t>(-32768)) + key("a.u32", 4, u32(4294967295u)) + key("a.i32", 5, number<std::int32_t>(-2147483647)) +
        key("a.f32", 6, number(3.25f)) + key("a.nan", 6, f32_signalling_nan) + key("a.true", 7, "\x01") + key("a.false", 7, std::string(1, '\0')) +
        key("a.text", 8, text("h\xC3\xA9llo")) + key("a.empty", 8, text("")) + key("a.u64", 10, u64(9223372036854775807u)) +
        key("a.i64", 11, number<std::int64_t>(INT64_MIN)) + key("a.f64", 12, f64_value) + key("l.u8", 9, array(0, 3, "\x01\x80\xFF")) +
        key("l.i8", 9, array(1, 2, "\xFF\x7F")) + key("l.u16", 9, array(2, 1, number<std::uint16_t>(40000))) +
        key("l.i16", 9, array(3, 1, number<std::int16_t>(-2))) + key("l.u32", 9, array(4, 1, u32(3000000000u))) +
        key("l.i32", 9, array(5, 2, u32(7) + u32(0xFFFFFFFF))) + key("l.f32", 9, array(6, 2, f32_signalling_nan + number(1e-3f))) +
        key("l.boolean", 9, array(7, 2, std::string("\x01\x00", 2))) + key("l.text", 9, array(8, 3, text("one") + text("") + text("\xFF not UTF-8"))) +
        key("l.u64", 9, array(10, 1, u64(1) )) + key("l.i64", 9, array(11, 1, number<std::int64_t>(-1))) + key("l.f64", 9, array(12, 1, f64_value)) +
        key("l.none", 9, array(4, 0, "")) +
        tensor("scalar", {}, 0, 0) + tensor("vector", {5}, 0, 32) + tensor("matrix", {3, 2}, 26, 64) + tensor("four", {2, 3, 1, 2}, 0, 96);
    std::string data;
    for (int i = 0; i < 96 + 48; ++i) data += static_cast<char>(i < 4 || (i >= 32 && i < 52) || (i >= 64 && i < 88) || i >= 96 ? i + 1 : 0);
    return with_data(bytes, data + std::string(16, '\0'));
}

}  // namespace tailor::files::gguf::test_bytes
