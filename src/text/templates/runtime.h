// What one rendering owns and counts: its objects, its memory, its steps, and the line it is at.
//
// Templates come from model files of unknown origin. Every operation charges the work it does and every object the bytes
// it takes; beyond the limits the rendering ends with an Error, so that a hostile template can neither hang the program
// nor exhaust its memory. Work is counted in units of roughly one operation or 32 bytes moved.
#pragma once
#include <cstddef>
#include <ctime>
#include <deque>
#include <string>
#include <string_view>

#include "core/error.h"
#include "text/templates/value.h"

namespace tailor::text::templates {

struct Limits {
    std::size_t work = 50'000'000;            ///< a few seconds; a prompt of a million tokens takes a tenth of it
    std::size_t bytes = 512u << 20;           ///< of all values alive at once, and of text being written
    std::size_t output_bytes = 64u << 20;     ///< of the rendered text
    int depth = 400;                          ///< of calls and nested expressions, within an 8 MiB stack even under sanitizers
};

class Runtime {
  public:
    /// `template_name` begins every message; `now` is what strftime_now shows.
    Runtime(std::string_view template_name, const Limits& limits, const std::tm& now) : name_(template_name), limits_(limits), now_(now) {}
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    /// Throws Error(kind) "<template>, line <n>: <message>".
    template <class... A>
    [[noreturn]] void fail(core::ErrorKind kind, std::string_view pattern, const A&... arguments) const {
        fail_with(kind, core::format(pattern, arguments...));
    }
    /// A mistake of the template that Python would report as TypeError, ValueError and the like.
    template <class... A>
    [[noreturn]] void mistake(std::string_view pattern, const A&... arguments) const {
        fail_with(core::ErrorKind::format, core::format(pattern, arguments...));
    }

    /// Counts work; throws Error(unsupported) beyond the limit.
    void work(std::size_t units) {
        if ((work_ += units) > limits_.work) fail_work();
    }
    /// Counts bytes that are about to be taken; throws Error(unsupported) beyond the limit.
    void take(std::size_t bytes) {
        if (bytes > limits_.bytes || (bytes_ += bytes) > limits_.bytes) fail_bytes();
    }
    void give_back(std::size_t bytes) noexcept { bytes_ -= bytes; }
    /// Throws Error(unsupported) if a text of this many bytes cannot be: to be asked before it is made.
    void check_size(std::size_t bytes) const {
        if (bytes > limits_.bytes || bytes_ + bytes > limits_.bytes) fail_bytes();
    }

    Value text(std::string bytes);
    Value list(std::vector<Value> items, List::Nature nature = List::Nature::list);
    /// Appends to a list of this runtime.
    void append(List& list, Value item);
    Value dict();
    Value space();
    Value function(Function function);
    Loop& loop();
    /// What looking up something missing gives.
    template <class... A>
    Value undefined(std::string_view pattern, const A&... arguments) {
        return Value::undefined(counted(core::format(pattern, arguments...)));
    }

    const Limits& limits() const { return limits_; }
    const std::tm& now() const { return now_; }
    int line = 0;   ///< of the expression or statement at work
    int depth = 0;  ///< of evaluation; see Nesting

  private:
    [[noreturn]] void fail_with(core::ErrorKind kind, const std::string& message) const;
    [[noreturn]] void fail_work() const;
    [[noreturn]] void fail_bytes() const;
    std::shared_ptr<const Text> counted(std::string bytes);

    std::string_view name_;
    const Limits limits_;
    const std::tm now_;
    std::size_t work_ = 0, bytes_ = 0;
    std::deque<List> lists_;
    std::deque<Dict> dicts_;
    std::deque<Function> functions_;
    std::deque<Loop> loops_;
};

/// One more level of nesting while it lives; throws Error(unsupported) when there are too many.
class Nesting {
  public:
    explicit Nesting(Runtime& runtime) : runtime_(runtime) {
        if (++runtime_.depth > runtime_.limits().depth) too_deep();
    }
    ~Nesting() { --runtime_.depth; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

  private:
    [[noreturn]] void too_deep();
    Runtime& runtime_;
};

/// Text being written, counted while it grows and until it is taken out or dropped.
class Output {
  public:
    Output(Runtime& runtime, std::size_t most_bytes) : runtime_(runtime), most_bytes_(most_bytes) {}
    ~Output() { runtime_.give_back(text_.size()); }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    void write(std::string_view bytes);
    std::string take();
    const std::string& text() const { return text_; }

  private:
    Runtime& runtime_;
    std::size_t most_bytes_;
    std::string text_;
};

}  // namespace tailor::text::templates
