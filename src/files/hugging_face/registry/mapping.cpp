// Carrying settings and names over in one of two directions; see mapping.h.
#include "files/hugging_face/mapping.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "files/quoted.h"
#include "formats/registry.h"

namespace tailor::files::hugging_face {

using core::ErrorKind;
using core::fail;

Mapping::Mapping(const Architecture& architecture, const core::Json& config, Shapes theirs)
    : architecture_(architecture), reading_(true), config_(config), source_(std::move(theirs)) {
    const core::Json defaults = core::Json::parse(architecture.defaults, "defaults");
    for (const auto& [name, value] : defaults.members())
        if (!config_.find(name)) config_.set(name, value);
    metadata_.set_text("general.architecture", std::string(architecture.gguf));
    architecture.map(*this);
}

Mapping::Mapping(const Architecture& architecture, const File& file)
    : architecture_(architecture), reading_(false), file_(&file), metadata_(file.metadata()) {
    for (const TensorInfo& tensor : file.tensors()) source_.emplace(tensor.name, tensor.shape);
    config_.set("architectures", core::Json::Array{core::Json(architecture.classes[0])}).set("model_type", architecture.model_type);
    architecture.map(*this);
}

std::vector<std::string> Mapping::unclaimed() const {
    std::vector<std::string> names;
    for (const auto& [name, shape] : source_)
        if (!claimed_.contains(name)) names.push_back(name);
    return names;
}

// ---- Settings ----

const core::Json* Mapping::member(std::string_view name) const {
    const core::Json* const value = config_.find(name);
    return value && !value->is_null() ? value : nullptr;
}

std::optional<std::int64_t> Mapping::find_integer(std::string_view theirs, std::string_view ours) const {
    if (reading_) {
        const core::Json* const value = member(theirs);
        if (value && !value->is_number()) fail(ErrorKind::format, "config.json: {} must be a whole number", quoted(theirs));
        return value ? std::optional(value->integer()) : std::nullopt;
    }
    const MetaValue* const value = metadata_.find(key(ours));
    if (!value) return {};
    if (value->type == MetaType::array)
        fail(ErrorKind::unsupported, "{} differs between layers; config.json has one {} for all", key(ours), quoted(theirs));
    return metadata_.integer(key(ours));
}

std::optional<double> Mapping::find_real(std::string_view theirs, std::string_view ours) const {
    if (reading_) {
        const core::Json* const value = member(theirs);
        if (value && !value->is_number()) fail(ErrorKind::format, "config.json: {} must be a number", quoted(theirs));
        return value ? std::optional(value->number()) : std::nullopt;
    }
    return metadata_.find(key(ours)) ? std::optional(metadata_.real(key(ours))) : std::nullopt;
}

void Mapping::missing(std::string_view theirs, std::string_view ours) const {
    if (reading_) fail(ErrorKind::format, "config.json has no {}, which a {} needs", quoted(theirs), architecture_.classes[0]);
    fail(ErrorKind::format, "the metadata has no key {}, which becomes {} in config.json", quoted(key(ours)), quoted(theirs));
}

void Mapping::put(std::string_view theirs, std::string_view ours, std::int64_t value) {
    reading_ ? set(ours, value) : set_member(theirs, value);
}

void Mapping::put(std::string_view theirs, std::string_view ours, double value) {
    reading_ ? set(ours, value) : set_member(theirs, short_decimal(value));
}

std::int64_t Mapping::integer(std::string_view theirs, std::string_view ours) {
    const std::optional<std::int64_t> value = integer_if(theirs, ours);
    if (!value) missing(theirs, ours);
    return *value;
}

double Mapping::real(std::string_view theirs, std::string_view ours) {
    const std::optional<double> value = real_if(theirs, ours);
    if (!value) missing(theirs, ours);
    return *value;
}

std::int64_t Mapping::integer(std::string_view theirs, std::string_view ours, std::int64_t meant) {
    const std::int64_t value = find_integer(theirs, ours).value_or(meant);
    put(theirs, ours, value);
    return value;
}

double Mapping::real(std::string_view theirs, std::string_view ours, double meant) {
    const double value = find_real(theirs, ours).value_or(meant);
    put(theirs, ours, value);
    return value;
}

bool Mapping::boolean(std::string_view theirs, std::string_view ours, bool meant) {
    if (!reading_) {
        const bool value = metadata_.boolean(key(ours), meant);
        set_member(theirs, value);
        return value;
    }
    const core::Json* const found = member(theirs);
    const bool value = found ? found->boolean() : meant;
    set(ours, value);
    return value;
}

std::optional<std::int64_t> Mapping::integer_if(std::string_view theirs, std::string_view ours) {
    const std::optional<std::int64_t> value = find_integer(theirs, ours);
    if (value) put(theirs, ours, *value);
    return value;
}

std::optional<double> Mapping::real_if(std::string_view theirs, std::string_view ours) {
    const std::optional<double> value = find_real(theirs, ours);
    if (value) put(theirs, ours, *value);
    return value;
}

void Mapping::set_member(std::string_view name, core::Json value) {
    if (!reading_) config_.set(name, std::move(value));
}

void Mapping::set(std::string_view name, std::int64_t value) {
    if (!reading_) return;
    if (value < 0 || value > UINT32_MAX) fail(ErrorKind::format, "config.json gives {} for {}, which must lie between 0 and 2^32 - 1", value, key(name));
    metadata_.set_integer(key(name), value);
}

void Mapping::set(std::string_view name, double value) {
    if (reading_) metadata_.set_real(key(name), static_cast<float>(value));
}

void Mapping::set(std::string_view name, bool value) {
    if (reading_) metadata_.set_boolean(key(name), value);
}

void Mapping::set_text(std::string_view name, std::string value) {
    if (reading_) metadata_.set_text(key(name), std::move(value));
}

void Mapping::set(std::string_view name, std::vector<std::int64_t> values, MetaType type) {
    if (reading_) metadata_.set_integers(key(name), std::move(values), type);
}

// ---- Tensors ----

const core::Shape* Mapping::shape(std::string_view theirs, std::string_view ours) const {
    const auto it = source_.find(reading_ ? theirs : ours);
    return it == source_.end() ? nullptr : &it->second;
}

void Mapping::tensor(const std::string& theirs, const std::string& ours, const Step& step) {
    const std::string& name = reading_ ? theirs : ours;
    if (!source_.contains(name) || claimed_.contains(name)) return;
    claim(name);
    rules_.push_back({.theirs = {theirs}, .ours = {ours}, .step = step});
}

void Mapping::linear(const std::string& theirs, const std::string& ours, const Step& step) {
    tensor(theirs + ".weight", ours + ".weight", step);
    tensor(theirs + ".bias", ours + ".bias", step);
}

void Mapping::stack(const std::vector<std::string>& theirs, const std::string& ours, const Step& step) {
    if (theirs.empty()) return;
    if (!reading_) {
        const core::Shape* const whole = shape({}, ours);
        if (!whole) return;
        if (whole->rank() < 2 || (*whole)[0] != static_cast<std::int64_t>(theirs.size()))
            fail(ErrorKind::format, "tensor {} has shape {}; it must hold {} parts", quoted(ours), whole->text(), theirs.size());
        claim(ours);
    } else {
        if (!source_.contains(theirs[0])) return;
        for (const std::string& name : theirs) {
            const core::Shape* const part = shape(name, {});
            if (!part) fail(ErrorKind::format, "tensor {} is missing, while {} is there", quoted(name), quoted(theirs[0]));
            if (!(*part == *shape(theirs[0], {})) || part->rank() >= core::Shape::max_rank)
                fail(ErrorKind::format, "tensors {} and {} have different shapes", quoted(name), quoted(theirs[0]));
            claim(name);
        }
    }
    rules_.push_back({.theirs = theirs, .ours = {ours}, .step = step, .stacked = true});
}

void Mapping::cut(const std::string& theirs, const std::vector<std::string>& ours, const std::vector<std::int64_t>& rows) {
    if (reading_ ? !source_.contains(theirs) : !source_.contains(ours[0])) return;
    if (reading_) claim(theirs);
    for (const std::string& name : ours) {
        if (reading_) continue;
        const core::Shape* const part = shape({}, name);
        if (!part) fail(ErrorKind::format, "tensor {} is missing, while {} is there", quoted(name), quoted(ours[0]));
        core::Shape expected = *shape({}, ours[0]);
        if (expected.rank() >= 2 && part->rank() == expected.rank()) expected[expected.rank() - 2] = (*part)[expected.rank() - 2];
        if (expected.rank() < 2 || !(*part == expected))
            fail(ErrorKind::format, "tensors {} and {} of shapes {} and {} do not go together", quoted(ours[0]), quoted(name), shape({}, ours[0])->text(),
                 part->text());
        claim(name);
    }
    rules_.push_back({.theirs = {theirs}, .ours = ours, .rows = rows});
}

void Mapping::put_numbers(const std::string& ours, const std::vector<float>& numbers) {
    if (!reading_ || numbers.empty()) return;
    core::Tensor tensor = formats::make_tensor(formats::get("f32"), {static_cast<std::int64_t>(numbers.size())});
    std::copy(numbers.begin(), numbers.end(), tensor.row_f32(0));
    rules_.push_back({.ours = {ours}, .made = std::move(tensor)});
}

std::vector<float> Mapping::take_numbers(const std::string& ours) {
    const TensorInfo* const info = reading_ ? nullptr : file_->find(ours);
    if (!info) return {};
    claim(ours);
    const core::Tensor tensor = converted(file_->read(*info), formats::get("f32"));
    return {tensor.row_f32(0), tensor.row_f32(0) + tensor.shape.elements()};
}

void Mapping::ignore_theirs(const std::string& name) {
    if (reading_) claim(name);
}

double short_decimal(double value) {
    char text[64];
    const auto end = std::to_chars(text, text + sizeof text, static_cast<float>(value)).ptr;
    double shortest = value;
    std::from_chars(text, end, shortest);
    return shortest;
}

}  // namespace tailor::files::hugging_face
