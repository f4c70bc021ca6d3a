// tailor inspect: what is in a model file, whether or not this build can run it.
#include <algorithm>

#include "cli/common.h"
#include "core/error.h"
#include "text/tokenizer.h"

namespace tailor::cli::inspect_command {

struct Settings {
    std::string model;
    bool metadata = false, tensors = false, layers = false, formats = false, all = false;
    bool chosen() const { return metadata || tensors || layers || formats || all; }
};

/// A sum over tensors.
struct Sum {
    std::int64_t tensors = 0, parameters = 0, sized_parameters = 0;
    std::uint64_t bytes = 0;
    std::vector<std::string> formats;  ///< in order of appearance

    void add(const files::TensorInfo& tensor) {
        ++tensors;
        parameters += tensor.shape.elements();
        bytes += tensor.bytes;
        if (tensor.format) sized_parameters += tensor.shape.elements();
        const std::string name = format_of(tensor);
        if (std::find(formats.begin(), formats.end(), name) == formats.end()) formats.push_back(name);
    }
    static std::string format_of(const files::TensorInfo& tensor) { return tensor.format ? std::string(tensor.format->name) : tensor.type_name; }
    /// Of the tensors whose format is known.
    double bits() const { return sized_parameters ? 8.0 * static_cast<double>(bytes) / static_cast<double>(sized_parameters) : 0; }
    bool looks_like(const Sum& other) const {
        return tensors == other.tensors && parameters == other.parameters && bytes == other.bytes && formats == other.formats;
    }
};

/// Sums in the order in which their names first appear.
using Sums = std::vector<std::pair<std::string, Sum>>;

static Sum& sum_of(Sums& sums, const std::string& name) {
    for (auto& [key, sum] : sums)
        if (key == name) return sum;
    sums.emplace_back(name, Sum{});
    return sums.back().second;
}

// A layer's tensors share a name up to and with its number: "blk.3.attn_q.weight", "model.layers.3.mlp...". Everything
// else stands under its own first word: "token_embd", "output".
static std::string layer_of(const std::string& tensor) {
    std::string prefix;
    for (const std::string& part : core::split(tensor, '.')) {
        const bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
        prefix += (prefix.empty() ? "" : ".") + part;
        if (number) return prefix;
    }
    return tensor.substr(0, tensor.find('.'));
}

struct Contents {
    Sum total;
    Sums formats, layers;
    std::int64_t unknown = 0;  ///< tensors of a type that this build does not know
};

static Contents contents_of(const files::File& file) {
    Contents c;
    for (const files::TensorInfo& tensor : file.tensors()) {
        c.total.add(tensor);
        sum_of(c.formats, Sum::format_of(tensor)).add(tensor);
        sum_of(c.layers, layer_of(tensor.name)).add(tensor);
        c.unknown += tensor.format == nullptr;
    }
    std::stable_sort(c.formats.begin(), c.formats.end(), [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
    return c;
}

/// Why the model cannot be run; empty if it can.
static std::string obstacle(const Settings& s) {
    try {
        open_model(s.model);
        return "";
    } catch (const core::Error& error) {
        return error.what();
    }
}

static std::string tokenizer_line(const files::Metadata& metadata) {
    const std::string_view kind = text::tokenizer_name(metadata);
    if (kind.empty()) return "none";
    std::string line(kind);
    if (const files::MetaValue* pre = metadata.find("tokenizer.ggml.pre")) line += core::format(" ({})", pre->text);
    if (const files::MetaValue* tokens = metadata.find("tokenizer.ggml.tokens")) line += core::format(", {} tokens", tokens->items());
    if (metadata.find("tokenizer.chat_template")) line += ", with a chat template";
    return line;
}

static std::string parameters_text(const Sum& sum) { return human_count(static_cast<double>(sum.parameters)); }

static std::string bytes_text(const Sum& sum) {
    return sum.sized_parameters ? core::human_bytes(static_cast<double>(sum.bytes)) : "unknown";
}

static std::string bits_text(const Sum& sum) { return sum.sized_parameters ? core::format("{:.2f}", sum.bits()) : ""; }

static std::string tensors_text(std::int64_t count) { return core::format("{} tensor{}", count, count == 1 ? "" : "s"); }

// Facts of the network, where the metadata has them under the usual names.
static std::vector<std::pair<std::string, std::int64_t>> dimensions(const files::Metadata& metadata) {
    static constexpr std::pair<const char*, const char*> known[] = {
        {"layers", "block_count"},
        {"width", "embedding_length"},
        {"heads", "attention.head_count"},
        {"kv heads", "attention.head_count_kv"},
        {"ffn width", "feed_forward_length"},
        {"experts", "expert_count"},
        {"context", "context_length"}};
    std::vector<std::pair<std::string, std::int64_t>> found;
    const files::MetaValue* const architecture = metadata.find("general.architecture");
    if (!architecture) return found;
    for (const auto& [label, key] : known) {
        const files::MetaValue* const value = metadata.find(core::format("{}.{}", architecture->text, key));
        if (value && files::is_integer(value->type)) found.emplace_back(label, value->integer);
    }
    return found;
}

static void print_summary(const files::File& file, const Contents& c, const std::string& obstacle) {
    const files::MetaValue* const architecture = file.metadata().find("general.architecture");
    const files::MetaValue* const title = file.metadata().find("general.name");
    std::vector<std::string> shape;
    for (const auto& [label, value] : dimensions(file.metadata())) shape.push_back(core::format("{} {}", label, value));
    print(core::format("file         {}, {} ({} bytes)\n", file.path(), core::human_bytes(static_cast<double>(file.bytes())), file.bytes()));
    if (title) print(core::format("name         {}\n", title->text));
    print(core::format("family       {}{}\n", architecture ? architecture->text : "(not said)", shape.empty() ? "" : ": " + core::join(shape, ", ")));
    print(core::format("tokenizer    {}\n", tokenizer_line(file.metadata())));
    print(core::format("weights      {} parameters in {}", parameters_text(c.total), tensors_text(c.total.tensors)));
    print(c.total.sized_parameters ? core::format(", {}, {} bits per weight\n", bytes_text(c.total), bits_text(c.total)) : "\n");
    if (c.unknown > 0) print(core::format("             {} of types this build does not know, whose bytes are not counted\n", tensors_text(c.unknown)));
    print(core::format("runs here    {}\n", obstacle.empty() ? "yes" : "no: " + obstacle));
}

static std::vector<std::string> sum_row(const std::string& name, const Sum& sum) {
    return {name, std::to_string(sum.tensors), parameters_text(sum), bytes_text(sum), bits_text(sum)};
}

static void print_formats(const Contents& c) {
    std::vector<std::vector<std::string>> rows{{"format", "tensors", "parameters", "bytes", "bits"}};
    for (const auto& [name, sum] : c.formats) rows.push_back(sum_row(name, sum));
    print("\n" + core::table(rows));
}

// Neighbouring layers that look the same make one row: "blk.1 to blk.20".
static void print_layers(const Contents& c, bool every) {
    std::vector<std::vector<std::string>> rows{{"part", "tensors", "parameters", "bytes", "bits", "formats"}};
    for (std::size_t i = 0; i < c.layers.size();) {
        const auto& [name, sum] = c.layers[i];
        std::size_t last = i;
        while (!every && last + 1 < c.layers.size() && c.layers[last + 1].second.looks_like(sum)) ++last;
        rows.push_back(sum_row(last > i ? name + " to " + c.layers[last].first + ", each" : name, sum));
        rows.back().push_back(core::join(sum.formats, " "));
        i = last + 1;
    }
    print("\n" + core::table(rows));
}

static void print_tensors(const files::File& file) {
    std::vector<std::vector<std::string>> rows{{"tensor", "shape", "format", "bytes", "offset"}};
    for (const files::TensorInfo& tensor : file.tensors())
        rows.push_back({tensor.name, tensor.shape.text(), Sum::format_of(tensor), tensor.format ? std::to_string(tensor.bytes) : "?",
                        std::to_string(tensor.offset)});
    print("\n" + core::table(rows));
}

// One line per key; long texts and arrays are cut unless everything is wanted.
static void print_metadata(const files::File& file, bool everything) {
    constexpr std::size_t most_items = 6, most_characters = 100;
    std::size_t widest = 0;
    for (const auto& [key, value] : file.metadata().entries()) widest = std::max(widest, std::min<std::size_t>(key.size(), 48));
    print("\n");
    for (const auto& [key, value] : file.metadata().entries()) {
        const bool array = value.type == files::MetaType::array;
        // An f32 has seven digits; more would show how it widens to a double.
        std::string text = value.type == files::MetaType::f32 ? core::format("{:.7g}", value.real) : value.json(everything ? SIZE_MAX : most_items).text(-1);
        if (!everything && text.size() > most_characters) {
            std::size_t cut = most_characters;
            while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
            text = core::format("{}... ({} bytes)", text.substr(0, cut), text.size());
        }
        const std::string type = array ? core::format("{}[{}]", files::name(value.item_type), value.items()) : std::string(files::name(value.type));
        print(key + std::string(widest - std::min(widest, key.size()) + 2, ' ') + core::format("{:<12}  ", type) + text + "\n");
    }
}

static core::Json sum_json(const std::string& label, const std::string& name, const Sum& sum) {
    core::Json j;
    j.set(label, name).set("tensors", sum.tensors).set("parameters", sum.parameters);
    j.set("bytes", sum.sized_parameters ? core::Json(sum.bytes) : core::Json());
    return j.set("bits_per_weight", sum.sized_parameters ? core::Json(sum.bits()) : core::Json()).set("formats", core::Json::array(sum.formats));
}

static core::Json tensors_json(const files::File& file) {
    core::Json tensors{core::Json::Array{}};
    for (const files::TensorInfo& tensor : file.tensors()) {
        core::Json shape{core::Json::Array{}};
        for (int i = 0; i < tensor.shape.rank(); ++i) shape.add(tensor.shape[i]);
        tensors.add(core::Json().set("name", tensor.name).set("shape", std::move(shape)).set("format", Sum::format_of(tensor))
                        .set("bytes", tensor.format ? core::Json(tensor.bytes) : core::Json()).set("offset", tensor.offset));
    }
    return tensors;
}

static core::Json summary_json(const files::File& file, const Contents& c, const std::string& obstacle) {
    const files::Metadata& metadata = file.metadata();
    const auto word = [&](std::string_view key) {
        const files::MetaValue* const value = metadata.find(key);
        return value && value->type == files::MetaType::string ? core::Json(value->text) : core::Json();
    };
    core::Json j;
    j.set("path", file.path()).set("file_bytes", file.bytes()).set("name", word("general.name")).set("architecture", word("general.architecture"));
    for (const auto& [label, value] : dimensions(metadata)) {
        std::string key = label;
        std::replace(key.begin(), key.end(), ' ', '_');
        j.set(key, value);
    }
    const std::string_view tokenizer = text::tokenizer_name(metadata);
    j.set("tokenizer", tokenizer.empty() ? core::Json() : core::Json(tokenizer)).set("parameters", c.total.parameters).set("tensor_count", c.total.tensors);
    j.set("bytes", c.total.bytes).set("bits_per_weight", c.total.bits()).set("unknown_tensors", c.unknown);
    return j.set("runs", obstacle.empty()).set("obstacle", obstacle.empty() ? core::Json() : core::Json(obstacle));
}

static core::Json report_json(const files::File& file, const Contents& c, const Settings& s) {
    constexpr std::size_t most_items = 8;
    const bool everything = s.all || !s.chosen();
    core::Json j = summary_json(file, c, obstacle(s)), formats{core::Json::Array{}}, layers{core::Json::Array{}}, metadata{core::Json::Object{}};
    for (const auto& [name, sum] : c.formats) formats.add(sum_json("format", name, sum));
    for (const auto& [name, sum] : c.layers) layers.add(sum_json("part", name, sum));
    for (const auto& [key, value] : file.metadata().entries()) metadata.set(key, value.json(s.all ? SIZE_MAX : most_items));
    if (everything || s.formats) j.set("formats", std::move(formats));
    if (everything || s.layers) j.set("layers", std::move(layers));
    if (everything || s.metadata) j.set("metadata", std::move(metadata));
    if (everything || s.tensors) j.set("tensors", tensors_json(file));
    return j;
}

static void run(Options& options) {
    Settings s;
    options.add("model,-m,--model", s.model, "model file (GGUF); without one, the small English model built in");
    options.flag("--metadata", s.metadata, "the metadata only");
    options.flag("--tensors", s.tensors, "the table of tensors only");
    options.flag("--layers", s.layers, "the sums of every layer only");
    options.flag("--formats", s.formats, "the sums by number format only");
    options.flag("-a,--all", s.all, "everything, with nothing cut");
    options.parse();
    const std::unique_ptr<files::File> file = open_file(s.model);
    const Contents c = contents_of(*file);
    if (options.json()) return print_json(report_json(*file, c, s));
    const bool summary = s.all || !s.chosen();
    if (summary) print_summary(*file, c, obstacle(s));
    if (summary || s.formats) print_formats(c);
    if (summary || s.layers) print_layers(c, s.layers || s.all);
    if (summary || s.metadata) print_metadata(*file, s.all);
    if (s.all || s.tensors) print_tensors(*file);
}

}  // namespace tailor::cli::inspect_command

namespace tailor::cli::entries {
extern const Command inspect = {
    .name = "inspect",
    .doc = "show what is in a model file",
    .examples = "tailor inspect model.gguf\n"
                "tailor inspect model.gguf --tensors\n"
                "tailor inspect model.gguf --layers --formats\n"
                "tailor inspect model.gguf --all --json",
    .run = &inspect_command::run,
    .place = 60,
};
}  // namespace tailor::cli::entries
