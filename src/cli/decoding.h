// How text is written, beyond choosing tokens: what it must be, and drafts that make it faster; for `run` and `chat`.
#pragma once
#include <memory>
#include <string>

#include "cli/options.h"
#include "run/drafts/drafter.h"
#include "text/grammar/token_mask.h"

namespace tailor::cli {

struct DecodingOptions {
    std::string grammar, json_schema, speculate;

    void add(Options& options);
    /// The grammar that was asked for, compiled for the model's vocabulary; null if none was. Throws Error(usage) if it is wrong or two were given.
    std::unique_ptr<text::grammar::TokenMask> mask(const run::LanguageModel& model) const;
    /// What drafts for the session; null if nothing was asked for. Session, pool and sampler must outlive it.
    std::unique_ptr<run::drafts::Drafter> drafter(run::Session& session, core::Pool& pool, const run::SamplerOptions& sampler) const;
};

}  // namespace tailor::cli
