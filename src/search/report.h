// The report: one HTML page that proves a fit.
//
// It shows what was asked and what came out, every candidate before and after with its uncertainty, what was predicted
// beside what was measured, the frontier from which the answer was taken, the format of every tensor and how much the
// model's output suffers from it, and what one needs to repeat all this.
//
// The page and its charts (inline SVG) are written by hand here rather than by a chart library: a page without scripts
// opens in every browser, years from now and without a network, passes mail filters, prints, and can be compared with
// diff; a library would bring a bundle of scripts larger than the page. Needed are only lines, marks and axes.
#pragma once
#include <string>

#include "core/json.h"

namespace tailor::search {

/// The page for a plan as `tailor fit` writes it (report/plan.h lists its members), in UTF-8, with no reference to
/// anything outside itself. Members that are missing, null or of another kind are shown as not measured; it never throws
/// for them. Same plan, same bytes.
std::string report_html(const core::Json& plan);

}  // namespace tailor::search
