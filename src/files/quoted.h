// Names from files as messages show them.
//
// A name is whatever bytes a file holds: it may be a megabyte long. Every message about a tensor or a key goes through here.
#pragma once
#include <string>
#include <string_view>

namespace tailor::files {

/// Single quotes around a name; one of more than 100 bytes is cut between characters and its length is added.
std::string quoted(std::string_view name);

}  // namespace tailor::files
