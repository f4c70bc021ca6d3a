// Finding a policy by name; see registry.h.
#include "run/evictions/registry.h"

#include "core/error.h"

namespace tailor::run::evictions {

std::string names() {
    std::vector<std::string> list;
    for (const EvictionPolicy* policy : all()) list.emplace_back(policy->name);
    return core::join(list, ", ");
}

const EvictionPolicy& get(std::string_view name) {
    for (const EvictionPolicy* policy : all())
        if (policy->name == name) return *policy;
    core::fail(core::ErrorKind::usage, "there is no eviction policy '{}'; there are: {}", name, names());
}

}  // namespace tailor::run::evictions
