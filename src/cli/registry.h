// All commands of this build.
#pragma once
#include "cli/command.h"

namespace tailor::cli {

std::span<const Command* const> all();

}  // namespace tailor::cli
