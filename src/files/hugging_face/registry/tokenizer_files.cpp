// See tokenizer_files.h.
#include "files/hugging_face/tokenizer_files.h"

#include <unistd.h>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/hugging_face/folder.h"

namespace tailor::files::hugging_face {

using core::Json;

namespace {

constexpr std::string_view template_key = "tokenizer.chat_template";
/// Ids that end a generation, in the order in which a list of them fills these keys.
constexpr std::string_view end_keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
constexpr std::pair<std::string_view, std::string_view> single_ids[] = {{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                                                        {"pad_token_id", "tokenizer.ggml.padding_token_id"}};
constexpr std::pair<std::string_view, std::string_view> flags[] = {{"add_bos_token", "tokenizer.ggml.add_bos_token"},
                                                                   {"add_eos_token", "tokenizer.ggml.add_eos_token"}};

/// Files that are kept as they are.
constexpr std::pair<std::string_view, std::string_view> whole_files[] = {
    {"tokenizer.json", tokenizer_key}, {"tokenizer_config.json", tokenizer_config_key}, {"generation_config.json", generation_config_key}};

bool exists(const std::string& path) { return ::access(path.c_str(), R_OK) == 0; }

Json read_json(const std::string& path) { return exists(path) ? Json::parse(core::read_text_file(path), path) : Json(); }

void set_id(Metadata& metadata, std::string_view key, const Json& id) {
    if (id.is_number() && !metadata.find(key) && id.integer() >= 0 && id.integer() <= UINT32_MAX) metadata.set_integer(key, id.integer());
}

/// One id or a list of them.
void set_end_ids(Metadata& metadata, const Json* ids) {
    if (!ids || metadata.find(end_keys[0])) return;
    if (!ids->is_array()) return set_id(metadata, end_keys[0], *ids);
    for (std::size_t i = 0; i < ids->items().size() && i < std::size(end_keys); ++i) set_id(metadata, end_keys[i], ids->items()[i]);
}

/// The template of that name, or of the name "default" among several.
std::string chat_template(const std::string& folder, const Json& settings) {
    if (const std::string path = folder + "/chat_template.jinja"; exists(path)) return core::read_text_file(path);
    const Json own_file = read_json(folder + "/chat_template.json");
    for (const Json* const holder : {&own_file, &settings}) {
        const Json* const found = holder->find("chat_template");
        if (found && found->is_string()) return found->string();
        if (!found || !found->is_array()) continue;
        for (const Json& entry : found->items())
            if (const Json *name = entry.find("name"), *text = entry.find("template"); name && text && name->is_string() && name->string() == "default")
                return text->string();
    }
    return {};
}

std::uint64_t write(const std::string& path, const std::string& text) {
    core::write_text_file(path, text);
    return text.size();
}

}  // namespace

void read_tokenizer_files(const std::string& folder, const Json& config, Metadata& metadata) {
    const Json settings = read_json(folder + "/tokenizer_config.json"), generation = read_json(folder + "/generation_config.json");
    // Without tokenizer.json the other two have nothing to add to it.
    const bool whole = exists(folder + "/tokenizer.json");
    for (const auto& [name, key] : whole_files)
        if (const std::string path = folder + "/" + std::string(name); whole && exists(path)) metadata.set_text(key, core::read_text_file(path));
    // A chat model's generation_config.json lists every token that ends an answer; config.json often has only one.
    for (const Json* const file : {&generation, &config}) {
        set_end_ids(metadata, file->find("eos_token_id"));
        for (const auto& [theirs, ours] : single_ids)
            if (const Json* const id = file->find(theirs)) set_id(metadata, ours, *id);
    }
    for (const auto& [theirs, ours] : flags)
        if (const Json* const flag = settings.find(theirs); flag && !flag->is_null() && !metadata.find(ours)) metadata.set_boolean(ours, flag->boolean());
    if (const std::string text = chat_template(folder, settings); !text.empty() && !metadata.find(template_key)) metadata.set_text(template_key, text);
}

std::uint64_t write_tokenizer_files(const std::string& folder, const Metadata& metadata, Json& config) {
    std::uint64_t bytes = 0;
    Json settings, generation, ends{Json::Array{}};
    for (const auto& [theirs, ours] : single_ids)
        if (metadata.find(ours)) config.set(theirs, metadata.integer(ours)), generation.set(theirs, metadata.integer(ours));
    for (const std::string_view key : end_keys)
        if (metadata.find(key)) ends.add(metadata.integer(key));
    if (!ends.items().empty()) {
        config.set("eos_token_id", ends.items()[0]);
        generation.set("eos_token_id", ends.items().size() == 1 ? ends.items()[0] : ends);
    }
    for (const auto& [theirs, ours] : flags)
        if (metadata.find(ours)) settings.set(theirs, metadata.boolean(ours, false));
    if (const std::string_view text = metadata.text(template_key, ""); !text.empty()) settings.set("chat_template", text);
    for (const auto& [name, key] : whole_files) {
        std::string text(metadata.text(key, ""));
        const Json& made = key == tokenizer_config_key ? settings : generation;
        if (text.empty() && key != tokenizer_key && !made.is_null()) text = made.text() + "\n";
        if (!text.empty()) bytes += write(folder + "/" + std::string(name), text);
    }
    return bytes;
}

}  // namespace tailor::files::hugging_face
