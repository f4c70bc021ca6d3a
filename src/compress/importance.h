// How much each input column of each weight matters, measured on calibration text.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "run/evaluation.h"

namespace tailor::compress {

/// Mean square of each input of each weight matrix, by tensor name; weights that no product reads are missing. A stack of matrices
/// has the inputs of each, summed over the tokens that it met and divided by all tokens: seldom asked experts matter less.
class Importance {
  public:
    /// Empty for a tensor that was not seen.
    std::span<const float> of(std::string_view tensor) const;
    /// Runs the windows through the model and collects. The session's runner is replaced and cleared.
    static Importance measure(run::Session& session, const run::Windows& windows, const run::Progress& progress = {});

  private:
    std::map<std::string, std::vector<float>, std::less<>> mean_squares_;
};

}  // namespace tailor::compress
