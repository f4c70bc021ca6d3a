// The only file that includes PCRE2; see regex.h.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <memory>
#include <string>
#include <utility>

#include "core/error.h"
#include "text/unicode.h"

namespace tailor::text {

static std::string message(int code) {
    PCRE2_UCHAR buffer[256];
    pcre2_get_error_message(code, buffer, sizeof buffer);
    return reinterpret_cast<const char*>(buffer);
}

/// \s becomes \p{White_Space}, inside and outside of brackets.
static std::string with_white_space(std::string_view expression) {
    std::string result;
    for (std::size_t i = 0; i < expression.size(); ++i) {
        if (expression[i] != '\\' || i + 1 == expression.size()) {
            result += expression[i];
            continue;
        }
        const char escaped = expression[++i];
        if (escaped == 's') result += "\\p{White_Space}";
        else if (escaped == 'S') result += "\\P{White_Space}";
        else (result += '\\') += escaped;
    }
    return result;
}

Regex::Regex(std::string_view expression) {
    const std::string text = with_white_space(expression);
    int error = 0;
    PCRE2_SIZE position = 0;
    pcre2_code* const code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                           PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &position, nullptr);
    if (!code)
        core::fail(core::ErrorKind::bug, "expression '{}' does not compile: {} at byte {}", text, message(error), position);
    // A failure here only means that matches are interpreted.
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    code_ = code;
}

Regex::~Regex() { pcre2_code_free(static_cast<pcre2_code*>(code_)); }
Regex::Regex(Regex&& other) noexcept : code_(std::exchange(other.code_, nullptr)) {}

void Regex::cut(std::string_view text, const std::vector<Span>& pieces, std::vector<Span>& result) const {
    const auto* const code = static_cast<const pcre2_code*>(code_);
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(pcre2_match_data_create(1, nullptr),
                                                                               &pcre2_match_data_free);
    if (!match) throw std::bad_alloc();
    const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(match.get());
    for (const Span& piece : pieces) {
        const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text.data() + piece.begin);
        const auto keep = [&](std::size_t begin, std::size_t end) {
            if (end > begin) result.push_back({piece.begin + begin, end - begin});
        };
        std::size_t kept = 0, at = 0;
        while (at < piece.length) {
            int status = pcre2_match(code, subject, piece.length, at, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
            // Compiled code has a small fixed stack; the interpreter keeps its own on the heap.
            if (status == PCRE2_ERROR_JIT_STACKLIMIT)
                status = pcre2_match(code, subject, piece.length, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match.get(), nullptr);
            if (status == PCRE2_ERROR_NOMATCH) break;
            if (status < 0)
                core::fail(core::ErrorKind::unsupported,
                           "a text of {} bytes cannot be cut into words: {}; give it in shorter parts", piece.length,
                           message(status));
            const std::size_t begin = bounds[0], end = bounds[1];
            keep(kept, begin);
            keep(begin, end);
            kept = end;
            at = end > begin ? end : begin < piece.length ? begin + code_point(text, piece.begin + begin).bytes : piece.length;
        }
        keep(kept, piece.length);
    }
}

}  // namespace tailor::text
