// Makes printable text of a stream of token pieces.
//
// A byte-level token may end in the middle of a character: an emoji is often two or three tokens. Terminals and JSON
// want whole characters, so the stream holds back the at most three bytes of an unfinished one until the rest arrives.
#pragma once
#include <string>
#include <string_view>

namespace tailor::text {

class Utf8Stream {
  public:
    /// Takes the bytes of one piece and returns what can be shown now: always valid UTF-8. Bytes that no continuation
    /// can repair come out as U+FFFD.
    std::string push(std::string_view bytes);

    /// The end of the text: an unfinished character comes out as U+FFFD. The stream is then empty and can be used again.
    std::string flush();

  private:
    std::string held_;
};

}  // namespace tailor::text
