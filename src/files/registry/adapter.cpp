// Adapters in GGUF files, and adapters merged into the weights they stand beside; see adapter.h.
#include "files/adapter.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "files/hugging_face/peft.h"
#include "files/quoted.h"
#include "files/registry.h"
#include "formats/registry.h"

namespace tailor::files {

using core::ErrorKind;
using core::fail;

const Adapter::Pair* Adapter::find(std::string_view weight) const {
    const auto it = std::find_if(pairs.begin(), pairs.end(), [&](const Pair& pair) { return pair.weight == weight; });
    return it == pairs.end() ? nullptr : &*it;
}

static void check_pair(const Adapter& adapter, const Adapter::Pair& pair, const File& base) {
    const TensorInfo* const info = base.find(pair.weight);
    if (!info) fail(ErrorKind::unsupported, "{}: it changes {}, which {} does not have; is it of another model?", adapter.path, quoted(pair.weight), base.path());
    const core::Shape &w = info->shape, &a = pair.a.shape, &b = pair.b.shape;
    if (w.rank() != 2 || a.rank() != 2 || b.rank() != 2 || a[1] != w[1] || b[0] != w[0] || a[0] != b[1])
        fail(ErrorKind::unsupported, "{}: beside {} of shape {} stand matrices of shapes {} and {}; [rank, inputs] and [outputs, rank] were expected; is it of another model?", adapter.path,
             quoted(pair.weight), w.text(), a.text(), b.text());
}

static Adapter read_gguf(const std::string& path, const File& base) {
    const std::shared_ptr<const File> file = files::open(path);
    const Metadata& metadata = file->metadata();
    if (metadata.text("general.type", "model") != "adapter" || metadata.text("adapter.type", "") != "lora")
        fail(ErrorKind::format, "{}: no adapter: general.type is {} and adapter.type is {}; adapter and lora were expected", path, quoted(metadata.text("general.type", "model")),
             quoted(metadata.text("adapter.type", "")));
    const std::string_view of = metadata.text("general.architecture"), have = base.metadata().text("general.architecture");
    if (of != have) fail(ErrorKind::unsupported, "{}: the adapter is for models of the architecture {}, {} is of {}", path, quoted(of), base.path(), quoted(have));
    Adapter adapter;
    adapter.path = path, adapter.alpha = metadata.real("adapter.lora.alpha"), adapter.memory = file;
    std::map<std::string, Adapter::Pair, std::less<>> pairs;
    for (const TensorInfo& info : file->tensors()) {
        const bool is_a = info.name.ends_with(adapter_a);
        if (!is_a && !info.name.ends_with(adapter_b)) fail(ErrorKind::unsupported, "{}: tensor {} is no part of a pair of matrices, .lora_a and .lora_b", path, quoted(info.name));
        Adapter::Pair& pair = pairs[info.name.substr(0, info.name.size() - adapter_a.size())];
        (is_a ? pair.a : pair.b) = file->read(info);
    }
    for (const TensorInfo& info : base.tensors())  // the order of the model
        if (const auto it = pairs.find(info.name); it != pairs.end()) {
            it->second.weight = it->first;
            adapter.pairs.push_back(std::move(it->second)), pairs.erase(it);
        }
    for (auto& [name, pair] : pairs) pair.weight = name, adapter.pairs.push_back(pair);
    for (const Adapter::Pair& pair : adapter.pairs)
        if (!pair.a || !pair.b) fail(ErrorKind::format, "{}: {} has only one of its two matrices", path, quoted(pair.weight));
    return adapter;
}

Adapter read_adapter(const std::string& path, const File& base) {
    Adapter adapter = hugging_face::looks_like_adapter(path) ? hugging_face::read_adapter_folder(path, base) : read_gguf(path, base);
    if (adapter.pairs.empty()) fail(ErrorKind::format, "{}: an adapter without matrices", path);
    for (const Adapter::Pair& pair : adapter.pairs) check_pair(adapter, pair, base);
    return adapter;
}

static core::Tensor converted(const core::Tensor& tensor, const formats::Format& format) {
    if (tensor.format == &format && tensor.layout == core::Layout::rows) return tensor;
    const core::Tensor result = formats::make_tensor(format, tensor.shape);
    std::vector<float> row(static_cast<std::size_t>(tensor.shape.width()));
    for (std::int64_t r = 0; r < tensor.shape.rows(); ++r) {
        tensor.format->decode.functions[0](tensor.row(r), row.data(), tensor.shape.width());
        format.encode(row.data(), nullptr, result.row(r), tensor.shape.width());
    }
    return result;
}

std::uint64_t write_adapter(const std::string& path, const Adapter& adapter, const File& base, const formats::Format& format) {
    if (!core::lower(path).ends_with(".gguf")) {
        const bool single = format.values_per_block == 1;
        return hugging_face::write_adapter_folder(path, adapter, base, single ? format : formats::get("f16"));
    }
    WritePlan plan;
    plan.metadata.set_text("general.type", "adapter");
    plan.metadata.set_text("general.architecture", std::string(base.metadata().text("general.architecture")));
    if (const std::string_view name = base.metadata().text("general.name", ""); !name.empty()) plan.metadata.set_text("general.base_model.0.name", std::string(name));
    plan.metadata.set_text("adapter.type", "lora");
    plan.metadata.set_real("adapter.lora.alpha", adapter.alpha);
    std::vector<const core::Tensor*> sources;
    const auto add = [&](const std::string& name, const core::Tensor& tensor) {
        plan.tensors.push_back({name, format.holds(tensor.shape.width()) ? &format : &formats::get("f16"), tensor.shape});
        sources.push_back(&tensor);
    };
    for (const Adapter::Pair& pair : adapter.pairs) add(pair.weight + std::string(adapter_a), pair.a), add(pair.weight + std::string(adapter_b), pair.b);
    return kind_for(path).write(path, plan, [&](std::size_t index) { return converted(*sources[index], *plan.tensors[index].format); });
}

namespace {

class Merged : public File {
  public:
    Merged(const File& base, const Adapter& adapter) : base_(base), adapter_(adapter) {
        path_ = base.path(), metadata_ = base.metadata(), tensors_ = base.tensors();
        for (TensorInfo& info : tensors_) {
            if (!adapter.find(info.name)) continue;
            info.format = &formats::get("f32"), info.type_name = "F32";
            info.bytes = static_cast<std::uint64_t>(formats::tensor_bytes(*info.format, info.shape));
        }
    }

    core::Tensor read(const TensorInfo& info) const override {
        const core::Tensor weight = base_.read(*base_.find(info.name));
        const Adapter::Pair* const pair = adapter_.find(info.name);
        if (!pair) return weight;
        const core::Tensor result = formats::make_tensor(formats::get("f32"), weight.shape), a = converted(pair->a, formats::get("f32")), b = converted(pair->b, formats::get("f32"));
        const auto factor = static_cast<float>(adapter_.factor(*pair));
        const std::int64_t width = weight.shape.width();
        for (std::int64_t r = 0; r < weight.shape.rows(); ++r) {
            float* const to = result.row_f32(r);
            weight.format->decode.functions[0](weight.row(r), to, width);
            for (std::int64_t k = 0; k < pair->rank(); ++k) {
                const float share = factor * b.row_f32(r)[k];
                const float* const from = a.row_f32(k);
                for (std::int64_t i = 0; i < width; ++i) to[i] += share * from[i];
            }
        }
        return result;
    }
    void release(const TensorInfo& info) const override { base_.release(*base_.find(info.name)); }
    std::uint64_t bytes() const override { return base_.bytes(); }

  private:
    const File& base_;
    const Adapter& adapter_;
};

}  // namespace

std::unique_ptr<File> merged(const File& base, const Adapter& adapter) { return std::make_unique<Merged>(base, adapter); }

}  // namespace tailor::files
