// Linux lists the caches of a core in /sys, one folder for each: of the first level one for data and one for instructions.
#include "cpu/caches.h"

#include <fstream>
#include <string>

#include "core/text.h"

namespace tailor::cpu {

static std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::int64_t cache_bytes(int level) {
    for (int index = 0; index < 8; ++index) {
        const std::string root = core::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
        if (first_line(root + "level") != std::to_string(level) || first_line(root + "type") == "Instruction") continue;
        const std::string size = first_line(root + "size");
        const bool has_unit = !size.empty() && (size.back() == 'K' || size.back() == 'M');
        if (!size.empty()) return static_cast<std::int64_t>(core::parse_bytes(has_unit ? size + "iB" : size, root + "size"));
    }
    return 0;
}

}  // namespace tailor::cpu
