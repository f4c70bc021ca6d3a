// Opening a Hugging Face folder: the rules of its architecture turned into tensors that are made when they are read.
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/hugging_face/checkpoint.h"
#include "files/hugging_face/folder.h"
#include "files/hugging_face/registry.h"
#include "files/hugging_face/tokenizer_files.h"
#include "files/metadata_json.h"
#include "files/quoted.h"
#include "formats/registry.h"

namespace tailor::files::hugging_face {

using core::ErrorKind;
using core::fail;
using core::Json;

namespace {

/// "dir/name/" and "dir/name" -> "name".
std::string last_part(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

core::Tensor slice_rows(const core::Tensor& tensor, std::int64_t first, std::int64_t rows) {
    // Of a stack of matrices every one is cut at the same rows.
    const int rank = tensor.shape.rank();
    core::Shape shape = tensor.shape;
    shape[rank - 2] = rows;
    core::Tensor result = formats::make_tensor(*tensor.format, shape);
    const std::int64_t per_matrix = tensor.shape[rank - 2], matrices = tensor.shape.rows() / per_matrix;
    for (std::int64_t e = 0; e < matrices; ++e)
        for (std::int64_t r = 0; r < rows; ++r)
            std::memcpy(result.row(e * rows + r), tensor.row(e * per_matrix + first + r), static_cast<std::size_t>(result.row_stride_bytes));
    return result;
}

class FolderFile : public File {
  public:
    explicit FolderFile(const std::string& path) : checkpoint_(path) {
        path_ = path;
        try {
            describe();
        } catch (const core::Error& error) {
            throw core::Error(error.kind(), path + ": " + error.what());
        }
    }

    core::Tensor read(const TensorInfo& info) const override {
        const Source& source = source_of(info);
        const Rule& rule = mapping_->rules()[source.rule];
        if (rule.made) return rule.made;
        if (!rule.stacked) {
            const core::Tensor whole = read_part(rule.theirs[0], rule.step, *info.format);
            return rule.ours.size() == 1 ? whole : slice_rows(whole, source.first_row, rule.rows[source.part]);
        }
        core::Tensor stacked = formats::make_tensor(*info.format, info.shape);
        const std::int64_t rows = info.shape.rows() / info.shape[0];
        for (std::size_t e = 0; e < rule.theirs.size(); ++e) {
            const core::Tensor part = read_part(rule.theirs[e], rule.step, *info.format);
            for (std::int64_t r = 0; r < rows; ++r)
                std::memcpy(stacked.row(static_cast<std::int64_t>(e) * rows + r), part.row(r), static_cast<std::size_t>(stacked.row_stride_bytes));
            checkpoint_.release(*checkpoint_.find(rule.theirs[e]));
        }
        return stacked;
    }

    void release(const TensorInfo& info) const override {
        for (const std::string& name : mapping_->rules()[source_of(info).rule].theirs) checkpoint_.release(*checkpoint_.find(name));
    }

    std::uint64_t bytes() const override { return checkpoint_.bytes(); }

  private:
    /// Where a tensor comes from.
    struct Source {
        std::size_t rule, part;
        std::int64_t first_row;
    };

    void describe() {
        const Architecture& architecture = architecture_of(checkpoint_.config(), "config.json");
        Shapes shapes;
        for (const Checkpoint::Entry& entry : checkpoint_.entries()) shapes.emplace(entry.name, entry.shape);
        mapping_ = std::make_unique<Mapping>(architecture, checkpoint_.config(), std::move(shapes));
        if (const std::vector<std::string> left = mapping_->unclaimed(); !left.empty())
            fail(ErrorKind::unsupported, "tensor {} is not a part of {} as Tailor knows it; ignoring it would give wrong results", quoted(left[0]),
                 architecture.classes[0]);
        for (std::size_t i = 0; i < mapping_->rules().size(); ++i) add_tensors(i);
        collect_metadata();
    }

    static core::Shape shape_after(const Step& step, const Checkpoint::Entry& entry) {
        try {
            return step.shape ? step.shape(entry.shape) : entry.shape;
        } catch (const core::Error& error) {
            throw core::Error(error.kind(), core::format("tensor {}: {}", quoted(entry.name), error.what()));
        }
    }

    void add_tensors(std::size_t index) {
        const Rule& rule = mapping_->rules()[index];
        if (rule.made) return add(rule.ours[0], rule.made.shape, rule.made.format, "F32", {index, 0, 0});
        const Checkpoint::Entry& entry = *checkpoint_.find(rule.theirs[0]);
        core::Shape shape = shape_after(rule.step, entry);
        const formats::Format* format = entry.format;
        if (rule.stacked) {
            core::Shape stacked{static_cast<std::int64_t>(rule.theirs.size())};
            for (int d = 0; d < shape.rank(); ++d) stacked.append(shape[d]);
            shape = stacked;
        }
        // Vectors are few and sensitive; families expect them in f32, as GGUF files have them.
        if (format && (rule.step.as_f32 || (format->weights && shape.rank() <= 1))) format = &formats::get("f32");
        std::int64_t first = 0;
        for (std::size_t part = 0; part < rule.ours.size(); ++part) {
            if (rule.ours.size() > 1) {
                if (shape.rank() < 2 || first + rule.rows[part] > entry.shape[entry.shape.rank() - 2])
                    fail(ErrorKind::format, "tensor {} of shape {} has no {} rows for {}", quoted(entry.name), entry.shape.text(), first + rule.rows[part],
                         rule.ours[part]);
                shape[shape.rank() - 2] = rule.rows[part];
            }
            add(rule.ours[part], shape, format, entry.type_name, {index, part, first});
            first += rule.ours.size() > 1 ? rule.rows[part] : 0;
        }
        if (rule.ours.size() > 1 && first != entry.shape[entry.shape.rank() - 2])
            fail(ErrorKind::format, "tensor {} of shape {} should have {} rows", quoted(entry.name), entry.shape.text(), first);
    }

    void add(const std::string& name, const core::Shape& shape, const formats::Format* format, const std::string& type_name, Source source) {
        TensorInfo info;
        info.name = name;
        info.shape = shape;
        info.format = format;
        info.type_name = type_name;
        info.bytes = format ? static_cast<std::uint64_t>(formats::tensor_bytes(*format, shape)) : 0;
        tensors_.push_back(std::move(info));
        sources_.push_back(source);
        if (!by_name_.emplace(name, tensors_.size() - 1).second) fail(ErrorKind::bug, "two tensors of the folder become {}", quoted(name));
    }

    void collect_metadata() {
        // What was a GGUF file once brings its keys along; what config.json says goes before them.
        if (const std::string path = path_ + "/" + std::string(typed_metadata_file); ::access(path.c_str(), R_OK) == 0)
            read_typed_json(Json::parse(core::read_text_file(path), path), path, metadata_);
        for (const auto& [key, value] : mapping_->metadata().entries()) metadata_.set(key, value);
        if (!metadata_.find("general.name")) metadata_.set_text("general.name", last_part(path_));
        read_tokenizer_files(path_, checkpoint_.config(), metadata_);
    }

    core::Tensor read_part(const std::string& name, const Step& step, const formats::Format& format) const {
        const Checkpoint::Entry& entry = *checkpoint_.find(name);
        core::Tensor tensor = checkpoint_.read(entry);
        if (!(tensor.shape == entry.shape)) fail(ErrorKind::bug, "{}: tensor {} has shape {}, not {}", path_, quoted(name), tensor.shape.text(), entry.shape.text());
        tensor = converted(tensor, format);
        return step.apply ? step.apply(tensor) : tensor;
    }

    /// Infos are in the order of their sources; a copy of an info is found by its name.
    const Source& source_of(const TensorInfo& info) const {
        const auto at = by_name_.find(info.name);
        if (at == by_name_.end()) fail(ErrorKind::bug, "{} has no tensor {}", path_, quoted(info.name));
        if (!info.format)
            fail(ErrorKind::unsupported, "{}: tensor {} is stored as {}, which this build cannot decode", path_, quoted(info.name), info.type_name);
        return sources_[at->second];
    }

    Checkpoint checkpoint_;
    std::unique_ptr<Mapping> mapping_;
    std::vector<Source> sources_;
    std::unordered_map<std::string, std::size_t> by_name_;
};

}  // namespace

bool looks_like_folder(const std::string& path) { return core::is_folder(path) && ::access((path + "/config.json").c_str(), R_OK) == 0; }

std::unique_ptr<File> open_folder(const std::string& path) { return std::make_unique<FolderFile>(path); }

}  // namespace tailor::files::hugging_face
