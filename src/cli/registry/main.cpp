// Finds the command, runs it, and turns every error into a message and an exit code.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "cli/options.h"
#include "cli/registry.h"
#include "core/error.h"
#include "core/json.h"

namespace tailor::cli {

static std::vector<const Command*> commands_in_order() {
    std::vector<const Command*> commands(all().begin(), all().end());
    std::stable_sort(commands.begin(), commands.end(), [](const Command* a, const Command* b) { return a->place < b->place; });
    return commands;
}

static void print_overview(std::FILE* stream) {
    std::fputs("Tailor makes a neural network fit the machine it must run on.\n\nUsage: tailor COMMAND [MODEL] [OPTIONS]\n\nCommands:\n", stream);
    for (const Command* command : commands_in_order()) std::fprintf(stream, "  %-10s %s\n", std::string(command->name).c_str(), std::string(command->doc).c_str());
    std::fputs("\nWithout MODEL a command uses the small English model built into the program.\n`tailor COMMAND --help` shows options and examples.\n", stream);
}

static int report(const core::Error& error, bool json) {
    if (json) {
        core::Json details;
        details.set("kind", core::name(error.kind())).set("message", error.what());
        std::puts(core::Json().set("error", std::move(details)).text(-1).c_str());
    }
    std::fprintf(stderr, "tailor: %s\n", error.what());
    return error.exit_code();
}

static bool wants_json(const std::vector<std::string>& arguments) { return std::find(arguments.begin(), arguments.end(), "--json") != arguments.end(); }

// A second Ctrl-C ends the program at once.
static void on_interrupt(int) {
    core::request_interrupt();
    std::signal(SIGINT, SIG_DFL);
}

static int run_command(const Command& command, std::vector<std::string> arguments) {
    const bool json = wants_json(arguments);
    Options options(command, std::move(arguments));
    try {
        command.run(options);
        if (std::fflush(stdout) != 0 || std::ferror(stdout)) core::fail(core::ErrorKind::io, "cannot write to standard output");
        return 0;
    } catch (const HelpRequested& help) {
        std::fputs(help.page.c_str(), stdout);
        return 0;
    } catch (const core::Error& error) {
        return report(error, json);
    } catch (const std::bad_alloc&) {
        return report(core::Error(core::ErrorKind::io, "out of memory"), json);
    } catch (const std::exception& error) {
        return report(core::Error(core::ErrorKind::bug, std::string("unexpected: ") + error.what()), json);
    }
}

int main(int argc, char** argv) {
    // Without SA_RESTART, so that it also ends the wait for standard input.
    struct sigaction interrupt {};
    interrupt.sa_handler = on_interrupt;
    ::sigaction(SIGINT, &interrupt, nullptr);
    // A limit on the size of files is then an error of writing, which tidies up.
    std::signal(SIGXFSZ, SIG_IGN);
    std::signal(SIGPIPE, SIG_DFL);
    const std::string name = argc > 1 ? argv[1] : "";
    if (name.empty() || name == "help" || name == "--help" || name == "-h") {
        print_overview(name.empty() ? stderr : stdout);
        return name.empty() ? 2 : 0;
    }
    if (name == "--version" || name == "version") {
        std::puts("tailor 0.1.0");
        return 0;
    }
    for (const Command* command : all())
        if (command->name == name) return run_command(*command, {argv + 2, argv + argc});
    std::vector<std::string> known;
    for (const Command* command : commands_in_order()) known.emplace_back(command->name);
    const core::Error unknown(core::ErrorKind::usage, core::format("there is no command '{}'; there are {}", name, core::join(known, ", ")));
    return report(unknown, wants_json({argv + 1, argv + argc}));
}

}  // namespace tailor::cli
