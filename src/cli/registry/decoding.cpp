// See decoding.h.
#include "cli/decoding.h"

#include "core/error.h"
#include "core/mapped_file.h"
#include "run/drafts/registry.h"
#include "text/grammar/grammar.h"

namespace tailor::cli {

void DecodingOptions::add(Options& options) {
    options.add("--grammar", grammar, "write only what this grammar (GBNF: a file, or the rules themselves) allows");
    options.add("--json-schema", json_schema, "write only JSON that is valid under this schema (a file, or the schema itself)");
    options.add("--speculate", speculate, "guess tokens and check several in one step, if that is faster: " + run::drafts::forms());
}

std::unique_ptr<text::grammar::TokenMask> DecodingOptions::mask(const run::LanguageModel& model) const {
    if (grammar.empty() && json_schema.empty()) return nullptr;
    if (!grammar.empty() && !json_schema.empty()) core::fail(core::ErrorKind::usage, "give --grammar or --json-schema, not both");
    if (!grammar.empty()) {
        const bool is_text = grammar.find("::=") != std::string::npos;
        return std::make_unique<text::grammar::TokenMask>(text::grammar::from_gbnf(is_text ? grammar : core::read_text_file(grammar)), model.tokenizer());
    }
    const bool is_text = json_schema[0] == '{' || json_schema == "true";
    const core::Json schema = core::Json::parse(is_text ? json_schema : core::read_text_file(json_schema), is_text ? "--json-schema" : json_schema);
    return std::make_unique<text::grammar::TokenMask>(text::grammar::from_json_schema(schema), model.tokenizer());
}

std::unique_ptr<run::drafts::Drafter> DecodingOptions::drafter(run::Session& session, core::Pool& pool, const run::SamplerOptions& sampler) const {
    return speculate.empty() ? nullptr : run::drafts::make(speculate, session, pool, sampler);
}

}  // namespace tailor::cli
