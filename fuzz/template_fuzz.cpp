// Fuzz target for chat templates: any bytes are a template, which is read and rendered with a small conversation.
//
// Whatever it is, it ends soon with a text or an Error; memory and steps stay within the limits given here. What renders
// once renders the same a second time.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "core/json.h"
#include "text/templates/template.h"

using namespace tailor;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const core::Json variables = core::Json::parse(R"json({
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "  Grüße 🙂\n"},
                     {"role": "assistant", "content": "<b>", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "y": [1.5, null]}}}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "add_generation_prompt": true, "bos_token": "<s>", "n": 3, "x": 1.5, "none": null, "words": ["pear", "Apple", "fig"]})json");
    const text::templates::RenderOptions options{.most_work = 100'000, .most_bytes = 8u << 20};
    try {
        const text::templates::Template parsed(std::string_view(reinterpret_cast<const char*>(data), size), "input");
        const std::string once = parsed.render(variables, options);
        if (parsed.render(variables, options) != once) std::abort();
    } catch (const core::Error& error) {
        if (error.kind() == core::ErrorKind::bug) std::abort();
    }
    return 0;
}
