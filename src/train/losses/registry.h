// All losses of this build.
#pragma once
#include <span>
#include <string>

#include "train/losses/loss.h"

namespace tailor::train::losses {

std::span<const Loss* const> all();
/// Throws Error(usage) listing the losses for an unknown name.
const Loss& get(std::string_view name);
/// "block, cross_entropy, ...".
std::string names();

/// A loss and how much it counts.
struct Term {
    const Loss* loss = nullptr;
    double weight = 1;
};
/// From "kl=1,hidden=0.1"; a name alone counts 1. Throws Error(usage) for an unknown name, one that is there twice, a weight that is not above 0.
std::vector<Term> parse(std::string_view text);

}  // namespace tailor::train::losses
