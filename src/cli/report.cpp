// tailor report: the plan that `tailor fit` wrote, as a page for people.
#include "search/report.h"

#include "cli/common.h"
#include "cli/outputs.h"
#include "core/error.h"
#include "core/mapped_file.h"

namespace tailor::cli::report_command {

static void run(Options& options) {
    std::string plan_path, output = "report.html";
    options.add("plan", plan_path, "plan.json that tailor fit wrote; '-': standard input");
    options.add("-o,--output", output, "the page to write; '-': standard output");
    options.parse();
    if (plan_path.empty())
        core::fail(core::ErrorKind::usage, "there is no plan: give the plan.json that tailor fit wrote, or '-'");
    check_outputs({{"-o", output}}, {{"the plan", plan_path}});
    const core::Json plan = core::Json::parse(core::read_text_file(plan_path), plan_path);
    // A page full of dashes would hide that the wrong file was given.
    if (!plan.find("candidates") && !plan.find("tensors"))
        core::fail(core::ErrorKind::format, "{}: not a plan: it has neither 'candidates' nor 'tensors'; tailor fit writes one",
                   plan_path);
    const std::string page = search::report_html(plan);
    if (output == "-") return print(page);
    core::write_text_file(output, page);
    if (options.json()) print_json(core::Json().set("output", output).set("bytes", static_cast<std::int64_t>(page.size())));
    else note(core::format("wrote {} ({})", output, core::human_bytes(static_cast<double>(page.size()))));
}

}  // namespace tailor::cli::report_command

namespace tailor::cli::entries {
extern const Command report = {
    .name = "report",
    .doc = "write a fit's proof as one HTML page",
    .examples = "tailor report plan.json\n"
                "tailor report plan.json -o fitted.html\n"
                "tailor report - -o - < plan.json > report.html",
    .run = &report_command::run,
    .place = 60,
};
}  // namespace tailor::cli::entries
