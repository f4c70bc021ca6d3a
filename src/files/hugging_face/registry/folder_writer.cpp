// Writing a model file as a Hugging Face folder: the rules of its architecture undone, one tensor at a time.
//
// Everything is written into a folder beside the wanted one, which is renamed at the end. Numbers of 32 bits come before those
// of 16, so that every tensor is aligned to its numbers. The keys that config.json has no place for go into a file of their
// own, so that a GGUF file that becomes a folder and a GGUF file again keeps them.
#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/new_folder.h"
#include "files/hugging_face/folder.h"
#include "files/hugging_face/registry.h"
#include "files/hugging_face/tokenizer_files.h"
#include "files/metadata_json.h"
#include "files/quoted.h"
#include "files/safetensors/layout.h"
#include "formats/registry.h"

namespace tailor::files::hugging_face {

using core::ErrorKind;
using core::fail;

namespace {

/// One tensor of the folder: part `part` of a rule, which may be one of several that were stacked.
struct Piece {
    const Rule* rule;
    std::size_t part;
    WritePlan::Entry entry;
};

core::Tensor expert_of(const core::Tensor& stacked, std::int64_t expert) {
    core::Shape shape;
    for (int d = 1; d < stacked.shape.rank(); ++d) shape.append(stacked.shape[d]);
    core::Tensor part = stacked;
    part.shape = shape;
    part.data = stacked.row(expert * shape.rows());
    return part;
}

/// Rows of several tensors (or of each of their stacked matrices) one after the other.
core::Tensor joined(const std::vector<core::Tensor>& parts, const formats::Format& format) {
    core::Shape shape = parts[0].shape;
    const int rows_at = shape.rank() - 2;
    for (std::size_t p = 1; p < parts.size(); ++p) shape[rows_at] += parts[p].shape[rows_at];
    core::Tensor result = formats::make_tensor(format, shape);
    std::int64_t to = 0;
    for (std::int64_t e = 0; e < shape.rows() / shape[rows_at]; ++e)
        for (const core::Tensor& part : parts)
            for (std::int64_t r = 0; r < part.shape[rows_at]; ++r)
                std::memcpy(result.row(to++), part.row(e * part.shape[rows_at] + r), static_cast<std::size_t>(result.row_stride_bytes));
    return result;
}

class FolderWriter {
  public:
    FolderWriter(const File& source, const FolderOptions& options) : source_(source), options_(options), mapping_(architecture_of(source), source) {
        if (const std::vector<std::string> left = mapping_.unclaimed(); !left.empty())
            fail(ErrorKind::unsupported, "{}: tensor {} has no place in a folder of {}", source.path(), quoted(left[0]), architecture_of(source).classes[0]);
        for (const Rule& rule : mapping_.rules())
            for (std::size_t part = 0; part < rule.theirs.size(); ++part) pieces_.push_back({&rule, part, planned(rule, part)});
        std::stable_sort(pieces_.begin(), pieces_.end(),
                         [](const Piece& a, const Piece& b) { return a.entry.format->bytes_per_block > b.entry.format->bytes_per_block; });
    }

    std::uint64_t write(const std::string& folder, const FolderProgress& progress) {
        safetensors::Contents contents;
        // What Transformers checks before it loads a file.
        contents.metadata.emplace_back("format", "pt");
        std::int64_t done = 0, total = 0;
        for (const Piece& piece : pieces_) {
            contents.tensors.push_back(piece.entry);
            total += piece.entry.shape.elements();
        }
        std::uint64_t bytes = safetensors::write_contents(folder + "/model.safetensors", contents, [&](std::size_t index) {
            if (index > 0) release(*pieces_[index - 1].rule);
            core::Tensor tensor = make(pieces_[index]);
            done += tensor.shape.elements();
            if (progress) progress(done, total);
            return tensor;
        });
        bytes += write_settings(folder);
        return bytes;
    }

  private:
    const TensorInfo& info_of(const std::string& name) const { return *source_.find(name); }

    const formats::Format& target(const TensorInfo& info) const {
        if (!info.format)
            fail(ErrorKind::unsupported, "{}: tensor {} is stored as {}, which this build cannot decode", source_.path(), quoted(info.name), info.type_name);
        const bool matrix = info.shape.rank() > 1 && info.format->weights;
        if (options_.matrices && matrix) return *options_.matrices;
        if (safetensors::data_type_of(*info.format)) return *info.format;
        return options_.instead_of_blocks ? *options_.instead_of_blocks : formats::get("f16");
    }

    WritePlan::Entry planned(const Rule& rule, std::size_t part) const {
        const TensorInfo& info = info_of(rule.ours[0]);
        core::Shape shape = info.shape;
        for (std::size_t p = 1; p < rule.ours.size(); ++p) shape[shape.rank() - 2] += info_of(rule.ours[p]).shape[shape.rank() - 2];
        if (rule.stacked) {
            core::Shape inner;
            for (int d = 1; d < shape.rank(); ++d) inner.append(shape[d]);
            shape = inner;
        }
        // A step that changes values needs f32 to work in; its tensors are small.
        const formats::Format& format = rule.step.as_f32 && info.format->name == "f32" ? formats::get("f32") : target(info);
        return {rule.theirs[part], &format, rule.step.shape_back ? rule.step.shape_back(shape) : shape};
    }

    core::Tensor make(const Piece& piece) const {
        const Rule& rule = *piece.rule;
        const formats::Format& worked = rule.step.as_f32 ? formats::get("f32") : *piece.entry.format;
        core::Tensor tensor;
        if (rule.ours.size() > 1) {
            std::vector<core::Tensor> parts;
            for (const std::string& name : rule.ours) parts.push_back(converted(source_.read(info_of(name)), worked));
            tensor = joined(parts, worked);
        } else {
            tensor = source_.read(info_of(rule.ours[0]));
            if (rule.stacked) tensor = expert_of(tensor, static_cast<std::int64_t>(piece.part));
            tensor = converted(tensor, worked);
        }
        if (rule.step.undo) tensor = rule.step.undo(tensor);
        return converted(tensor, *piece.entry.format);
    }

    void release(const Rule& rule) const {
        for (const std::string& name : rule.ours) source_.release(info_of(name));
    }

    /// One key a line, so that a person finds it.
    static std::string lines_of(const Metadata& metadata) {
        std::string text = "{";
        const core::Json typed = typed_json(metadata);
        for (const auto& [key, value] : typed.members()) text += (text.size() > 1 ? ",\n " : "\n ") + core::Json(key).text(-1) + ": " + value.text(-1);
        return text + "\n}\n";
    }

    /// The type that most values have, in the words of config.json.
    std::string main_type() const {
        std::int64_t counts[3] = {};
        constexpr std::string_view names[3] = {"f32", "f16", "bf16"}, words[3] = {"float32", "float16", "bfloat16"};
        for (const Piece& piece : pieces_)
            for (int i = 0; i < 3; ++i)
                if (piece.entry.format->name == names[i]) counts[i] += piece.entry.shape.elements();
        return std::string(words[std::max_element(counts, counts + 3) - counts]);
    }

    std::uint64_t write_settings(const std::string& folder) const {
        core::Json config = mapping_.config();
        config.set("torch_dtype", main_type());
        std::uint64_t bytes = write_tokenizer_files(folder, source_.metadata(), config);
        Metadata kept;
        // What the container decides itself does not outlive it; texts of whole files are files of their own.
        for (const auto& [key, value] : source_.metadata().entries())
            if (key != "general.alignment" && key != "general.file_type" && key != "general.quantization_version" && !key.starts_with("tokenizer.huggingface."))
                kept.append(key, value);
        for (const auto& [name, text] : {std::pair("/config.json", config.text() + "\n"),
                                         std::pair("/gguf_metadata.json", lines_of(kept))}) {
            core::write_text_file(folder + name, text);
            bytes += text.size();
        }
        return bytes;
    }

    const File& source_;
    const FolderOptions& options_;
    Mapping mapping_;
    std::vector<Piece> pieces_;
};

}  // namespace

std::uint64_t write_folder(const File& source, const std::string& path, const FolderOptions& options, const FolderProgress& progress) {
    FolderWriter writer(source, options);
    core::NewFolder folder(path);
    const std::uint64_t bytes = writer.write(folder.temporary(), progress);
    folder.commit();
    return bytes;
}

}  // namespace tailor::files::hugging_face
