// Reading one safetensors file as it is: its own tensor names, and the keys of a GGUF file if it carries them.
//
// A file that belongs to a Hugging Face folder says nothing about the network around it; files/hugging_face opens the folder.
#include <cstring>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/metadata_json.h"
#include "files/quoted.h"
#include "files/safetensors/layout.h"
#include "formats/registry.h"

namespace tailor::files::safetensors {

namespace {

using core::ErrorKind;
using core::fail;

class SafetensorsFile : public File {
  public:
    SafetensorsFile(std::span<const std::byte> bytes, const std::string& path, std::unique_ptr<core::MappedFile> mapping)
        : mapping_(std::move(mapping)), bytes_(bytes), header_(parse_header(bytes, path)) {
        path_ = path;
        for (const auto& [key, value] : header_.metadata) {
            if (key == typed_metadata_key) read_typed_json(core::Json::parse(value, path), path, metadata_);
            else metadata_.set("safetensors." + key, text_value(value));
        }
        for (const StoredTensor& stored : header_.tensors) add(stored);
    }

    core::Tensor read(const TensorInfo& info) const override {
        const StoredTensor& stored = stored_of(info);
        return read_stored(stored, bytes_.data() + stored.offset, path_);
    }

    void release(const TensorInfo& info) const override {
        const StoredTensor& stored = stored_of(info);
        if (mapping_) mapping_->release(stored.offset, stored.bytes);
    }

    std::uint64_t bytes() const override { return bytes_.size(); }

  private:
    static MetaValue text_value(const std::string& text) {
        MetaValue value;
        value.type = MetaType::string;
        value.text = text;
        return value;
    }

    void add(const StoredTensor& stored) {
        TensorInfo info;
        info.name = stored.name;
        info.shape = shape_of(stored, path_);
        info.format = stored.type ? formats::find(stored.type->format) : nullptr;
        info.type_name = stored.type_name;
        info.offset = stored.offset;
        info.bytes = info.format ? static_cast<std::uint64_t>(formats::tensor_bytes(*info.format, info.shape)) : 0;
        tensors_.push_back(std::move(info));
    }

    /// Infos and stored tensors are in the same order; a copy of an info is found by its name.
    const StoredTensor& stored_of(const TensorInfo& info) const {
        const auto at = static_cast<std::size_t>(&info - tensors_.data());
        if (&info >= tensors_.data() && at < tensors_.size()) return header_.tensors[at];
        for (const StoredTensor& stored : header_.tensors)
            if (stored.name == info.name) return stored;
        fail(ErrorKind::bug, "{} has no tensor {}", path_, quoted(info.name));
    }

    std::unique_ptr<core::MappedFile> mapping_;
    std::span<const std::byte> bytes_;
    Header header_;
};

}  // namespace

core::Shape shape_of(const StoredTensor& tensor, const std::string& path) {
    if (tensor.dimensions.size() > core::Shape::max_rank)
        fail(ErrorKind::unsupported, "{}: tensor {} has {} dimensions; at most {} are supported", path, quoted(tensor.name), tensor.dimensions.size(),
             core::Shape::max_rank);
    core::Shape shape;
    for (const std::int64_t d : tensor.dimensions) shape.append(d);
    return shape;
}

core::Tensor read_stored(const StoredTensor& tensor, const std::byte* data, const std::string& path) {
    const formats::Format* const format = tensor.type ? formats::find(tensor.type->format) : nullptr;
    if (!format)
        fail(ErrorKind::unsupported, "{}: tensor {} is stored as {}, which this build cannot decode", path, quoted(tensor.name), tensor.type_name);
    const core::Shape shape = shape_of(tensor, path);
    const bool aligned = reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(format->bytes_per_block) == 0;
    if (!tensor.type->convert && aligned) return formats::view(*format, shape, data);
    core::Tensor copy = formats::make_tensor(*format, shape);
    if (!tensor.type->convert) std::memcpy(copy.data, data, tensor.bytes);
    else if (!tensor.type->convert(data, copy.data, shape.elements()))
        fail(ErrorKind::numeric, "{}: tensor {} holds {} numbers beyond the range of {}", path, quoted(tensor.name), tensor.type_name, format->name);
    return copy;
}

std::unique_ptr<File> open(const std::string& path) {
    auto mapping = std::make_unique<core::MappedFile>(path);
    const std::span<const std::byte> bytes = mapping->bytes();
    return std::make_unique<SafetensorsFile>(bytes, path, std::move(mapping));
}

std::unique_ptr<File> open_memory(std::span<const std::byte> bytes, const std::string& path) {
    return std::make_unique<SafetensorsFile>(bytes, path, nullptr);
}

}  // namespace tailor::files::safetensors
