// See line_reader.h.
#include "cli/line_reader.h"

#include <histedit.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"

namespace tailor::cli {
namespace {

class PipeReader : public LineReader {
  public:
    ~PipeReader() override { std::free(buffer_); }
    bool is_terminal() const override { return false; }

    Event read(const std::string&, std::string& line) override {
        errno = 0;
        const ssize_t size = ::getline(&buffer_, &capacity_, stdin);
        if (core::take_interrupt()) return Event::end;
        if (size < 0 && std::ferror(stdin)) core::fail(core::ErrorKind::io, "cannot read standard input");
        if (size < 0) return Event::end;
        line.assign(buffer_, static_cast<std::size_t>(size));
        if (!line.empty() && line.back() == '\n') line.pop_back();
        if (!line.empty() && line.back() == '\r') line.pop_back();
        return Event::line;
    }

  private:
    char* buffer_ = nullptr;
    std::size_t capacity_ = 0;
};

class TerminalReader : public LineReader {
  public:
    TerminalReader() {
        // libedit moves over whole characters only where the C library knows the encoding.
        std::setlocale(LC_CTYPE, "");
        if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
        editor_ = ::el_init("tailor", stdin, stdout, stderr);
        history_ = ::history_init();
        HistEvent event;
        ::history(history_, &event, H_SETSIZE, 1000);
        ::history(history_, &event, H_SETUNIQUE, 1);
        ::el_set(editor_, EL_CLIENTDATA, this);
        ::el_set(editor_, EL_PROMPT, &TerminalReader::prompt);
        ::el_set(editor_, EL_EDITOR, "emacs");
        ::el_set(editor_, EL_HIST, &::history, history_);
        ::el_source(editor_, nullptr);  // the user's own ~/.editrc
    }
    ~TerminalReader() override {
        ::el_end(editor_);
        ::history_end(history_);
    }
    bool is_terminal() const override { return true; }

    Event read(const std::string& prompt, std::string& line) override {
        prompt_ = prompt;
        int count = 0;
        const char* const text = ::el_gets(editor_, &count);
        if (core::take_interrupt()) {
            ::el_reset(editor_);
            std::fputs("\n", stdout);
            return Event::cancelled;
        }
        if (!text || count <= 0) return Event::end;
        line.assign(text, static_cast<std::size_t>(count));
        if (line.back() == '\n') line.pop_back();
        HistEvent event;
        if (!line.empty()) ::history(history_, &event, H_ENTER, line.c_str());
        return Event::line;
    }

  private:
    static char* prompt(EditLine* editor) {
        TerminalReader* self = nullptr;
        ::el_get(editor, EL_CLIENTDATA, &self);
        return self->prompt_.data();
    }

    EditLine* editor_ = nullptr;
    History* history_ = nullptr;
    std::string prompt_;
};

}  // namespace

std::unique_ptr<LineReader> make_line_reader() {
    if (::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO)) return std::make_unique<TerminalReader>();
    return std::make_unique<PipeReader>();
}

}  // namespace tailor::cli
