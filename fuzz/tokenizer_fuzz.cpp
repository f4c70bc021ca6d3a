// libFuzzer target: whatever bytes it is given, the reader of tokenizer.json returns a Tokenizer or throws core::Error.
//
// An input is the file and, after a zero byte, a text for it; JSON has no zero bytes. What opens is used up: the text and a
// few fixed ones are encoded with and without special tokens, every id must be one of the vocabulary, and every token and
// what came out is decoded. Build with the preset `fuzz`; seeds are in fuzz/corpus/tokenizer, words in fuzz/tokenizer.dict.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "core/error.h"
#include "text/tokenizer_json.h"

namespace {

using tailor::core::Error;
using namespace tailor::text;

/// The property `what` was broken: stop, so that libFuzzer keeps the input.
void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "tokenizer_fuzz: %s\n", what);
    std::abort();
}

void use(const Tokenizer& tokenizer, std::string_view text) {
    for (const bool special : {false, true}) {
        std::vector<TokenId> ids;
        try {
            ids = tokenizer.encode(text, {.add_special = special, .parse_special = special});
        } catch (const Error&) {  // a word without a token, an expression that takes too long
            continue;
        }
        for (const TokenId id : ids) require(id >= 0 && id < tokenizer.size(), "an id outside of the vocabulary");
        require(ids == tokenizer.encode(text, {.add_special = special, .parse_special = special}), "encoding twice differs");
        try {
            require(tokenizer.decode(ids, special) == tokenizer.decode(ids, special), "decoding twice differs");
        } catch (const Error&) {
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t end = std::min(input.find('\0'), size);
    std::unique_ptr<Tokenizer> tokenizer;
    try {
        tokenizer = make_tokenizer_json(input.substr(0, end), "input");
    } catch (const Error&) {
        return 0;
    }
    for (const std::string_view text : {"It's  Größe 12345,\n<s>字🙂 e\xCC\x81\xFF", "", " "}) use(*tokenizer, text);
    if (end < size) use(*tokenizer, input.substr(end + 1));
    for (TokenId id = 0; id < std::min<std::int64_t>(tokenizer->size(), 300); ++id) {
        try {
            tokenizer->piece(id, id % 2 == 0);
        } catch (const Error&) {
        }
    }
    return 0;
}
