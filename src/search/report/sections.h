// The sections of the page, in the order in which they stand there. Each writes nothing, or one sentence, when the plan
// lacks what it shows.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "search/report/markup.h"
#include "search/report/plan.h"

namespace tailor::search::report {

/// The result in one sentence, without markup: also the page's title for machines and mail.
std::string headline(const Plan& plan);

void write_headline(Markup& out, const Plan& plan);
void write_comparison(Markup& out, const Plan& plan);
void write_panels(Markup& out, const Plan& plan);
void write_predictions(Markup& out, const Plan& plan);
void write_frontier(Markup& out, const Plan& plan);
void write_layers(Markup& out, const Plan& plan);
void write_tensors(Markup& out, const Plan& plan);
void write_provenance(Markup& out, const Plan& plan);

/// The page's style sheet.
std::string_view style();

/// A place for a wide table: it scrolls sideways by itself, with keys too, so that the page never does.
[[nodiscard]] Markup::Scope open_scroll(Markup& out, std::string_view label);
/// A head of a table, one column for each name; an empty name is a column without one.
void write_table_head(Markup& out, std::initializer_list<const char*> names);
/// A paragraph of explanation below a heading or a figure.
void write_note(Markup& out, std::string_view text);

}  // namespace tailor::search::report
