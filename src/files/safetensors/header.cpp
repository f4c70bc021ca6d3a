// The header of a safetensors file, read as if every file were hostile.
//
// The JSON of a header has one shape, so it is read by a small parser of its own: a general one would keep only the last of
// two tensors with one name, and would build a tree several times the size of the text. Every position is compared with
// the end, every product is checked before it is made, and nothing recurses.
#include <algorithm>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "files/quoted.h"
#include "files/safetensors/layout.h"

namespace tailor::files::safetensors {

namespace {

using core::ErrorKind;
using core::fail;

class HeaderParser {
  public:
    HeaderParser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

    Header parse() {
        Header header;
        for (bool more = begin('{', '}'); more; more = next(',', '}')) {
            std::string name = string();
            expect(':');
            if (name == metadata_name) read_metadata(header);
            else header.tensors.push_back(read_tensor(std::move(name)));
        }
        skip_space();
        if (at_ != text_.size()) broken("the end of the header");
        return header;
    }

  private:
    [[noreturn]] void broken(std::string_view expected) const {
        if (at_ >= text_.size()) fail(ErrorKind::format, "{}: the header ends where {} should be", path_, expected);
        fail(ErrorKind::format, "{}: byte {} of the header is {}, where {} should be", path_, at_, quoted(text_.substr(at_, 1)), expected);
    }

    void skip_space() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
    }
    bool accept(char c) {
        skip_space();
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void expect(char c) {
        if (!accept(c)) broken(quoted({&c, 1}));
    }
    /// Enters a list; false if it is empty.
    bool begin(char open, char close) {
        expect(open);
        return !accept(close);
    }
    /// After an item: true if another follows.
    bool next(char separator, char close) {
        if (accept(close)) return false;
        expect(separator);
        return true;
    }

    std::uint64_t number() {
        skip_space();
        const std::size_t start = at_;
        std::uint64_t value = 0;
        constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
        for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
            const auto digit = static_cast<std::uint64_t>(text_[at_] - '0');
            if (value > (most - digit) / 10) fail(ErrorKind::format, "{}: the number at byte {} of the header is above 2^63 - 1", path_, start);
            value = value * 10 + digit;
        }
        if (at_ == start) broken("a whole number");
        return value;
    }

    std::string string() {
        expect('"');
        std::string result;
        for (;;) {
            const std::size_t stop = text_.find_first_of("\"\\", at_);
            if (stop == std::string_view::npos) fail(ErrorKind::format, "{}: the header ends inside a string", path_);
            const std::string_view plain = text_.substr(at_, stop - at_);
            if (std::any_of(plain.begin(), plain.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
                fail(ErrorKind::format, "{}: a string of the header at byte {} holds a control character", path_, at_);
            result += plain;
            at_ = stop + 1;
            if (text_[stop] == '"') return result;
            escape(result);
        }
    }

    void escape(std::string& result) {
        if (at_ >= text_.size()) broken("an escaped character");
        constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        const char c = text_[at_];
        if (const std::size_t i = letters.find(c); i != std::string_view::npos) {
            ++at_;
            result += meanings[i];
            return;
        }
        if (c != 'u') broken("one of \"\\/bfnrtu");
        ++at_;
        std::uint32_t point = hexadecimal();
        if (point >= 0xD800 && point < 0xDC00 && text_.substr(at_, 2) == "\\u") {
            at_ += 2;
            const std::uint32_t low = hexadecimal();
            if (low < 0xDC00 || low > 0xDFFF) broken("the second half of a surrogate pair");
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        }
        if (point >= 0xD800 && point < 0xE000) broken("a character, not half a surrogate pair");
        append_utf8(result, point);
    }

    std::uint32_t hexadecimal() {
        std::uint32_t value = 0;
        for (int i = 0; i < 4; ++i, ++at_) {
            const char c = at_ < text_.size() ? text_[at_] : ' ';
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
            if (digit < 0) broken("a hexadecimal digit");
            value = value * 16 + static_cast<std::uint32_t>(digit);
        }
        return value;
    }

    static void append_utf8(std::string& text, std::uint32_t point) {
        const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
        if (point < 0x80) return put(point);
        if (point < 0x800) put(0xC0 | point >> 6);
        else if (point < 0x10000) put(0xE0 | point >> 12), put(0x80 | (point >> 6 & 63));
        else put(0xF0 | point >> 18), put(0x80 | (point >> 12 & 63)), put(0x80 | (point >> 6 & 63));
        put(0x80 | (point & 63));
    }

    void read_metadata(Header& header) {
        if (had_metadata_) fail(ErrorKind::format, "{}: the header has two members {}", path_, metadata_name);
        had_metadata_ = true;
        for (bool more = begin('{', '}'); more; more = next(',', '}')) {
            std::string key = string();
            expect(':');
            header.metadata.emplace_back(std::move(key), string());
        }
    }

    StoredTensor read_tensor(std::string name) {
        StoredTensor tensor;
        tensor.name = std::move(name);
        bool type = false, shape = false, offsets = false;
        for (bool more = begin('{', '}'); more; more = next(',', '}')) {
            const std::string field = string();
            expect(':');
            bool* const seen = field == "dtype" ? &type : field == "shape" ? &shape : field == "data_offsets" ? &offsets : nullptr;
            if (!seen || *seen)
                fail(ErrorKind::format, "{}: tensor {} has {} field {}", path_, quoted(tensor.name), seen ? "a second" : "an unknown", quoted(field));
            *seen = true;
            if (seen == &type) tensor.type_name = string();
            else if (seen == &shape) read_shape(tensor);
            else read_offsets(tensor);
        }
        if (!type || !shape || !offsets)
            fail(ErrorKind::format, "{}: tensor {} lacks its {}", path_, quoted(tensor.name), !type ? "dtype" : !shape ? "shape" : "data_offsets");
        tensor.type = find_data_type(tensor.type_name);
        return tensor;
    }

    void read_shape(StoredTensor& tensor) {
        for (bool more = begin('[', ']'); more; more = next(',', ']')) tensor.dimensions.push_back(static_cast<std::int64_t>(number()));
    }

    void read_offsets(StoredTensor& tensor) {
        expect('[');
        tensor.offset = number();
        expect(',');
        const std::uint64_t end = number();
        expect(']');
        if (end < tensor.offset)
            fail(ErrorKind::format, "{}: the data of tensor {} ends at {}, before it begins at {}", path_, quoted(tensor.name), end, tensor.offset);
        tensor.bytes = end - tensor.offset;
    }

    std::string_view text_;
    const std::string& path_;
    std::size_t at_ = 0;
    bool had_metadata_ = false;
};

/// The JSON text of the header.
std::string_view header_text(std::span<const std::byte> file, const std::string& path) {
    std::uint64_t bytes = 0;
    if (file.size() < sizeof bytes) fail(ErrorKind::format, "{}: no safetensors file: it has {} bytes, less than the length of a header", path, file.size());
    std::memcpy(&bytes, file.data(), sizeof bytes);
    if (bytes > most_header_bytes) fail(ErrorKind::format, "{}: the header should have {} bytes; the most is {}", path, bytes, most_header_bytes);
    if (bytes > file.size() - sizeof bytes)
        fail(ErrorKind::format, "{}: the header should have {} bytes, but only {} follow; the file may be incomplete", path, bytes, file.size() - sizeof bytes);
    const std::string_view text(reinterpret_cast<const char*>(file.data()) + sizeof bytes, static_cast<std::size_t>(bytes));
    if (!text.starts_with('{')) fail(ErrorKind::format, "{}: no safetensors file: the header does not begin with '{{'", path);
    if (!core::is_utf8(text)) fail(ErrorKind::format, "{}: the header is not UTF-8", path);
    return text;
}

void check_size(const StoredTensor& tensor, const std::string& path) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    const std::uint64_t bits = tensor.type ? static_cast<std::uint64_t>(tensor.type->bits) : 1;
    std::uint64_t elements = 1;
    // Zeros count as ones at first: whoever multiplies the other dimensions of an empty tensor must not overflow either.
    for (const std::int64_t d : tensor.dimensions) {
        const auto factor = static_cast<std::uint64_t>(d ? d : 1);
        if (factor > most / bits / elements) fail(ErrorKind::format, "{}: tensor {} has more than 2^63 bits", path, quoted(tensor.name));
        elements *= factor;
    }
    if (std::find(tensor.dimensions.begin(), tensor.dimensions.end(), 0) != tensor.dimensions.end()) elements = 0;
    if (tensor.type && (elements * bits % 8 != 0 || elements * bits / 8 != tensor.bytes))
        fail(ErrorKind::format, "{}: tensor {} has {} numbers of type {}, {} bits each, but {} bytes of data", path, quoted(tensor.name), elements,
             tensor.type_name, bits, tensor.bytes);
}

/// Tensors fill the data exactly; their offsets become ones from the start of the file.
void place(std::vector<StoredTensor>& tensors, std::uint64_t data_start, std::uint64_t data_bytes, const std::string& path) {
    std::vector<const StoredTensor*> order;
    for (const StoredTensor& tensor : tensors) order.push_back(&tensor);
    std::stable_sort(order.begin(), order.end(),
                     [](const StoredTensor* a, const StoredTensor* b) { return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes); });
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        const StoredTensor& tensor = *order[i];
        if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset)
            fail(ErrorKind::format, "{}: tensor {} needs {} bytes at offset {}, but the file holds {} bytes of data; it may be incomplete", path,
                 quoted(tensor.name), tensor.bytes, tensor.offset, data_bytes);
        if (tensor.offset < end)
            fail(ErrorKind::format, "{}: the data of tensors {} and {} overlap at offset {}", path, quoted(order[i - 1]->name), quoted(tensor.name), tensor.offset);
        if (tensor.offset > end)
            fail(ErrorKind::format, "{}: {} bytes before tensor {} belong to no tensor", path, tensor.offset - end, quoted(tensor.name));
        end = tensor.offset + tensor.bytes;
    }
    if (end != data_bytes) fail(ErrorKind::format, "{}: {} bytes after the last tensor belong to no tensor", path, data_bytes - end);
    for (StoredTensor& tensor : tensors) tensor.offset += data_start;
}

void check_names(const std::vector<StoredTensor>& tensors, const std::string& path) {
    std::vector<std::string_view> names;
    for (const StoredTensor& tensor : tensors) names.push_back(tensor.name);
    std::sort(names.begin(), names.end());
    if (!names.empty() && names[0].empty()) fail(ErrorKind::format, "{}: a tensor has an empty name", path);
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) fail(ErrorKind::format, "{}: tensor {} occurs twice", path, quoted(*twice));
}

}  // namespace

std::int64_t StoredTensor::elements() const {
    std::int64_t product = 1;
    for (const std::int64_t d : dimensions) product *= d;
    return product;
}

Header parse_header(std::span<const std::byte> file, const std::string& path) {
    const std::string_view text = header_text(file, path);
    Header header = HeaderParser(text, path).parse();
    check_names(header.tensors, path);
    for (const StoredTensor& tensor : header.tensors) check_size(tensor, path);
    const std::uint64_t data_start = sizeof(std::uint64_t) + text.size();
    place(header.tensors, data_start, file.size() - data_start, path);
    return header;
}

}  // namespace tailor::files::safetensors
