// How a tokenizer.json file makes text of tokens again.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "text/tokenizer_json/element.h"

namespace tailor::text::tokenizer_json {

/// Tokens on their way to text. Unlike elsewhere, they may hold any bytes.
struct Decoding {
    struct Part {
        std::string text;
        bool verbatim = false;  ///< an added token: it is text already and not spelled in bytes
    };
    std::vector<Part> parts;
    bool begins = true;  ///< the first part begins the text; if false, what drops a leading space leaves it
    bool ends = true;    ///< the last part ends it
    bool fused = false;  ///< the parts were joined to one

    /// Joins all parts to one.
    void fuse();
};

/// Safe to call from several threads. The text is the parts that come out, one after the other.
using Decoder = std::function<void(Decoding&)>;

/// The decoder of an element; of null, the one that puts spaces between. Throws Error(format) or Error(unsupported).
Decoder make_decoder(const Element& element);

}  // namespace tailor::text::tokenizer_json
