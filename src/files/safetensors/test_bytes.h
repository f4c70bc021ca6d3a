// safetensors files made by hand, for tests: written from the layout, without any code of the reader or the writer.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>

namespace tailor::files::safetensors::test_bytes {

/// The length of the header, the header, the data.
inline std::string file(const std::string& header, const std::string& data = {}) {
    const std::uint64_t bytes = header.size();
    std::string result(8, '\0');
    std::memcpy(result.data(), &bytes, 8);
    return result + header + data;
}

/// The header's member for one tensor.
inline std::string tensor(const std::string& name, const std::string& type, const std::string& shape, std::uint64_t begin, std::uint64_t end) {
    return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(begin) + "," +
           std::to_string(end) + "]}";
}

template <class T>
std::string numbers(std::initializer_list<T> values) {
    std::string bytes;
    for (const T value : values) {
        char raw[sizeof value];
        std::memcpy(raw, &value, sizeof value);
        bytes.append(raw, sizeof value);
    }
    return bytes;
}

}  // namespace tailor::files::safetensors::test_bytes
