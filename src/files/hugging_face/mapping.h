// From the conventions of Hugging Face folders to those of GGUF files, and back, by one description.
//
// The same network has two spellings: config.json with "hidden_size" and tensors "model.layers.0.self_attn.q_proj.weight", or
// metadata "llama.embedding_length" and tensors "blk.0.attn_q.weight". Families (src/models) know the second only. What the
// two have to do with each other is one file per Hugging Face architecture, src/files/hugging_face/<name>.cpp, which defines
// `extern const Architecture <name>` in namespace tailor::files::hugging_face::entries. Its map() names pairs; a Mapping
// carries them over in whichever direction it was made for:
//
//     const std::int64_t layers = m.integer("num_hidden_layers", "block_count");
//     m.tensor("model.norm.weight", "output_norm.weight");
//
// A tensor that is there and that map() did not name is an error: a weight that is ignored means a wrong model.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "files/file.h"
#include "files/hugging_face/step.h"

namespace tailor::files::hugging_face {

class Mapping;

struct Architecture {
    std::span<const std::string_view> classes;  ///< of "architectures" in config.json; the first is written
    std::string_view gguf;                      ///< general.architecture
    std::string_view doc;
    void (*map)(Mapping& mapping);
    /// True if a GGUF file of this general.architecture is this architecture; nullptr: always. Asked before those without.
    bool (*describes)(const Metadata& metadata) = nullptr;
    std::string_view model_type;                ///< of config.json
    std::string_view defaults = "{}";           ///< JSON: what members mean that config.json leaves out
};

/// The tensors of one side, with their shapes.
using Shapes = std::map<std::string, core::Shape, std::less<>>;

/// How tensors of one side become tensors of the other.
struct Rule {
    std::vector<std::string> theirs;  ///< Hugging Face; none: `made`
    std::vector<std::string> ours;    ///< GGUF; several are the rows of one, cut at `rows`
    Step step;                        ///< applied to each of `theirs`
    std::vector<std::int64_t> rows;   ///< of each of `ours`, if several
    bool stacked = false;             ///< `theirs` lie along a new outermost dimension of ours[0]
    core::Tensor made;                ///< a tensor that only GGUF has, computed from the settings
};

class Mapping {
  public:
    /// From a folder: `config` is config.json. Throws Error as map() meets it.
    Mapping(const Architecture& architecture, const core::Json& config, Shapes theirs);
    /// From a GGUF file, which must outlive it.
    Mapping(const Architecture& architecture, const File& file);
    Mapping(const Mapping&) = delete;

    /// True from Hugging Face to GGUF.
    bool reading() const { return reading_; }
    /// What was found: from a folder, the metadata made so far; from a GGUF file, its own.
    const Metadata& metadata() const { return metadata_; }
    /// From a folder, its config.json; from a GGUF file, what was made so far.
    const core::Json& config() const { return config_; }
    const std::vector<Rule>& rules() const { return rules_; }
    /// Tensors of the source that no rule names and none may ignore; the rest must be nothing.
    std::vector<std::string> unclaimed() const;

    // ---- Settings: a key of config.json and "<architecture>.<key>" of the metadata ----

    /// A setting that both sides need: Error(format) naming the key of the source if it is missing.
    std::int64_t integer(std::string_view theirs, std::string_view ours);
    double real(std::string_view theirs, std::string_view ours);
    /// With a value that the source means when it does not say; the other side then says it.
    std::int64_t integer(std::string_view theirs, std::string_view ours, std::int64_t meant);
    double real(std::string_view theirs, std::string_view ours, double meant);
    bool boolean(std::string_view theirs, std::string_view ours, bool meant);
    /// Carried over where the source has it.
    std::optional<std::int64_t> integer_if(std::string_view theirs, std::string_view ours);
    std::optional<double> real_if(std::string_view theirs, std::string_view ours);

    /// A member of config.json that is not null; nullptr when missing.
    const core::Json* member(std::string_view key) const;
    /// Writing only: a member of config.json.
    void set_member(std::string_view key, core::Json value);
    /// "<architecture>.<key>".
    std::string key(std::string_view name) const { return std::string(architecture_.gguf) + "." + std::string(name); }
    /// Reading only: metadata under "<architecture>.<key>".
    void set(std::string_view key, std::int64_t value);
    void set(std::string_view key, double value);
    void set(std::string_view key, bool value);
    void set_text(std::string_view key, std::string value);
    void set(std::string_view key, std::vector<std::int64_t> values, MetaType type);

    // ---- Tensors: nothing happens where the source does not have them ----

    bool has_theirs(std::string_view name) const { return reading_ && source_.contains(name); }
    bool has_ours(std::string_view name) const { return !reading_ && source_.contains(name); }
    /// Shape of a tensor of the source, under its name there; nullptr when missing.
    const core::Shape* shape(std::string_view theirs, std::string_view ours) const;
    void tensor(const std::string& theirs, const std::string& ours, const Step& step = same());
    /// `theirs`.weight and `theirs`.bias.
    void linear(const std::string& theirs, const std::string& ours, const Step& step = same());
    /// Several tensors of one shape and one of a dimension more. Error(format) if only some are there.
    void stack(const std::vector<std::string>& theirs, const std::string& ours, const Step& step = same());
    /// One tensor there whose rows are several here.
    void cut(const std::string& theirs, const std::vector<std::string>& ours, const std::vector<std::int64_t>& rows);
    /// A vector that only GGUF has: put there when reading; when writing, its numbers, empty if the file has none.
    void put_numbers(const std::string& ours, const std::vector<float>& numbers);
    std::vector<float> take_numbers(const std::string& ours);
    /// A tensor that the other side does without.
    void ignore_theirs(const std::string& name);

  private:
    std::optional<std::int64_t> find_integer(std::string_view theirs, std::string_view ours) const;
    std::optional<double> find_real(std::string_view theirs, std::string_view ours) const;
    [[noreturn]] void missing(std::string_view theirs, std::string_view ours) const;
    void put(std::string_view theirs, std::string_view ours, std::int64_t value);
    void put(std::string_view theirs, std::string_view ours, double value);
    void claim(const std::string& name) { claimed_.insert(name); }

    const Architecture& architecture_;
    bool reading_;
    const File* file_ = nullptr;
    core::Json config_;
    Metadata metadata_;
    Shapes source_;
    std::set<std::string, std::less<>> claimed_;
    std::vector<Rule> rules_;
};

/// A number that is `value` rounded to f32, with as few digits as tell it from its neighbours: 1e-05, not 9.99999974e-06.
double short_decimal(double value);

}  // namespace tailor::files::hugging_face
