// Command-line options, over CLI11 (whose headers only options.cpp includes).
//
// Names follow CLI11: "-n,--predict" is an option, "model" a positional argument. Every target keeps its value as the
// default that --help shows.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace tailor::cli {

/// Thrown by parse() when --help was asked for; carries the page.
struct HelpRequested {
    std::string page;
};

class Options {
  public:
    Options(const Command& command, std::vector<std::string> arguments);
    ~Options();

    Options& add(std::string_view names, std::string& target, std::string_view help);
    Options& add(std::string_view names, std::int64_t& target, std::string_view help);
    Options& add(std::string_view names, std::uint64_t& target, std::string_view help);
    Options& add(std::string_view names, double& target, std::string_view help);
    Options& add(std::string_view names, std::optional<std::string>& target, std::string_view help);
    Options& add(std::string_view names, std::optional<double>& target, std::string_view help);
    Options& add(std::string_view names, std::vector<std::string>& target, std::string_view help);
    /// Comma-separated integers: --token-ids 1,2,3.
    Options& add(std::string_view names, std::vector<std::int32_t>& target, std::string_view help);
    Options& flag(std::string_view names, bool& target, std::string_view help);

    /// Reads the arguments. Throws Error(usage) naming the argument, or HelpRequested.
    void parse();

    /// The value of --json, which every command has: results as JSON on standard output, and errors too.
    bool json() const { return json_; }
    /// "tailor fit model.gguf --size 4MB", for records.
    std::string command_line() const;

  private:
    struct Parser;
    std::unique_ptr<Parser> parser_;
    std::string command_;
    std::vector<std::string> arguments_;
    bool json_ = false;
};

}  // namespace tailor::cli
