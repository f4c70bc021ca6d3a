// The only file that includes CLI11; see options.h.
#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace tailor::cli {

struct Options::Parser {
    CLI::App app;
};

Options::Options(const Command& command, std::vector<std::string> arguments) 
    : parser_(std::make_unique<Parser>()), command_(command.name), arguments_(std::move(arguments)) {
    CLI::App& app = parser_->app;
    app.name("tailor " + std::string(command.name));
    app.description(std::string(command.doc));
    std::string footer = "Examples:\n";
    for (const std::string& line : core::split(command.examples, '\n'))
        if (!line.empty()) footer += "  " + line + "\n";
    app.footer(footer);
    app.get_formatter()->column_width(34);
    app.set_help_flag("-h,--help", "show this page");
    app.add_flag("--json", json_, "print results and errors as JSON");
}

Options::~Options() = default;

std::string Options::command_line() const { return core::join({"tailor", command_, core::join(arguments_, " ")}, " "); }

// Most often a variable of the shell that was never set; what it would do to an option is a guess.
static std::string refuse_empty(const std::string& value) { return value.empty() ? "is given without a value" : std::string(); }

// What CLI11 reads as a number but no option means: inf, nan, and for numbers without a sign what is below zero.
static std::string refuse_infinite(const std::string& value) {
    char* end = nullptr;
    return std::isfinite(std::strtod(value.c_str(), &end)) ? std::string() : "must be a finite number, it is " + value;
}
static std::string refuse_negative(const std::string& value) { return value.starts_with('-') ? "must not be negative, it is " + value : std::string(); }

// A positional name in CLI11 has no dashes; everything else is an option.
template <class T>
static CLI::Option* add_shown(CLI::App& app, std::string_view names, T& target, std::string_view help, bool show_default) {
    CLI::Option* const option = app.add_option(std::string(names), target, std::string(help))->check(refuse_empty);
    if (show_default) option->capture_default_str();
    return option;
}

Options& Options::add(std::string_view names, std::string& target, std::string_view help) {
    add_shown(parser_->app, names, target, help, !target.empty());
    return *this;
}
Options& Options::add(std::string_view names, std::int64_t& target, std::string_view help) {
    add_shown(parser_->app, names, target, help, true);
    return *this;
}
Options& Options::add(std::string_view names, std::uint64_t& target, std::string_view help) {
    add_shown(parser_->app, names, target, help, true)->check(refuse_negative);
    return *this;
}
Options& Options::add(std::string_view names, double& target, std::string_view help) {
    add_shown(parser_->app, names, target, help, true)->check(refuse_infinite);
    return *this;
}
Options& Options::add(std::string_view names, std::optional<std::string>& target, std::string_view help) {
    add_shown(parser_->app, names, target, help, false);
    return *this;
}
Options& Options::add(std::string_view names, std::optional<double>& target, std::string_view help) {
    add_shown(parser_->app, names, target, help, false)->check(refuse_infinite);
    return *this;
}
Options& Options::add(std::string_view names, std::vector<std::string>& target, std::string_view help) {
    // One value per mention, so that a positional argument after it is not swallowed.
    parser_->app.add_option(std::string(names), target, std::string(help))->check(refuse_empty)->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    return *this;
}
Options& Options::add(std::string_view names, std::vector<std::int32_t>& target, std::string_view help) {
    parser_->app.add_option(std::string(names), target, std::string(help))->check(refuse_empty)->delimiter(',')->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    return *this;
}
Options& Options::flag(std::string_view names, bool& target, std::string_view help) {
    parser_->app.add_flag(std::string(names), target, std::string(help));
    return *this;
}

void Options::parse() {
    std::vector<std::string> reversed(arguments_.rbegin(), arguments_.rend());
    try {
        parser_->app.parse(reversed);
    } catch (const CLI::CallForHelp&) {
        throw HelpRequested{parser_->app.help()};
    } catch (const CLI::ParseError& error) {
        core::fail(core::ErrorKind::usage, "{}; see {} --help", std::string(error.what()), parser_->app.get_name());
    }
}

}  // namespace tailor::cli
