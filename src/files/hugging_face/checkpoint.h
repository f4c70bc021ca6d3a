// The tensors of a Hugging Face folder under their own names, whatever they are stored as.
//
// A folder holds config.json and either model.safetensors or shards that model.safetensors.index.json lists. Packed weights
// (files/packed_weights) appear as the matrices they stand for. Of models that also see or hear, the language part is taken:
// the settings are those of "text_config", names lose the prefix that sets that part apart, and the rest is left out.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/json.h"
#include "core/mapped_file.h"
#include "files/packed_weights/registry.h"
#include "files/safetensors/layout.h"

namespace tailor::files::hugging_face {

class Checkpoint {
  public:
    /// Maps the files; throws Error(io), Error(format) or Error(unsupported) naming the file and the tensor.
    explicit Checkpoint(const std::string& folder);

    /// config.json, with the members of its "text_config" in place of its own if it has one.
    const core::Json& config() const { return config_; }
    /// Bytes of all safetensors files.
    std::uint64_t bytes() const;

    struct Entry {
        std::string name;
        core::Shape shape;                         ///< of more than four dimensions the outermost are multiplied
        const formats::Format* format = nullptr;   ///< what reading gives; nullptr: cannot be read
        std::string type_name;                     ///< "BF16"; of a packed weight the name of its packing
        std::size_t index = 0;                     ///< among stored tensors or packed weights
        bool packed = false;
    };
    const std::vector<Entry>& entries() const { return entries_; }
    /// nullptr when missing.
    const Entry* find(std::string_view name) const;
    /// A view of the mapped file, or a tensor that owns its memory.
    core::Tensor read(const Entry& entry) const;
    /// Gives pages behind an entry back to the system.
    void release(const Entry& entry) const;

  private:
    struct Shard {
        std::string path;
        std::unique_ptr<core::MappedFile> mapping;
        safetensors::Header header;
    };
    /// Where a stored tensor lies.
    struct Place {
        std::size_t shard, tensor;
    };
    void open_shards(const std::string& folder);
    void add_shard(const std::string& path);
    void unpack();
    void add_plain();
    void take_text_part();
    packed_weights::Part part(const std::string& name) const;

    core::Json config_;
    const packed_weights::Packing* packing_ = nullptr;
    std::vector<Shard> shards_;
    std::vector<Place> places_;
    std::unordered_map<std::string, std::size_t> stored_;  ///< name to index in places_
    std::vector<packed_weights::Weight> weights_;
    std::unordered_set<std::string> consumed_;             ///< stored tensors that are parts of packed weights
    std::vector<Entry> entries_;
    std::unordered_map<std::string_view, std::size_t> by_name_;
};

}  // namespace tailor::files::hugging_face
