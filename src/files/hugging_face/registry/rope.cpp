// Rotary settings: "rope_theta" with "rope_scaling" (or both as "rope_parameters") there, rope.freq_base and rope.scaling.* here.
//
// Four kinds of scaling have a place in both: linear (Chen et al., 2023); YaRN (Peng et al., 2023), whose attention factor
// GGUF holds relative to the usual 1 + 0.1 ln(factor); Llama 3.1's, which GGUF holds as one divisor per pair of numbers; and
// LongRoPE (Ding et al., 2024), two lists of divisors and an attention factor. Llama 3.1's divisor of pair i of a head of d
// numbers, with wavelength l = 2 pi base^(2 i / d) and original context c, is
//     1            for l < c / high,
//     factor       for l > c / low,
//     1 / ((1 - s) / factor + s),  s = (c / l - low) / (high - low),  between.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "files/hugging_face/decoder.h"
#include "files/quoted.h"

namespace tailor::files::hugging_face {

namespace {

using core::ErrorKind;
using core::Json;

struct Llama3 {
    double factor, low, high, original;
};

std::vector<float> divisors(const Llama3& s, double base, std::int64_t rotated) {
    std::vector<float> result;
    for (std::int64_t i = 0; i < rotated / 2; ++i) {
        const double wavelength = 2 * M_PI * std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(rotated));
        const double smooth = (s.original / wavelength - s.low) / (s.high - s.low);
        const bool is_short = wavelength < s.original / s.high, is_long = wavelength > s.original / s.low;
        result.push_back(static_cast<float>(is_short ? 1 : is_long ? s.factor : 1 / ((1 - smooth) / s.factor + smooth)));
    }
    return result;
}

/// "rope_parameters", or of those per kind of layer the ones of layers that see everything; nullptr if there are none.
const Json* parameters_member(const Mapping& m) {
    const Json* const parameters = m.reading() ? m.member("rope_parameters") : nullptr;
    const Json* const full = parameters ? parameters->find("full_attention") : nullptr;
    return full ? full : parameters;
}

const Json* scaling_member(const Mapping& m) {
    const Json* const scaling = m.member("rope_scaling");
    return scaling ? scaling : parameters_member(m);
}

double number(const Json& scaling, std::string_view key, double meant) {
    const Json* const value = scaling.find(key);
    return value && value->is_number() ? value->number() : meant;
}

std::vector<float> list(const Json& scaling, std::string_view key) {
    std::vector<float> numbers;
    if (const Json* const values = scaling.find(key); values && values->is_array())
        for (const Json& value : values->items()) numbers.push_back(static_cast<float>(value.number()));
    return numbers;
}

double yarn_usual(double factor) { return 1 + 0.1 * std::log(factor); }

/// The context a model had before its angles were scaled: in the scaling, in config.json itself (Phi-3), or the whole one.
double original_context(const Mapping& m, const Json& scaling) {
    const double context = number(m.config(), "max_position_embeddings", 0);
    const double original = number(scaling, "original_max_position_embeddings", number(m.config(), "original_max_position_embeddings", context));
    if (!(original >= 1 && original < 1e9)) core::fail(ErrorKind::format, "config.json: rope scaling needs an original_max_position_embeddings, not {}", original);
    return original;
}

void read_longrope(Mapping& m, const Json& scaling, double original) {
    const double ratio = number(m.config(), "max_position_embeddings", original) / original;
    const double usual = ratio <= 1 ? 1 : std::sqrt(1 + std::log(ratio) / std::log(original));
    m.set("rope.scaling.original_context_length", static_cast<std::int64_t>(original));
    m.set("rope.scaling.attn_factor", number(scaling, "attention_factor", usual));
    m.put_numbers("rope_factors_long.weight", list(scaling, "long_factor"));
    m.put_numbers("rope_factors_short.weight", list(scaling, "short_factor"));
}

void read_scaling(Mapping& m, const Json& scaling, double base, std::int64_t rotated) {
    const Json* kind = scaling.find("rope_type");
    if (!kind) kind = scaling.find("type");
    const std::string type = kind && kind->is_string() ? kind->string() : "default";
    // "dynamic" changes angles only beyond the context the model was made for, and "mrope" only for images.
    if (type == "default" || type == "dynamic" || type == "mrope") return;
    const double factor = number(scaling, "factor", 1), original = original_context(m, scaling);
    if (type == "llama3") {
        const Llama3 s{factor, number(scaling, "low_freq_factor", 1), number(scaling, "high_freq_factor", 4), original};
        return m.put_numbers("rope_freqs.weight", divisors(s, base, rotated));
    }
    if (type == "longrope" || type == "su") return read_longrope(m, scaling, original);
    if (type != "linear" && type != "yarn")
        core::fail(ErrorKind::unsupported, "config.json: rope scaling of type {}; there are linear, yarn, llama3, longrope and dynamic", quoted(type));
    m.set_text("rope.scaling.type", type);
    m.set("rope.scaling.factor", factor);
    if (type == "linear") return;
    m.set("rope.scaling.original_context_length", static_cast<std::int64_t>(original));
    if (const Json* const attention = scaling.find("attention_factor"); attention && attention->is_number())
        m.set("rope.scaling.attn_factor", attention->number() / yarn_usual(factor));
    for (const char* key : {"beta_fast", "beta_slow"})
        if (const Json* const beta = scaling.find(key); beta && beta->is_number()) m.set(std::string("rope.scaling.yarn_") + key, beta->number());
}

/// The settings that give these divisors; contexts and factors of published models are few.
Json llama3_json(const std::vector<float>& wanted, double base) {
    const double factor = *std::max_element(wanted.begin(), wanted.end());
    for (double original = 32; original <= 1 << 20; original *= 2) {
        const Llama3 s{factor, 1, 4, original};
        const std::vector<float> made = divisors(s, base, static_cast<std::int64_t>(wanted.size()) * 2);
        bool equal = true;
        for (std::size_t i = 0; i < wanted.size(); ++i) equal &= std::fabs(made[i] - wanted[i]) <= 1e-4f * wanted[i];
        if (!equal) continue;
        return Json().set("rope_type", "llama3").set("factor", short_decimal(factor)).set("low_freq_factor", s.low).set("high_freq_factor", s.high)
            .set("original_max_position_embeddings", static_cast<std::int64_t>(original));
    }
    core::fail(ErrorKind::unsupported, "the divisors of rope_freqs.weight follow from no settings that config.json could hold");
}

Json numbers_json(const std::vector<float>& numbers) {
    Json::Array items;
    for (const float x : numbers) items.push_back(short_decimal(x));
    return items;
}

/// "rope_scaling" for what the metadata says; null for none.
Json write_scaling(Mapping& m, double base) {
    const Metadata& metadata = m.metadata();
    const std::vector<float> llama3 = m.take_numbers("rope_freqs.weight");
    const std::vector<float> long_factor = m.take_numbers("rope_factors_long.weight"), short_factor = m.take_numbers("rope_factors_short.weight");
    if (!llama3.empty()) return llama3_json(llama3, base);
    const double factor = metadata.real(m.key("rope.scaling.factor"), 1), attention = metadata.real(m.key("rope.scaling.attn_factor"), 0);
    const std::int64_t original = metadata.integer(m.key("rope.scaling.original_context_length"), 0);
    if (!long_factor.empty()) {
        m.set_member("original_max_position_embeddings", original);
        return Json().set("rope_type", "longrope").set("long_factor", numbers_json(long_factor)).set("short_factor", numbers_json(short_factor))
            .set("attention_factor", short_decimal(attention > 0 ? attention : 1));
    }
    const std::string type(metadata.text(m.key("rope.scaling.type"), "none"));
    if (type == "none") return {};
    if (type != "linear" && type != "yarn")
        core::fail(ErrorKind::unsupported, "{} {} has no place in config.json", m.key("rope.scaling.type"), quoted(type));
    Json scaling = Json().set("rope_type", type).set("factor", short_decimal(factor));
    if (type == "linear") return scaling;
    if (original > 0) scaling.set("original_max_position_embeddings", original);
    if (attention > 0) scaling.set("attention_factor", short_decimal(attention * yarn_usual(factor)));
    for (const char* key : {"beta_fast", "beta_slow"})
        if (const double beta = metadata.real(m.key(std::string("rope.scaling.yarn_") + key), 0); beta > 0) scaling.set(key, short_decimal(beta));
    return scaling;
}

}  // namespace

double rope_base(Mapping& m, double meant) {
    const Json* const parameters = parameters_member(m);
    return m.real("rope_theta", "rope.freq_base", parameters ? number(*parameters, "rope_theta", meant) : meant);
}

void rope(Mapping& m, std::int64_t rotated, double meant) {
    const double base = rope_base(m, meant);
    if (m.reading()) {
        if (const Json* const scaling = scaling_member(m); scaling && scaling->is_object()) read_scaling(m, *scaling, base, rotated);
        return;
    }
    m.set_member("rope_scaling", write_scaling(m, base));
}

}  // namespace tailor::files::hugging_face
