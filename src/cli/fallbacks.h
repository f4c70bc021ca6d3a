// Matrices whose rows a wanted number format does not fit, told to the user.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "files/registry.h"
#include "formats/format.h"

namespace tailor::cli {

/// A matrix that could not have the format it was meant to have.
struct Fallback {
    std::string tensor;
    const formats::Format *wanted, *used;
};

/// What becomes of a file's matrices that are all meant to have one format.
std::vector<Fallback> fallbacks_of(const files::File& file, const formats::Format& wanted);
/// One line on standard error for each pair of formats.
void note_fallbacks(const std::vector<Fallback>& fallbacks);

}  // namespace tailor::cli
