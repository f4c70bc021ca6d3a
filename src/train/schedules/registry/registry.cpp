// Finding a schedule by name; see registry.h.
#include "train/schedules/registry.h"

#include "core/error.h"

namespace tailor::train::schedules {

std::string names() {
    std::vector<std::string> list;
    for (const Schedule* schedule : all()) list.emplace_back(schedule->name);
    return core::join(list, ", ");
}

const Schedule& get(std::string_view name) {
    for (const Schedule* schedule : all())
        if (schedule->name == name) return *schedule;
    core::fail(core::ErrorKind::usage, "there is no schedule '{}'; there are: {}", name, names());
}

}  // namespace tailor::train::schedules
