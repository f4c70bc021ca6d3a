// All kinds of drafters of this build.
#pragma once
#include "run/drafts/drafter.h"

namespace tailor::run::drafts {

std::span<const DraftKind* const> all();
/// "prompt-lookup, draft=FILE, early-exit=LAYERS": the forms that make() takes.
std::string forms();
/// The drafter that "name" or "name=argument" asks for. Throws Error(usage) listing the forms for an unknown name.
std::unique_ptr<Drafter> make(const std::string& form, Session& target, core::Pool& pool, const SamplerOptions& sampler);

}  // namespace tailor::run::drafts
