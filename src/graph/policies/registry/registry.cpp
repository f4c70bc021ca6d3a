// Finding a policy by name; see registry.h.
#include "graph/policies/registry.h"

#include "core/error.h"

namespace tailor::graph::policies {

std::string names() {
    std::vector<std::string> list;
    for (const Policy* policy : all()) list.emplace_back(policy->name);
    return core::join(list, ", ");
}

const Policy& get(std::string_view name) {
    for (const Policy* policy : all())
        if (policy->name == name) return *policy;
    core::fail(core::ErrorKind::usage, "there is no policy '{}' for what the way back reads; there are: {}", name, names());
}

}  // namespace tailor::graph::policies
