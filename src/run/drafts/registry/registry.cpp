// Finding a drafter by what the user wrote; see registry.h.
#include "run/drafts/registry.h"

#include "core/error.h"

namespace tailor::run::drafts {

std::string forms() {
    std::vector<std::string> list;
    for (const DraftKind* kind : all()) {
        const bool optional = !kind->argument.empty() && kind->argument[0] == '[';
        list.push_back(std::string(kind->name) + (kind->argument.empty() || optional ? "" : "=") + std::string(kind->argument));
    }
    return core::join(list, ", ");
}

std::unique_ptr<Drafter> make(const std::string& form, Session& target, core::Pool& pool, const SamplerOptions& sampler) {
    if (target.options().kv_budget.entries > 0)
        core::fail(core::ErrorKind::usage, "with a limited KV cache, which entries are dropped depends on the steps, so drafts would change the text; leave out one of the two");
    const std::size_t equals = form.find('=');
    const std::string name = form.substr(0, equals);
    for (const DraftKind* kind : all())
        if (kind->name == name) return kind->make({target, pool, sampler, equals == std::string::npos ? "" : form.substr(equals + 1)});
    core::fail(core::ErrorKind::usage, "there is no way to draft tokens called '{}'; there are: {}", name, forms());
}

}  // namespace tailor::run::drafts
