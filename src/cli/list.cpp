// tailor list: the reference pages, printed from the registries.
#include "cli/common.h"
#include "cli/registry.h"
#include "compress/registry.h"
#include "core/error.h"
#include "files/registry.h"
#include "formats/registry.h"
#include "models/registry.h"
#include "ops/registry.h"
#include "run/drafts/registry.h"
#include "run/evictions/registry.h"
#include "search/registry.h"
#include "text/pre_tokenizers/registry.h"
#include "text/tokenizers/registry.h"

namespace tailor::cli::list_command {

using Rows = std::vector<std::vector<std::string>>;

static Rows formats() {
    Rows rows = {{"format", "bits/value", "block", "bytes", "relative error", "what it is"}};
    for (const formats::Format* f : formats::all())
        if (f->weights)
            rows.push_back({std::string(f->name), core::format("{:.4g}", f->bits_per_value()), std::to_string(f->values_per_block), std::to_string(f->bytes_per_block),
                            core::format("{:.4g}", f->facts.gaussian_relative_rmse), std::string(f->doc)});
    return rows;
}

static Rows operators() {
    Rows rows = {{"operator", "kernels", "what it is"}};
    for (const ops::Op* op : ops::all()) {
        std::vector<std::string> kernels;
        for (const ops::Kernel& kernel : op->kernels) kernels.emplace_back(kernel.name);
        rows.push_back({std::string(op->name), core::join(kernels, ", "), std::string(op->doc)});
    }
    return rows;
}

static std::string joined(std::span<const std::string_view> names) {
    std::vector<std::string> words(names.begin(), names.end());
    return core::join(words, ", ");
}

static Rows families() {
    Rows rows = {{"family", "architectures", "what it is"}};
    for (const models::Model* m : models::all()) rows.push_back({std::string(m->name), joined(m->architectures), std::string(m->doc)});
    return rows;
}

static Rows pre_tokenizers() {
    Rows rows = {{"names in files", "what it is"}};
    for (const text::PreTokenizer* p : text::pre_tokenizers::all()) rows.push_back({joined(p->names), std::string(p->doc)});
    return rows;
}

// Registries whose entries are a name and a sentence.
template <class Entries>
static Rows named(const char* title, const Entries& entries) {
    Rows rows = {{title, "what it is"}};
    for (const auto* entry : entries) rows.push_back({std::string(entry->name), std::string(entry->doc)});
    return rows;
}

struct Page {
    const char* name;
    Rows (*rows)();
};

static const Page pages[] = {
    {"formats", &formats},
    {"operators", &operators},
    {"families", &families},
    {"containers", [] { return named("container", files::all()); }},
    {"tokenizers", [] { return named("tokenizer", text::tokenizers::all()); }},
    {"pre-tokenizers", &pre_tokenizers},
    {"methods", [] { return named("method", compress::all()); }},
    {"strategies", [] { return named("strategy", search::all()); }},
    {"drafters", [] { return named("drafter", run::drafts::all()); }},
    {"evictions", [] { return named("eviction", run::evictions::all()); }},
    {"commands", [] { return named("command", all()); }},
};

static core::Json json_rows(const Rows& rows) {
    core::Json list{core::Json::Array{}};
    for (std::size_t r = 1; r < rows.size(); ++r) {
        core::Json row;
        for (std::size_t c = 0; c < rows[r].size(); ++c) row.set(rows[0][c], rows[r][c]);
        list.add(std::move(row));
    }
    return list;
}

static void run(Options& options) {
    std::string name;
    options.add("page", name, "formats, operators, families, containers, tokenizers, pre-tokenizers, methods, strategies, drafters, evictions or commands; all without it");
    options.parse();
    core::Json everything;
    bool found = false;
    for (const Page& page : pages) {
        if (!name.empty() && name != page.name) continue;
        found = true;
        const Rows rows = page.rows();
        everything.set(page.name, json_rows(rows));
        if (!options.json()) print((name.empty() ? core::format("{}{}\n", &page == pages ? "" : "\n", page.name) : "") + core::table(rows));
    }
    if (!found) core::fail(core::ErrorKind::usage, "there is no list of '{}'; see tailor list --help", name);
    if (options.json()) print_json(everything);
}

}  // namespace tailor::cli::list_command

namespace tailor::cli::entries {
extern const Command list = {
    .name = "list",
    .doc = "what this build knows: formats, operators, families ...",
    .examples = "tailor list\n"
                "tailor list formats\n"
                "tailor list operators --json",
    .run = &list_command::run,
    .place = 90,
};
}  // namespace tailor::cli::entries
