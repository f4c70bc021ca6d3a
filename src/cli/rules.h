// Rules of the form 'regular expression=format' that say which tensor gets which number format.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/format.h"

namespace tailor::cli {

/// Rules in the order they were given; an expression (ECMAScript) may match anywhere in a tensor's name.
class FormatRules {
  public:
    /// Throws Error(usage) naming the rule: no '=', a bad expression, an unknown format.
    explicit FormatRules(const std::vector<std::string>& rules);
    ~FormatRules();

    /// The format of the first rule that matches, nullptr if none does. Notes that the rule was of use.
    const formats::Format* find(std::string_view tensor);
    /// Throws Error(usage) naming the first rule that never matched: it is likely mistyped.
    void require_all_used() const;

  private:
    struct Rule;
    std::vector<std::unique_ptr<Rule>> rules_;
};

}  // namespace tailor::cli
