// Writing safetensors as a stream: the header follows from the plan, then the tensors one at a time.
//
// Tensors lie in the order of the plan. A plan that puts 32-bit numbers before 16-bit ones keeps every tensor aligned to its
// numbers, which is what the format's first implementation does too; a reader copies a tensor that is not.
#include <set>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/metadata_json.h"
#include "files/quoted.h"
#include "files/safetensors/layout.h"

namespace tailor::files::safetensors {

namespace {

using core::ErrorKind;
using core::fail;

std::string escaped(std::string_view text) { return core::Json(text).text(-1); }

const DataType& type_for(const WritePlan::Entry& entry, const std::string& path) {
    const DataType* const type = entry.format ? data_type_of(*entry.format) : nullptr;
    if (!type)
        fail(ErrorKind::unsupported, "cannot write {}: safetensors has no type for the format {} of tensor {}; convert it to f32, f16 or bf16 first", path,
             entry.format ? entry.format->name : std::string_view("(none)"), quoted(entry.name));
    return *type;
}

std::string header_text(const std::string& path, const Contents& contents) {
    std::string text = "{";
    const auto separate = [&] { text += text.size() > 1 ? "," : ""; };
    if (!contents.metadata.empty()) {
        std::string members;
        for (const auto& [key, value] : contents.metadata) members += (members.empty() ? "" : ",") + escaped(key) + ":" + escaped(value);
        text += escaped(metadata_name) + ":{" + members + "}";
    }
    std::set<std::string_view> names;
    std::int64_t offset = 0;
    for (const WritePlan::Entry& entry : contents.tensors) {
        const DataType& type = type_for(entry, path);
        if (entry.name.empty() || entry.name == metadata_name || !core::is_utf8(entry.name))
            fail(ErrorKind::unsupported, "cannot write {}: {} cannot be the name of a tensor", path, quoted(entry.name));
        if (!names.insert(entry.name).second) fail(ErrorKind::bug, "cannot write {}: tensor {} occurs twice", path, quoted(entry.name));
        std::string shape;
        for (int i = 0; i < entry.shape.rank(); ++i) shape += (i ? "," : "") + std::to_string(entry.shape[i]);
        const std::int64_t end = offset + formats::tensor_bytes(*entry.format, entry.shape);
        separate();
        text += core::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", escaped(entry.name), type.name, shape, offset, end);
        offset = end;
    }
    text += "}";
    text.resize((text.size() + 7) / 8 * 8, ' ');
    if (text.size() > most_header_bytes)
        fail(ErrorKind::unsupported, "cannot write {}: the header would have {} bytes; the most is {}", path, text.size(), most_header_bytes);
    return text;
}

void put_tensor(core::AtomicFile& file, const std::string& path, const WritePlan::Entry& entry, const core::Tensor& tensor) {
    if (tensor.format != entry.format || tensor.shape != entry.shape || (!tensor.data && entry.shape.elements() > 0))
        fail(ErrorKind::bug, "cannot write {}: tensor {} was planned as {} {} but given as {} {}", path, quoted(entry.name), entry.format->name,
             entry.shape.text(), tensor.format ? tensor.format->name : std::string_view("(none)"), tensor.shape.text());
    const std::int64_t row_bytes = entry.format->row_bytes(entry.shape.width());
    if (tensor.row_stride_bytes == row_bytes) return file.write(tensor.data, static_cast<std::size_t>(row_bytes * entry.shape.rows()));
    for (std::int64_t r = 0; r < entry.shape.rows(); ++r) file.write(tensor.row(r), static_cast<std::size_t>(row_bytes));
}

Contents contents_of(const WritePlan& plan) {
    Contents contents;
    if (!plan.metadata.entries().empty()) contents.metadata.emplace_back(typed_metadata_key, typed_json(plan.metadata).text(-1));
    contents.tensors = plan.tensors;
    return contents;
}

}  // namespace

std::uint64_t write_contents(const std::string& path, const Contents& contents, const TensorSource& source) {
    const std::string header = header_text(path, contents);
    core::AtomicFile file(path);
    const std::uint64_t header_bytes = header.size();
    file.write(&header_bytes, sizeof header_bytes);
    file.write(header.data(), header.size());
    for (std::size_t t = 0; t < contents.tensors.size(); ++t) {
        core::check_interrupt();
        put_tensor(file, path, contents.tensors[t], source(t));
    }
    const std::uint64_t bytes = file.position();
    file.commit();
    return bytes;
}

std::uint64_t write(const std::string& path, const WritePlan& plan, const TensorSource& source) {
    return write_contents(path, contents_of(plan), source);
}

std::uint64_t written_bytes(const WritePlan& plan) {
    static const std::string name = "a safetensors file";
    std::uint64_t bytes = sizeof(std::uint64_t) + header_text(name, contents_of(plan)).size();
    for (const WritePlan::Entry& entry : plan.tensors) bytes += static_cast<std::uint64_t>(formats::tensor_bytes(*entry.format, entry.shape));
    return bytes;
}

}  // namespace tailor::files::safetensors
