// Opens a model (a synthetic one when none is named), evaluates a few tokens and prints the five most likely next ones.
//
//     example_next_token [model.gguf]
#include <algorithm>
#include <cstdio>
#include <numeric>

#include "core/error.h"
#include "files/synthetic.h"
#include "formats/registry.h"
#include "run/session.h"

using namespace tailor;

int main(int argc, char** argv) try {
    const auto model = argc > 1 ? run::LanguageModel::open(argv[1])
                                : run::LanguageModel::from_file(files::make_synthetic("llama-tiny", formats::get("q8_0")));
    core::Pool pool;
    run::Session session(model, pool, {.context = 64});
    const std::vector<text::TokenId> prompt = {1, 17, 25, 3};
    const core::Tensor& logits = session.prefill(prompt);

    std::vector<int> ids(static_cast<std::size_t>(logits.shape.width()));
    std::iota(ids.begin(), ids.end(), 0);
    std::partial_sort(ids.begin(), ids.begin() + 5, ids.end(), [&](int a, int b) { return logits.row_f32(0)[a] > logits.row_f32(0)[b]; });
    for (int i = 0; i < 5; ++i) std::printf("token %d: logit %.3f\n", ids[static_cast<std::size_t>(i)], logits.row_f32(0)[ids[static_cast<std::size_t>(i)]]);
    return 0;
} catch (const core::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
}
