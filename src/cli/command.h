// Commands of the `tailor` program.
//
// A command is one file src/cli/<name>.cpp that defines `extern const Command <name>` in namespace tailor::cli::entries
// (`run` is run.cpp). Its function declares options on `Options`, calls parse(), and works. It prints results to standard
// output and progress to standard error; errors are thrown and printed by main.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::cli {

class Options;

struct Command {
    std::string_view name;
    std::string_view doc;       ///< one sentence
    std::string_view examples;  ///< shown by --help, one command line per line
    void (*run)(Options& options);
    int place = 100;            ///< order in `tailor --help`
};

/// The whole program: finds the command, runs it, turns errors into messages and exit codes.
int main(int argc, char** argv);

}  // namespace tailor::cli
