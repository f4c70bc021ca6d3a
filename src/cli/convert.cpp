// tailor convert: the same model in another container, GGUF or safetensors, tensor by tensor.
//
// Names, settings and layouts go over with it: a Hugging Face folder becomes a GGUF file that any program of that kind reads, and
// back. Numbers stay as they are unless a format is given or the container cannot hold them.
#include <chrono>

#include "cli/common.h"
#include "cli/fallbacks.h"
#include "cli/merge.h"
#include "cli/outputs.h"
#include "compress/quantize_file.h"
#include "core/error.h"
#include "files/hugging_face/folder.h"
#include "files/registry.h"
#include "formats/registry.h"
#include "text/gguf_vocabulary.h"
#include "text/tokenizer.h"

namespace tailor::cli::convert_command {

struct Settings {
    std::string model, output, format, adapter;
    std::int64_t threads = 0;
};

static void declare(Options& options, Settings& s) {
    options.add("model,-m,--model", s.model, "model file or Hugging Face folder");
    options.add("output,-o,--output", s.output, "file.gguf, file.safetensors, or a new folder for config.json and model.safetensors");
    options.add("--adapter", s.adapter, "adapter to merge into the weights: a GGUF file, or a folder of PEFT's");
    options.add("--format", s.format, "number format of weight matrices; without it they stay as they are");
    options.add("-t,--threads", s.threads, "threads; 0: one per core");
}

/// Where the model goes.
enum class Target { file, folder };

static Target target_of(const std::string& output) {
    const std::string name = core::lower(output);
    for (const files::FileKind* kind : files::all())
        if (name.size() > kind->extension.size() && name.ends_with(kind->extension)) return Target::file;
    // A folder has no extension, but a version in its name may look like one: "Llama-3.2-1B".
    for (const std::string_view other : {".bin", ".pt", ".pth", ".onnx", ".zip", ".ggml", ".json"})
        if (name.ends_with(other)) files::kind_for(output);
    return Target::folder;
}

/// The format a tensor gets in a file of this kind: the wanted one for matrices; where the kind has no type for its own, f16.
static const formats::Format& choose(const files::TensorInfo& tensor, const formats::Format* wanted, const files::FileKind& kind) {
    const formats::Format* format = wanted && compress::is_weight_matrix(tensor) ? &compress::fitting_format(*wanted, tensor.shape.width()) : tensor.format;
    const bool blocks = format && format->values_per_block > 1;
    return blocks && kind.name == "safetensors" ? formats::get("f16") : *format;
}

/// Another file with keys added.
class WithKeys : public files::File {
  public:
    WithKeys(const files::File& file, const files::Metadata& keys) : file_(file) {
        path_ = file.path();
        tensors_ = file.tensors();
        metadata_ = file.metadata();
        for (const auto& [key, value] : keys.entries()) metadata_.set(key, value);
    }
    core::Tensor read(const files::TensorInfo& tensor) const override { return file_.read(tensor); }
    void release(const files::TensorInfo& tensor) const override { file_.release(tensor); }
    std::uint64_t bytes() const override { return file_.bytes(); }

  private:
    const files::File& file_;
};

/// The keys by which other programs find the vocabulary of a folder; a note says so if there can be none.
static files::Metadata vocabulary_of(const files::File& file) {
    if (file.metadata().find("tokenizer.ggml.model") || !text::has_tokenizer(file.metadata())) return {};
    try {
        files::Metadata keys = text::gguf_vocabulary(file.metadata());
        if (text::composes_text(file.metadata()))
            note("tokenizer.json joins letters and their marks (NFC) before it cuts text, for which GGUF has no key: text that has them apart gets other tokens from the GGUF file");
        return keys;
    } catch (const core::Error& error) {
        note(core::format("the vocabulary stays in the form of tokenizer.json, which other programs may not read: {}", error.what()));
        return {};
    }
}

static std::uint64_t write_file(const files::File& file, const Settings& s, const formats::Format* wanted, const run::Progress& progress) {
    core::Pool pool(checked_threads(s.threads));
    if (!s.adapter.empty()) return write_merged(file, files::read_adapter(s.adapter, file), s.output, wanted, pool, progress);
    const files::FileKind& kind = files::kind_for(s.output);
    const WithKeys complete(file, vocabulary_of(file));
    return compress::write_quantized(
        complete, [&](const files::TensorInfo& tensor) -> const formats::Format& { return choose(tensor, wanted, kind); }, nullptr, s.output, pool, progress);
}

static std::uint64_t write_folder(const files::File& file, const Settings& s, const formats::Format* wanted, const run::Progress& progress) {
    if (wanted && wanted->name != "f32" && wanted->name != "f16" && wanted->name != "bf16")
        core::fail(core::ErrorKind::usage, "--format {}: safetensors holds f32, f16 and bf16", wanted->name);
    return files::hugging_face::write_folder(file, s.output, {.matrices = wanted}, progress);
}

static void run(Options& options) {
    Settings s;
    declare(options, s);
    options.parse();
    if (s.model.empty() || s.output.empty()) core::fail(core::ErrorKind::usage, "say what to convert and where to: tailor convert IN OUT");
    const formats::Format* const wanted = s.format.empty() ? nullptr : &formats::get(s.format);
    const Target target = target_of(s.output);
    check_outputs({{"-o", s.output, target == Target::folder}}, {{"the model", s.model}, {"the adapter", s.adapter}});
    const auto start = std::chrono::steady_clock::now();
    const std::unique_ptr<files::File> file = open_file(s.model);
    if (!s.adapter.empty() && target == Target::folder) core::fail(core::ErrorKind::usage, "--adapter merges into a file; convert that into the folder {}", s.output);
    if (wanted && target == Target::file) note_fallbacks(fallbacks_of(*file, *wanted));
    ProgressLine line("values converted");
    const std::uint64_t bytes = target == Target::file ? write_file(*file, s, wanted, line.callback()) : write_folder(*file, s, wanted, line.callback());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const auto tensors = static_cast<std::int64_t>(file->tensors().size());
    if (options.json())
        return print_json(core::Json().set("output", s.output).set("kind", target == Target::file ? std::string(files::kind_for(s.output).name) : "folder")
                              .set("bytes", bytes).set("source_bytes", file->bytes()).set("tensors", tensors).set("seconds", seconds));
    print(core::format("{}: {} ({} bytes), {} tensors, from {} bytes; {:.1f} s\n", s.output, core::human_bytes(static_cast<double>(bytes)), bytes, tensors,
                       file->bytes(), seconds));
}

}  // namespace tailor::cli::convert_command

namespace tailor::cli::entries {
extern const Command convert = {
    .name = "convert",
    .doc = "write a model in another container: GGUF, safetensors, a Hugging Face folder",
    .examples = "tailor convert Qwen2.5-0.5B qwen.gguf\n"
                "tailor convert Qwen2.5-0.5B qwen-q8_0.gguf --format q8_0\n"
                "tailor convert model.gguf folder\n"
                "tailor convert model.gguf merged.gguf --adapter adapter.gguf --format q8_0\n"
                "tailor convert model-q4_k.gguf folder --format bf16",
    .run = &convert_command::run,
    .place = 55,
};
}  // namespace tailor::cli::entries
