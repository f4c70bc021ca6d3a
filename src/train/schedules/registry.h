// All schedules of this build.
#pragma once
#include <span>
#include <string>

#include "train/schedules/schedule.h"

namespace tailor::train::schedules {

std::span<const Schedule* const> all();
/// Throws Error(usage) listing the schedules for an unknown name.
const Schedule& get(std::string_view name);
/// "cosine, power, ...".
std::string names();

}  // namespace tailor::train::schedules
