// The three disjoint texts of a fit, as evaluation windows.
#pragma once
#include <memory>
#include <string>

#include "search/fit.h"

namespace tailor::search {

struct FitText {
    std::string source;  ///< "heldout.txt" or "written by the model"
    std::string hash;    ///< of the token ids of its windows
    run::Windows windows;
    std::int64_t tokens() const;
    core::Json json() const;
};

struct FitTexts {
    FitText calibration, search, report;
};

/// With a calibration and a report text: calibration and search share the first, window by window. With one text: it is
/// cut into three. With none: the model writes its own (temperature 1, so that it is distributed as the model believes
/// text to be), or, without a tokenizer or the ability to write unasked, takes random tokens. Throws Error(usage) if a text is too short or the same
/// windows would serve twice.
FitTexts prepare_texts(std::shared_ptr<const run::LanguageModel> model, core::Pool& pool, const FitOptions& options, const FitCallbacks& callbacks);

}  // namespace tailor::search
