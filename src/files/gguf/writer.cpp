// Writing GGUF version 3 as a stream.
//
// Everything before the data follows from the plan, so the header is produced by one function into a sink: once into a
// sink that counts, for written_bytes() and the offsets, and once into the file. Tensors are asked for one at a time, so
// memory holds one of them. The layout (order of keys as given, data padded after every tensor, none where there are no
// tensors) is the usual one: a file that was read and is written unchanged comes out byte for byte.
#include <cstring>
#include <limits>
#include <unordered_set>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/gguf/layout.h"

namespace tailor::files::gguf {

namespace {

using core::ErrorKind;

/// Where bytes go: a file, or only a count.
class Sink {
  public:
    explicit Sink(core::AtomicFile* file) : file_(file) {}

    void bytes(const void* data, std::uint64_t count) {
        if (file_) file_->write(data, static_cast<std::size_t>(count));
        position_ += count;
    }
    template <class T>
    void number(T value) {
        bytes(&value, sizeof value);
    }
    void text(std::string_view value) {
        number<std::uint64_t>(value.size());
        bytes(value.data(), value.size());
    }
    void pad(std::uint64_t alignment) {
        static constexpr char zeros[256] = {};
        for (std::uint64_t left = align_up(position_, alignment) - position_; left > 0;) {
            const std::uint64_t step = std::min<std::uint64_t>(left, sizeof zeros);
            bytes(zeros, step);
            left -= step;
        }
    }
    std::uint64_t position() const { return position_; }

  private:
    core::AtomicFile* file_;
    std::uint64_t position_ = 0;
};

// The inverse of the reader's widening: NaNs go by their bits.
std::uint32_t f32_bits(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    if ((bits & 0x7FFFFFFFFFFFFFFF) <= 0x7FF0000000000000) return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    const auto payload = static_cast<std::uint32_t>(bits >> 29 & 0x7FFFFF);
    return static_cast<std::uint32_t>(bits >> 32 & 0x80000000) | 0x7F800000 | (payload ? payload : 0x400000);
}

/// The low bytes of a two's complement integer are the integer at every smaller width that holds it.
void put_integer(Sink& out, MetaType type, std::int64_t value) { out.bytes(&value, scalar_bytes(type)); }

void put_real(Sink& out, MetaType type, double value) {
    if (type == MetaType::f64) out.number(value);
    else out.number(f32_bits(value));
}

void put_value(Sink& out, const MetaValue& value) {
    out.number(static_cast<std::uint32_t>(value.type));
    if (value.type == MetaType::string) return out.text(value.text);
    if (is_real(value.type)) return put_real(out, value.type, value.real);
    if (value.type != MetaType::array) return put_integer(out, value.type, value.integer);
    out.number(static_cast<std::uint32_t>(value.item_type));
    out.number<std::uint64_t>(value.items());
    for (const std::string_view text : value.texts) out.text(text);
    for (const double real : value.reals) put_real(out, value.item_type, real);
    for (const std::int64_t integer : value.integers) put_integer(out, value.item_type, integer);
}

bool fits(MetaType type, std::int64_t value) {
    switch (type) {
        case MetaType::u8: return value >= 0 && value <= UINT8_MAX;
        case MetaType::i8: return value >= INT8_MIN && value <= INT8_MAX;
        case MetaType::u16: return value >= 0 && value <= UINT16_MAX;
        case MetaType::i16: return value >= INT16_MIN && value <= INT16_MAX;
        case MetaType::u32: return value >= 0 && value <= UINT32_MAX;
        case MetaType::i32: return value >= INT32_MIN && value <= INT32_MAX;
        case MetaType::u64: return value >= 0;
        case MetaType::boolean: return value == 0 || value == 1;
        default: return true;
    }
}

void check_name(const std::string& path, std::string_view kind, std::string_view name, std::uint64_t longest,
                std::unordered_set<std::string_view>& seen) {
    if (name.empty() || name.size() > longest || !core::is_utf8(name))
        core::fail(ErrorKind::unsupported, "cannot write {}: the name of {} {} must be UTF-8 of 1 to {} bytes", path, kind,
                   quoted(name), longest);
    if (!seen.insert(name).second) core::fail(ErrorKind::bug, "cannot write {}: {} {} occurs twice", path, kind, quoted(name));
}

void check_value(const std::string& path, std::string_view key, const MetaValue& value) {
    const bool array = value.type == MetaType::array;
    const MetaType type = array ? value.item_type : value.type;
    const bool consistent =
        type != MetaType::array && (value.texts.empty() || type == MetaType::string) && (value.reals.empty() || is_real(type)) &&
        (value.integers.empty() || is_integer(type) || type == MetaType::boolean) && (array || value.items() == 0);
    if (!consistent)
        core::fail(ErrorKind::bug, "cannot write {}: the value of key {} does not have the type it claims", path, quoted(key));
    const auto check = [&](std::int64_t integer) {
        if (!fits(type, integer))
            core::fail(ErrorKind::bug, "cannot write {}: key {} holds {}, which is no {}", path, quoted(key), integer,
                       name(type));
    };
    if (array)
        for (const std::int64_t integer : value.integers) check(integer);
    else if (type != MetaType::string && !is_real(type)) check(value.integer);
}

/// Bytes of each tensor's data, once everything in the plan has been found writable.
std::vector<std::uint64_t> check_plan(const WritePlan& plan, const std::string& path) {
    std::unordered_set<std::string_view> keys, names;
    for (const auto& [key, value] : plan.metadata.entries()) {
        check_name(path, "key", key, longest_key_bytes, keys);
        check_value(path, key, value);
    }
    std::vector<std::uint64_t> sizes;
    for (const WritePlan::Entry& entry : plan.tensors) {
        check_name(path, "tensor", entry.name, longest_written_name_bytes, names);
        if (!entry.format || entry.format->gguf_type < 0)
            core::fail(ErrorKind::unsupported, "cannot write {}: GGUF has no type for the format {} of tensor {}", path,
                       entry.format ? entry.format->name : std::string_view("(none)"), quoted(entry.name));
        for (int i = 0; i < entry.shape.rank(); ++i)
            if (entry.shape[i] < 1)
                core::fail(ErrorKind::shape, "cannot write {}: tensor {} of shape {} is empty", path, quoted(entry.name),
                           entry.shape.text());
        if (!entry.format->holds(entry.shape.width()))
            core::fail(ErrorKind::shape, "cannot write {}: tensor {} has rows of {} values, but {} stores blocks of {}", path,
                       quoted(entry.name), entry.shape.width(), entry.format->name, entry.format->values_per_block);
        sizes.push_back(static_cast<std::uint64_t>(formats::tensor_bytes(*entry.format, entry.shape)));
    }
    return sizes;
}

void put_header(Sink& out, const WritePlan& plan, const std::vector<std::uint64_t>& sizes, std::uint64_t alignment) {
    out.bytes("GGUF", 4);
    out.number(newest_version);
    out.number<std::uint64_t>(plan.tensors.size());
    out.number<std::uint64_t>(plan.metadata.entries().size());
    for (const auto& [key, value] : plan.metadata.entries()) {
        out.text(key);
        put_value(out, value);
    }
    std::uint64_t offset = 0;
    for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
        const WritePlan::Entry& entry = plan.tensors[t];
        out.text(entry.name);
        out.number(static_cast<std::uint32_t>(entry.shape.rank()));
        for (int i = entry.shape.rank(); i-- > 0;) out.number(static_cast<std::uint64_t>(entry.shape[i]));
        out.number(static_cast<std::uint32_t>(entry.format->gguf_type));
        out.number(offset);
        offset += align_up(sizes[t], alignment);
    }
    if (!plan.tensors.empty()) out.pad(alignment);
}

void put_tensor(Sink& out, const std::string& path, const WritePlan::Entry& entry, const core::Tensor& tensor) {
    if (tensor.format != entry.format || tensor.shape != entry.shape || !tensor.data)
        core::fail(ErrorKind::bug, "cannot write {}: tensor {} was planned as {} {} but given as {} {}", path, quoted(entry.name),
                   entry.format->name, entry.shape.text(), tensor.format ? tensor.format->name : std::string_view("(none)"),
                   tensor.shape.text());
    const std::int64_t row_bytes = entry.format->row_bytes(entry.shape.width());
    if (tensor.row_stride_bytes == row_bytes)
        return out.bytes(tensor.data, static_cast<std::uint64_t>(row_bytes) * static_cast<std::uint64_t>(entry.shape.rows()));
    for (std::int64_t r = 0; r < entry.shape.rows(); ++r) out.bytes(tensor.row(r), static_cast<std::uint64_t>(row_bytes));
}

}  // namespace

std::uint64_t write(const std::string& path, const WritePlan& plan, const TensorSource& source) {
    const std::uint64_t alignment = alignment_of(plan.metadata, path);
    const std::vector<std::uint64_t> sizes = check_plan(plan, path);
    core::AtomicFile file(path);
    Sink out(&file);
    put_header(out, plan, sizes, alignment);
    for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
        core::check_interrupt();
        put_tensor(out, path, plan.tensors[t], source(t));
        out.pad(alignment);
    }
    file.commit();
    return out.position();
}

std::uint64_t written_bytes(const WritePlan& plan) {
    static const std::string name = "a GGUF file";
    const std::uint64_t alignment = alignment_of(plan.metadata, name);
    const std::vector<std::uint64_t> sizes = check_plan(plan, name);
    Sink count(nullptr);
    put_header(count, plan, sizes, alignment);
    std::uint64_t bytes = count.position();
    for (const std::uint64_t size : sizes) bytes += align_up(size, alignment);
    return bytes;
}

}  // namespace tailor::files::gguf
