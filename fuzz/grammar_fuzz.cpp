// libFuzzer target: grammars. The first byte says what the rest is: GBNF, a JSON Schema, or a pattern in one.
//
// What is read writes texts: byte by byte one of those that may come, the choice a function of the input, until no more than the
// fewest bytes to the end are left of a budget; then the shortest way is taken. Every text must end where the automaton said it could, and
// what a schema wrote must be JSON. Masks over a small vocabulary must say of each token what the automaton says of its bytes.
// Build with the preset `fuzz`; seeds are in fuzz/corpus/grammar.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/error.h"
#include "text/grammar/grammar.h"
#include "text/grammar/token_mask.h"

namespace {

using tailor::core::Error;
using tailor::core::ErrorKind;
using tailor::core::Json;
using namespace tailor::text;
using namespace tailor::text::grammar;

void require(bool holds, const char* what, std::string_view text = {}) {
    if (holds) return;
    std::fprintf(stderr, "grammar_fuzz: %s: %.*s\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
}

// All bytes, a few longer pieces, and an end.
class Pieces : public Tokenizer {
  public:
    Pieces() {
        for (int b = 0; b < 256; ++b) pieces_.emplace_back(1, static_cast<char>(b));
        for (const char* p : {"{\"", "\":", ", ", "\"}", "]}", "true", "null", "ab", "12", "0.", "\xC3\xA9", "\xE2\x82", "\\n", "\n  "}) pieces_.emplace_back(p);
        pieces_.emplace_back();
        size_ = static_cast<std::int64_t>(pieces_.size());
        eos_ = static_cast<TokenId>(size_ - 1);
        end_ids_ = {eos_};
    }
    std::vector<TokenId> encode(std::string_view, EncodeOptions) const override { return {}; }
    std::string piece(TokenId id, bool) const override { return pieces_[static_cast<std::size_t>(id)]; }
    std::string decode(std::span<const TokenId>, bool) const override { return {}; }

  private:
    std::vector<std::string> pieces_;
};

// The first byte from `start` on, in an order that jumps, that may come and leaves time to end; -1: none may.
int choose(Automaton& automaton, StateId state, std::uint32_t start, std::int64_t remaining) {
    for (std::uint32_t i = 0; i < 256; ++i) {
        const auto byte = static_cast<std::uint8_t>(start + 37 * i);
        const StateId next = automaton.step(state, byte);
        if (next != Automaton::dead && automaton.least_bytes(next) < remaining) return byte;
    }
    return -1;
}

std::string written(const Rules& rules, std::uint32_t seed) {
    Automaton automaton(rules);
    StateId state = automaton.start();
    std::string text;
    for (std::int64_t remaining = automaton.least_bytes(state) + 24; remaining > 0; --remaining) {
        seed = seed * 1664525u + 1013904223u;
        if (automaton.may_end(state) && seed >> 30 == 0) break;
        const int byte = choose(automaton, state, seed >> 8, remaining);
        if (byte < 0) break;
        text.push_back(static_cast<char>(byte));
        state = automaton.step(state, static_cast<std::uint8_t>(byte));
    }
    require(automaton.may_end(state), "a text that cannot end", text);
    return text;
}

void compare_masks(const Rules& rules, std::string_view text) {
    static const Pieces pieces;
    Automaton automaton(rules);
    TokenMask mask(rules, pieces);
    for (std::size_t at = 0; at <= text.size() && at < 6; ++at) {
        const StateId state = automaton.step(automaton.start(), text.substr(0, at));
        const auto bits = mask.allowed();
        for (TokenId id = 0; id < pieces.size() - 1; ++id) {
            const bool allowed = bits[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1;
            require(allowed == (automaton.step(state, pieces.piece(id, false)) != Automaton::dead), "a mask that differs", text);
        }
        if (at < text.size()) require(mask.accept(text.substr(at, 1)), "a byte that was allowed", text);
    }
}

void use(const Rules& rules, std::uint32_t seed, bool json) {
    if (rules.root < 0) return;
    const std::string text = written(rules, seed);
    if (json) {
        try {
            Json::parse(text);
        } catch (const Error&) {
            require(false, "no JSON", text);
        }
    }
    if (seed % 8 == 0) compare_masks(rules, text);  // slow
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
    try {
        const bool json = data[0] % 4 != 0;
        Rules rules;
        if (!json) {
            rules = from_gbnf(text);
        } else if (data[0] % 4 == 1) {
            rules = from_json_schema(Json(Json::Object{{"type", "string"}, {"pattern", text}}));
        } else {
            rules = from_json_schema(Json::parse(text));
        }
        use(rules, static_cast<std::uint32_t>(size) * 77 + data[size - 1], json);
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::bug) std::abort();
    }
    return 0;
}
