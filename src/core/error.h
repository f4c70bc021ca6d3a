// The one exception type of Tailor.
//
// Every failure a user can meet is an Error with a kind, which decides the exit code, and a message that names the file,
// the tensor or the option, what was found there and what to do. Kernels never throw: everything is checked when a plan
// is made.
#pragma once
#include <stdexcept>
#include <string>

#include "core/text.h"

namespace tailor::core {

enum class ErrorKind {
    usage,        ///< the command line or a value in it is wrong
    io,           ///< a file cannot be read or written
    format,       ///< a file's content is malformed
    shape,        ///< tensors do not fit together
    unsupported,  ///< well-formed, but Tailor does not do this
    numeric,      ///< NaN, infinity or divergence
    budget,       ///< no candidate meets what was asked
    interrupted,  ///< the user pressed Ctrl-C
    bug,          ///< Tailor itself is wrong
};

class Error : public std::runtime_error {
  public:
    Error(ErrorKind kind, std::string message) : std::runtime_error(std::move(message)), kind_(kind) {}
    ErrorKind kind() const { return kind_; }

    /// Bad input (usage, format, shape, unsupported, budget) and unreadable files give 2, Ctrl-C 130, the rest 1.
    int exit_code() const;

  private:
    ErrorKind kind_;
};

/// The word for a kind as it stands in --json output.
const char* name(ErrorKind kind);

template <class... A>
[[noreturn]] void fail(ErrorKind kind, std::string_view pattern, const A&... arguments) {
    throw Error(kind, format(pattern, arguments...));
}

/// Set by the command line's Ctrl-C handler; long loops call check_interrupt(), which then throws Error(interrupted).
void request_interrupt() noexcept;
void check_interrupt();
/// For a program that goes on after Ctrl-C: forgets it, and tells whether there was one.
bool take_interrupt() noexcept;

}  // namespace tailor::core
