// Lines that a user types, or that come through a pipe.
//
// On a terminal, lines are edited and earlier ones can be called back (libedit, whose headers only line_reader.cpp
// includes; readline would bring its licence along). Elsewhere a line is read as it is.
#pragma once
#include <memory>
#include <string>

namespace tailor::cli {

class LineReader {
  public:
    enum class Event { line, cancelled, end };  ///< cancelled: Ctrl-C

    virtual ~LineReader() = default;
    /// Shows `prompt` on a terminal and gives the next line without its line break. An incomplete last line counts.
    virtual Event read(const std::string& prompt, std::string& line) = 0;
    virtual bool is_terminal() const = 0;
};

/// For standard input. Ctrl-C must have a handler that does not restart system calls.
std::unique_ptr<LineReader> make_line_reader();

}  // namespace tailor::cli
