// Holding back unfinished characters; see utf8_stream.h.
#include "text/utf8_stream.h"

#include "text/unicode.h"

namespace tailor::text {

std::string Utf8Stream::push(std::string_view bytes) {
    held_.append(bytes);
    std::string shown;
    std::size_t at = 0;
    while (at < held_.size()) {
        const std::size_t valid = valid_length(held_, at);
        shown.append(held_, at, valid);
        at += valid;
        if (at == held_.size()) break;
        bool incomplete = false;
        const std::size_t invalid = invalid_length(held_, at, incomplete);
        if (incomplete) break;
        append_utf8(shown, 0xFFFD);
        at += invalid;
    }
    held_.erase(0, at);
    return shown;
}

std::string Utf8Stream::flush() {
    std::string shown;
    if (!held_.empty()) append_utf8(shown, 0xFFFD);
    held_.clear();
    return shown;
}

}  // namespace tailor::text
