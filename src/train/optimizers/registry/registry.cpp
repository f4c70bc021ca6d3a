// Finding an optimizer by name, and the memory of what it remembers; see registry.h and optimizer.h.
#include "train/optimizers/registry.h"

#include "core/error.h"

namespace tailor::train::optimizers {

State::State(std::span<const StatePart> parts) {
    for (const StatePart& part : parts) names_.push_back(part.name), parts_.emplace_back(static_cast<std::size_t>(part.bytes));
}

std::string names() {
    std::vector<std::string> list;
    for (const Optimizer* optimizer : all()) list.emplace_back(optimizer->name);
    return core::join(list, ", ");
}

const Optimizer& get(std::string_view name) {
    for (const Optimizer* optimizer : all())
        if (optimizer->name == name) return *optimizer;
    core::fail(core::ErrorKind::usage, "there is no optimizer '{}'; there are: {}", name, names());
}

}  // namespace tailor::train::optimizers
