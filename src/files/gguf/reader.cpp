// Reading GGUF, as if every file were hostile.
//
// A number from the file is compared with the bytes that are left before it sizes, indexes or multiplies anything: a
// count of n items of at least b bytes each needs n <= left / b, and a sum a + b <= limit is checked as
// a <= limit && b <= limit - a. So memory stays proportional to the file's size and nothing overflows. Arrays in arrays
// are rejected, which leaves no recursion to exhaust. Tensor data is not touched here; read() gives a view of the mapping.
#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/gguf/layout.h"
#include "formats/registry.h"

namespace tailor::files::gguf {

namespace {

using core::ErrorKind;

/// A position in the file; every step is checked. `what` names the thing being read, for messages.
class Cursor {
  public:
    Cursor(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

    const std::string& path() const { return path_; }
    std::uint64_t at() const { return at_; }
    std::uint64_t left() const { return bytes_.size() - at_; }

    template <class T>
    T number(std::string_view what) {
        T value;
        std::memcpy(&value, take(sizeof value, what), sizeof value);
        return value;
    }

    std::string_view text(std::string_view what) {
        const auto length = number<std::uint64_t>(what);
        return {reinterpret_cast<const char*>(take(length, what)), static_cast<std::size_t>(length)};
    }

    /// Fails unless `count` items of at least `least_bytes` each can follow.
    void expect(std::uint64_t count, std::uint64_t least_bytes, std::string_view what) const {
        if (count > left() / least_bytes)
            core::fail(ErrorKind::format, "{}: {} cannot be {}: only {} bytes of the file are left at byte {}", path_, what,
                       count, left(), at_);
    }

  private:
    const std::byte* take(std::uint64_t bytes, std::string_view what) {
        if (bytes > left())
            core::fail(ErrorKind::format, "{}: the file ends inside {}: {} bytes expected at byte {}, {} left", path_, what,
                       bytes, at_, left());
        const std::byte* const start = bytes_.data() + at_;
        at_ += bytes;
        return start;
    }

    std::span<const std::byte> bytes_;
    const std::string& path_;
    std::uint64_t at_ = 0;
};

struct Content {
    Metadata metadata;
    std::vector<TensorInfo> tensors;
};

struct Counts {
    std::uint64_t tensors, keys;
};

Counts read_header(Cursor& in) {
    const auto magic = in.number<std::uint32_t>("the magic number");
    const auto version = in.number<std::uint32_t>("the version");
    const bool swapped = version != 0 && (version & 0xFFFF) == 0;
    if (std::memcmp(&magic, "FUGG", 4) == 0 || (std::memcmp(&magic, "GGUF", 4) == 0 && swapped))
        core::fail(ErrorKind::unsupported, "{}: a big-endian GGUF file; convert it to little-endian first", in.path());
    if (std::memcmp(&magic, "GGUF", 4) != 0)
        core::fail(ErrorKind::format, "{}: not a GGUF file: it does not begin with 'GGUF'", in.path());
    if (version < 2 || version > newest_version)
        core::fail(ErrorKind::unsupported, "{}: GGUF version {}; this build reads versions 2 and 3", in.path(), version);
    const auto tensors = in.number<std::uint64_t>("the number of tensors");
    const auto keys = in.number<std::uint64_t>("the number of keys");
    // The shortest key: length, one byte, type, a one-byte value. The shortest tensor: length, one byte, rank 0, type, offset.
    in.expect(keys, 8 + 1 + 4 + 1, "the number of keys");
    in.expect(tensors, 8 + 1 + 4 + 4 + 8, "the number of tensors");
    return {tensors, keys};
}

/// The name of a key or tensor (`kind`), checked and seen for the first time.
std::string_view read_name(Cursor& in, std::string_view kind, std::uint64_t index, std::unordered_set<std::string_view>& seen) {
    const std::uint64_t start = in.at();
    const std::string_view name = in.text(core::format("the name of {} {}", kind, index));
    if (name.empty() || name.size() > longest_key_bytes)
        core::fail(ErrorKind::format, "{}: the name of {} {} at byte {} has {} bytes; it must have 1 to {}", in.path(), kind,
                   index, start, name.size(), longest_key_bytes);
    if (!core::is_utf8(name))
        core::fail(ErrorKind::format, "{}: the name of {} {} at byte {} is not UTF-8", in.path(), kind, index, start);
    if (!seen.insert(name).second) core::fail(ErrorKind::format, "{}: {} {} occurs twice", in.path(), kind, quoted(name));
    return name;
}

MetaType read_type(Cursor& in, std::string_view what) {
    const auto type = in.number<std::uint32_t>(what);
    if (type > static_cast<std::uint32_t>(MetaType::f64))
        core::fail(ErrorKind::format, "{}: {} has value type {}; GGUF has types 0 to 12", in.path(), what, type);
    return static_cast<MetaType>(type);
}

std::int64_t read_integer(Cursor& in, MetaType type, std::string_view what) {
    switch (type) {
        case MetaType::u8: return in.number<std::uint8_t>(what);
        case MetaType::i8: return in.number<std::int8_t>(what);
        case MetaType::u16: return in.number<std::uint16_t>(what);
        case MetaType::i16: return in.number<std::int16_t>(what);
        case MetaType::u32: return in.number<std::uint32_t>(what);
        case MetaType::i32: return in.number<std::int32_t>(what);
        case MetaType::i64: return in.number<std::int64_t>(what);
        case MetaType::boolean: {
            const auto value = in.number<std::uint8_t>(what);
            if (value > 1)
                core::fail(ErrorKind::format, "{}: {} holds the boolean {}; it must be 0 or 1", in.path(), what, value);
            return value;
        }
        default: break;
    }
    const auto value = in.number<std::uint64_t>(what);
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        core::fail(ErrorKind::format, "{}: {} holds {}; the largest integer supported is 2^63 - 1", in.path(), what, value);
    return static_cast<std::int64_t>(value);
}

// A NaN is widened by its bits: the processor's conversion would set its quiet bit, and writing must give the bytes back.
double read_real(Cursor& in, MetaType type, std::string_view what) {
    if (type == MetaType::f64) return in.number<double>(what);
    const auto bits = in.number<std::uint32_t>(what);
    if ((bits & 0x7FFFFFFF) <= 0x7F800000) return std::bit_cast<float>(bits);
    return std::bit_cast<double>(std::uint64_t{bits & 0x80000000} << 32 | 0x7FF0000000000000 |
                                 std::uint64_t{bits & 0x7FFFFF} << 29);
}

void read_array(Cursor& in, MetaValue& value, std::string_view what) {
    value.item_type = read_type(in, what);
    if (value.item_type == MetaType::array)
        core::fail(ErrorKind::unsupported, "{}: {} is an array of arrays, which is not supported", in.path(), what);
    const auto items = in.number<std::uint64_t>(what);
    in.expect(items, scalar_bytes(value.item_type), core::format("the number of items of {}", what));
    const auto count = static_cast<std::size_t>(items);
    if (value.item_type == MetaType::string) {
        value.texts.resize(count);
        for (std::string_view& text : value.texts) text = in.text(what);
    } else if (is_real(value.item_type)) {
        value.reals.resize(count);
        for (double& real : value.reals) real = read_real(in, value.item_type, what);
    } else {
        value.integers.resize(count);
        for (std::int64_t& integer : value.integers) integer = read_integer(in, value.item_type, what);
    }
}

MetaValue read_value(Cursor& in, std::string_view what) {
    MetaValue value;
    value.type = read_type(in, what);
    if (value.type == MetaType::array) read_array(in, value, what);
    else if (value.type == MetaType::string) value.text = in.text(what);
    else if (is_real(value.type)) value.real = read_real(in, value.type, what);
    else value.integer = read_integer(in, value.type, what);
    return value;
}

Metadata read_metadata(Cursor& in, std::uint64_t keys) {
    Metadata metadata;
    std::unordered_set<std::string_view> seen;
    for (std::uint64_t i = 0; i < keys; ++i) {
        const std::string_view key = read_name(in, "key", i, seen);
        metadata.append(key, read_value(in, "key " + quoted(key)));
    }
    return metadata;
}

/// The dimensions, outermost first; their product fits 63 bits.
core::Shape read_shape(Cursor& in, std::string_view what) {
    const auto rank = in.number<std::uint32_t>(what);
    if (rank > core::Shape::max_rank)
        core::fail(ErrorKind::unsupported, "{}: {} has {} dimensions; at most {} are supported", in.path(), what, rank,
                   core::Shape::max_rank);
    std::uint64_t innermost_first[core::Shape::max_rank];
    std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    for (std::uint32_t i = 0; i < rank; ++i) {
        const auto dimension = in.number<std::uint64_t>(what);
        if (dimension == 0) core::fail(ErrorKind::format, "{}: dimension {} of {} is zero", in.path(), i, what);
        if (dimension > most)
            core::fail(ErrorKind::format, "{}: the dimensions of {} multiply to more than 2^63 - 1", in.path(), what);
        most /= dimension;
        innermost_first[i] = dimension;
    }
    core::Shape shape;
    for (std::uint32_t i = rank; i-- > 0;) shape.append(static_cast<std::int64_t>(innermost_first[i]));
    return shape;
}

std::uint64_t checked_tensor_bytes(const Cursor& in, const formats::Format& format, const core::Shape& shape,
                                   std::string_view what) {
    if (!format.holds(shape.width()))
        core::fail(ErrorKind::format, "{}: {} has rows of {} values, but {} stores blocks of {}", in.path(), what, shape.width(),
                   format.name, format.values_per_block);
    const std::int64_t blocks = shape.elements() / format.values_per_block;
    if (blocks > std::numeric_limits<std::int64_t>::max() / format.bytes_per_block)
        core::fail(ErrorKind::format, "{}: {} of shape {} would have more than 2^63 - 1 bytes", in.path(), what, shape.text());
    return static_cast<std::uint64_t>(formats::tensor_bytes(format, shape));
}

TensorInfo read_tensor(Cursor& in, std::string_view name) {
    const std::string what = "tensor " + quoted(name);
    TensorInfo info;
    info.name = name;
    info.shape = read_shape(in, what);
    const auto type = in.number<std::uint32_t>(what);
    info.format = formats::find_gguf_type(type);
    const std::string_view known = type_name(type);
    if (info.format) {
        info.bytes = checked_tensor_bytes(in, *info.format, info.shape, what);
        info.type_name = known.empty() ? info.format->name : known;
    } else {
        info.type_name = known.empty() ? core::format("type {}", type) : core::format("type {} ({})", type, known);
    }
    info.offset = in.number<std::uint64_t>(what);
    return info;
}

/// Turns offsets into ones from the start of the file; all data lies inside it, aligned and without overlap. Data of an
/// unknown type has an unknown size, but not none.
void place_tensors(const Cursor& in, std::uint64_t file_bytes, std::uint64_t alignment, std::vector<TensorInfo>& tensors) {
    const std::uint64_t data_start = align_up(in.at(), alignment);
    const std::uint64_t data_bytes = data_start <= file_bytes ? file_bytes - data_start : 0;
    const auto least_bytes = [](const TensorInfo& info) { return std::max<std::uint64_t>(info.bytes, 1); };
    for (TensorInfo& info : tensors) {
        if (info.offset % alignment != 0)
            core::fail(ErrorKind::format,
                       "{}: the data of tensor {} is at offset {}, which is not a multiple of the alignment {}", in.path(),
                       quoted(info.name), info.offset, alignment);
        if (info.offset > data_bytes || least_bytes(info) > data_bytes - info.offset)
            core::fail(ErrorKind::format,
                       "{}: tensor {} needs {} bytes at offset {}, but the file holds {} bytes of data; it may be incomplete",
                       in.path(), quoted(info.name), least_bytes(info), info.offset, data_bytes);
        info.offset += data_start;
    }
    std::vector<const TensorInfo*> order;
    for (const TensorInfo& info : tensors) order.push_back(&info);
    std::stable_sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < order.size(); ++i)
        if (order[i]->offset < order[i - 1]->offset + least_bytes(*order[i - 1]))
            core::fail(ErrorKind::format, "{}: the data of tensors {} and {} overlap at byte {}", in.path(),
                       quoted(order[i - 1]->name), quoted(order[i]->name), order[i]->offset);
}

Content parse(std::span<const std::byte> bytes, const std::string& path) {
    Cursor in(bytes, path);
    const Counts counts = read_header(in);
    Content content;
    content.metadata = read_metadata(in, counts.keys);
    const std::uint64_t alignment = alignment_of(content.metadata, path);
    std::unordered_set<std::string_view> seen;
    for (std::uint64_t i = 0; i < counts.tensors; ++i)
        content.tensors.push_back(read_tensor(in, read_name(in, "tensor", i, seen)));
    place_tensors(in, bytes.size(), alignment, content.tensors);
    return content;
}

class GgufFile : public File {
  public:
    GgufFile(std::span<const std::byte> bytes, const std::string& path, std::unique_ptr<core::MappedFile> mapping)
        : mapping_(std::move(mapping)), bytes_(bytes) {
        path_ = path;
        Content content = parse(bytes, path);
        metadata_ = std::move(content.metadata);
        tensors_ = std::move(content.tensors);
    }

    core::Tensor read(const TensorInfo& tensor) const override {
        if (!tensor.format)
            core::fail(ErrorKind::unsupported, "{}: tensor {} is stored as {}, which this build cannot decode", path_,
                       quoted(tensor.name), tensor.type_name);
        const std::byte* const data = bytes_.data() + tensor.offset;
        // Views promise the alignment of the widest scalar a format stores; only files with a tiny general.alignment, or
        // memory that starts at an odd address, lack it.
        if (reinterpret_cast<std::uintptr_t>(data) % 8 == 0) return formats::view(*tensor.format, tensor.shape, data);
        core::Tensor copy = formats::make_tensor(*tensor.format, tensor.shape);
        std::memcpy(copy.data, data, tensor.bytes);
        return copy;
    }

    void release(const TensorInfo& tensor) const override {
        if (mapping_) mapping_->release(tensor.offset, tensor.bytes);
        else core::page_out(bytes_.subspan(tensor.offset, tensor.bytes));  // the model built in is a part of the program's file
    }

    std::uint64_t bytes() const override { return bytes_.size(); }

  private:
    std::unique_ptr<core::MappedFile> mapping_;
    std::span<const std::byte> bytes_;
};

}  // namespace

std::unique_ptr<File> open(const std::string& path) {
    auto mapping = std::make_unique<core::MappedFile>(path);
    const std::span<const std::byte> bytes = mapping->bytes();
    return std::make_unique<GgufFile>(bytes, path, std::move(mapping));
}

std::unique_ptr<File> open_memory(std::span<const std::byte> bytes, const std::string& path) {
    return std::make_unique<GgufFile>(bytes, path, nullptr);
}

}  // namespace tailor::files::gguf
