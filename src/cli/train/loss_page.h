// The course of trainings as a page: loss against tokens and against time, as many runs on one page as one likes.
//
// The page is complete in itself: drawings are inline SVG in the style of the report, and it runs no script. The numbers stand in it
// as JSON too, so that a later run can be added to the page and a run that goes on finds what it has told before.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace tailor::cli::train_command {

struct LossPoint {
    std::int64_t step = 0;
    double tokens = 0, seconds = 0, loss = 0;  ///< learned and passed so far; nats per token
};

struct LossRun {
    std::string name;
    std::string about;  ///< a sentence: size, optimizer, batch
    std::vector<LossPoint> learned, held_out;
};

std::string loss_page(const std::vector<LossRun>& runs);
/// The runs of a page that loss_page() wrote. Throws Error(format) naming `path` for any other.
std::vector<LossRun> runs_of_page(const std::string& html, const std::string& path);

}  // namespace tailor::cli::train_command
