// Selecting rows and columns of packed tensors, and the metadata that says so; see compress/cut.h.
#include "compress/cut.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "core/error.h"
#include "formats/panels.h"
#include "formats/registry.h"

namespace tailor::compress {

using core::ErrorKind;
using core::fail;

namespace {

std::string layer_name(std::int64_t layer) { return "blk." + std::to_string(layer) + "."; }

std::string architecture_of(const files::File& file) { return std::string(file.metadata().text("general.architecture")); }

// "Wgate and Wup in one tensor", as Phi-3 has them: its rows are those of both.
bool is_joined(const files::File& file, std::int64_t layer) {
    const files::TensorInfo* const up = file.find(layer_name(layer) + "ffn_up.weight");
    return up && !file.find(layer_name(layer) + "ffn_gate.weight") && up->shape[0] == 2 * feed_forward_units(file, layer);
}

core::Tensor select_rows(const core::Tensor& tensor, const std::vector<std::int64_t>& kept, std::int64_t halves) {
    const std::int64_t part = tensor.shape[0] / halves;
    core::Shape shape = tensor.shape;
    shape[0] = halves * static_cast<std::int64_t>(kept.size());
    core::Tensor result = formats::make_tensor(*tensor.format, shape);
    std::int64_t to = 0;
    for (std::int64_t half = 0; half < halves; ++half)
        for (const std::int64_t row : kept) std::memcpy(result.row(to++), tensor.row(half * part + row), static_cast<std::size_t>(result.row_stride_bytes));
    return result;
}

// A vector is one row.
core::Tensor select_values(const core::Tensor& vector, const std::vector<std::int64_t>& kept, std::int64_t halves) {
    const std::int64_t part = vector.shape[0] / halves;
    core::Tensor result = formats::make_tensor(formats::get("f32"), {halves * static_cast<std::int64_t>(kept.size())});
    std::vector<float> all(static_cast<std::size_t>(vector.shape[0]));
    formats::decode_row(vector, 0, all.data());
    float* to = result.row_f32(0);
    for (std::int64_t half = 0; half < halves; ++half)
        for (const std::int64_t unit : kept) *to++ = all[static_cast<std::size_t>(half * part + unit)];
    return result;
}

// The first unit of each kept block, if whole blocks are kept; else empty.
std::vector<std::int64_t> whole_blocks(const std::vector<std::int64_t>& kept, std::int64_t block) {
    std::vector<std::int64_t> firsts;
    for (std::size_t i = 0; i < kept.size(); i += static_cast<std::size_t>(block)) {
        const std::size_t last = i + static_cast<std::size_t>(block) - 1;
        if (kept[i] % block != 0 || last >= kept.size() || kept[last] != kept[i] + block - 1) return {};
        firsts.push_back(kept[i]);
    }
    return firsts;
}

core::Tensor select_columns(const core::Tensor& tensor, const std::vector<std::int64_t>& kept) {
    const formats::Format& format = *tensor.format;
    const auto width = static_cast<std::int64_t>(kept.size());
    core::Tensor result = formats::make_tensor(format, {tensor.shape[0], width});
    const std::vector<std::int64_t> blocks = whole_blocks(kept, format.values_per_block);
    const std::int64_t block_bytes = format.row_bytes(format.values_per_block);
    std::vector<float> all(static_cast<std::size_t>(tensor.shape.width())), some(kept.size());
    for (std::int64_t r = 0; r < tensor.shape[0]; ++r) {
        if (!blocks.empty()) {
            for (std::size_t b = 0; b < blocks.size(); ++b)
                std::memcpy(result.row(r) + static_cast<std::int64_t>(b) * block_bytes, tensor.row(r) + blocks[b] / format.values_per_block * block_bytes,
                            static_cast<std::size_t>(block_bytes));
            continue;
        }
        formats::decode_row(tensor, r, all.data());
        for (std::size_t i = 0; i < kept.size(); ++i) some[i] = all[static_cast<std::size_t>(kept[i])];
        format.encode(some.data(), nullptr, result.row(r), width);
    }
    return result;
}

class CutFile : public files::File {
  public:
    CutFile(const files::File& source, const std::vector<LayerCut>& cuts) : source_(source) {
        path_ = source.path() + " (cut)";
        const std::string architecture = architecture_of(source);
        layers_ = source.metadata().integer(architecture + ".block_count");
        bool loses_attention = false;
        for (const LayerCut& cut : cuts) {
            check(cut);
            if (!cuts_.emplace(cut.layer, cut).second) fail(ErrorKind::usage, "layer {} is cut twice", cut.layer);
            loses_attention |= !cut.keeps_attention;
        }
        if (loses_attention && architecture != "llama" && architecture != "deci")
            fail(ErrorKind::unsupported, "{}: only llama and deci models can lose an attention, not {}", source.path(), architecture);
        describe(architecture, loses_attention ? "deci" : architecture);
        for (const files::TensorInfo& tensor : source.tensors()) add(tensor);
    }

    core::Tensor read(const files::TensorInfo& info) const override {
        const files::TensorInfo& original = *source_.find(info.name);
        const core::Tensor tensor = source_.read(original);
        const LayerCut* const cut = cut_of(info.name);
        if (!cut || info.shape == original.shape) return tensor;
        const std::int64_t halves = is_joined(source_, cut->layer) && info.name.find("ffn_up") != std::string::npos ? 2 : 1;
        if (tensor.shape.rank() == 1) return select_values(tensor, cut->kept_units, halves);
        return is_down(info.name) ? select_columns(tensor, cut->kept_units) : select_rows(tensor, cut->kept_units, halves);
    }
    void release(const files::TensorInfo& info) const override { source_.release(*source_.find(info.name)); }
    std::uint64_t bytes() const override {
        std::uint64_t total = 0;
        for (const files::TensorInfo& tensor : tensors_) total += tensor.bytes;
        return total;
    }

  private:
    static bool is_down(std::string_view name) { return name.find("ffn_down.weight") != std::string_view::npos; }

    void check(const LayerCut& cut) const {
        if (cut.layer < 0 || cut.layer >= layers_) fail(ErrorKind::usage, "{}: there is no layer {}; there are {}, from 0", source_.path(), cut.layer, layers_);
        if (cut.kept_units.empty()) return;
        for (const files::TensorInfo& tensor : source_.tensors())
            if (tensor.name.starts_with(layer_name(cut.layer) + "ffn_act") && tensor.shape.elements() > 1)
                fail(ErrorKind::unsupported, "{}: groups of units share the activation '{}', so that none can be left out", source_.path(), tensor.name);
        const std::int64_t units = feed_forward_units(source_, cut.layer);
        for (std::size_t i = 0; i < cut.kept_units.size(); ++i)
            if (cut.kept_units[i] < 0 || cut.kept_units[i] >= units || (i > 0 && cut.kept_units[i] <= cut.kept_units[i - 1]))
                fail(ErrorKind::usage, "layer {}: kept units must ascend and lie below {}", cut.layer, units);
    }

    const LayerCut* cut_of(std::string_view name) const {
        for (const auto& [layer, cut] : cuts_)
            if (name.starts_with(layer_name(layer))) return &cut;
        return nullptr;
    }

    // One number per layer of a key that holds one for all or an array.
    std::vector<std::int64_t> per_layer(const std::string& key, std::int64_t fallback) const {
        const files::MetaValue* const value = source_.metadata().find(key);
        if (value && value->type == files::MetaType::array) return value->integers;
        return std::vector<std::int64_t>(static_cast<std::size_t>(layers_), source_.metadata().integer(key, fallback));
    }

    void describe(const std::string& from, const std::string& to) {
        for (const auto& [key, value] : source_.metadata().entries())
            metadata_.set(key.starts_with(from + ".") ? to + key.substr(from.size()) : key, value);
        metadata_.set_text("general.architecture", to);
        std::vector<std::int64_t> heads = per_layer(from + ".attention.head_count", 0), kv_heads = heads;
        std::vector<std::int64_t> ffn = per_layer(from + ".feed_forward_length", 0);
        if (source_.metadata().find(from + ".attention.head_count_kv")) kv_heads = per_layer(from + ".attention.head_count_kv", 0);
        bool narrower = false;
        for (const auto& [layer, cut] : cuts_) {
            const auto i = static_cast<std::size_t>(layer);
            if (!cut.keeps_attention) heads.at(i) = kv_heads.at(i) = 0;
            if (!cut.kept_units.empty()) ffn.at(i) = static_cast<std::int64_t>(cut.kept_units.size()), narrower = true;
        }
        if (to == "deci") {
            metadata_.set_integers(to + ".attention.head_count", heads);
            metadata_.set_integers(to + ".attention.head_count_kv", kv_heads);
        }
        if (to == "deci" || narrower) metadata_.set_integers(to + ".feed_forward_length", ffn);
    }

    void add(files::TensorInfo tensor) {
        const LayerCut* const cut = cut_of(tensor.name);
        if (cut && !cut->keeps_attention && tensor.name.starts_with(layer_name(cut->layer) + "attn_")) return;
        tensor.offset = 0;
        if (cut && !cut->kept_units.empty() && follows_units(tensor, cut->layer)) narrow(tensor, *cut);
        tensors_.push_back(std::move(tensor));
    }

    // The matrices and their biases, and a norm between them (BitNet), but not the one scale of a whole matrix. Other norms have the model's
    // width, and experts units of their own.
    static bool follows_units(const files::TensorInfo& tensor, std::int64_t layer) {
        const std::string prefix = layer_name(layer);
        if (!tensor.name.starts_with(prefix) || tensor.shape.elements() == 1) return false;
        const std::string part = tensor.name.substr(prefix.size());
        constexpr std::string_view parts[] = {"ffn_gate.", "ffn_up.", "ffn_down.", "ffn_sub_norm."};
        return std::any_of(std::begin(parts), std::end(parts), [&](std::string_view name) { return part.starts_with(name); });
    }

    // The shape and bytes that read() will give.
    void narrow(files::TensorInfo& tensor, const LayerCut& cut) const {
        const auto kept = static_cast<std::int64_t>(cut.kept_units.size());
        if (tensor.name.ends_with("ffn_down.bias")) return;
        if (!tensor.format)
            fail(ErrorKind::unsupported, "{}: tensor '{}' is stored as {}, which this build cannot decode", source_.path(), tensor.name, tensor.type_name);
        if (is_down(tensor.name)) {
            if (!tensor.format->holds(kept) || (!tensor.format->encode && whole_blocks(cut.kept_units, tensor.format->values_per_block).empty()))
                fail(ErrorKind::shape, "{}: tensor '{}' is stored as {} in blocks of {}, which {} units do not fill; keep another number, or cut before quantizing",
                     source_.path(), tensor.name, tensor.format->name, tensor.format->values_per_block, kept);
            tensor.shape[1] = kept;
        } else {
            tensor.shape[0] = kept * tensor.shape[0] / feed_forward_units(source_, cut.layer);
            if (tensor.shape.rank() == 1) tensor.format = &formats::get("f32"), tensor.type_name = "F32";
        }
        tensor.bytes = static_cast<std::uint64_t>(formats::tensor_bytes(*tensor.format, tensor.shape));
    }

    const files::File& source_;
    std::int64_t layers_ = 0;
    std::map<std::int64_t, LayerCut> cuts_;
};

}  // namespace

std::int64_t feed_forward_units(const files::File& file, std::int64_t layer) {
    const files::TensorInfo* const down = file.find(layer_name(layer) + "ffn_down.weight");
    if (!down || down->shape.rank() != 2 || !file.find(layer_name(layer) + "ffn_up.weight"))
        fail(ErrorKind::unsupported, "{}: layer {} has no plain feed-forward part (ffn_up, ffn_down) to narrow", file.path(), layer);
    return down->shape[1];
}

std::int64_t require_units(const files::File& file, std::int64_t layer, std::int64_t count) {
    const std::int64_t units = feed_forward_units(file, layer);
    if (count < 1 || count > units) fail(ErrorKind::usage, "{}: {} of the {} units of layer {} cannot be kept", file.path(), count, units, layer);
    return units;
}

std::vector<std::int64_t> strongest_units(const files::File& file, std::int64_t layer, std::int64_t count, const Importance* importance) {
    const std::int64_t units = require_units(file, layer, count);
    const std::string name = layer_name(layer) + "ffn_down.weight";
    const core::Tensor down = file.read(*file.find(name));
    const std::span<const float> inputs = importance ? importance->of(name) : std::span<const float>();
    std::vector<double> strength(static_cast<std::size_t>(units));
    std::vector<float> row(strength.size());
    for (std::int64_t r = 0; r < down.shape[0]; ++r) {
        formats::decode_row(down, r, row.data());
        for (std::size_t i = 0; i < row.size(); ++i) strength[i] += static_cast<double>(row[i]) * row[i];
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) strength[i] *= inputs[i];
    std::vector<std::int64_t> order(strength.size());
    std::iota(order.begin(), order.end(), 0);
    const auto stronger = [&](std::int64_t a, std::int64_t b) { return strength[static_cast<std::size_t>(a)] > strength[static_cast<std::size_t>(b)]; };
    std::stable_sort(order.begin(), order.end(), stronger);
    order.resize(static_cast<std::size_t>(count));
    std::sort(order.begin(), order.end());
    return order;
}

std::unique_ptr<files::File> cut(const files::File& source, const std::vector<LayerCut>& cuts) { return std::make_unique<CutFile>(source, cuts); }

}  // namespace tailor::compress
