// Filters on sequences: first, join, sort, batch ... Those that choose items one by one are in selection_filters.cpp.
//
// As in Jinja, order and equality ignore the case of text unless `case_sensitive` is given.
#include <algorithm>

#include "text/templates/builtins.h"
#include "text/templates/characters.h"

namespace tailor::text::templates {
namespace {

std::vector<Value> self_items(const Call& call) { return items(call.runtime, call.self); }

Value first(const Call& call) {
    if (call.self.is(Type::list) && call.self.as_list().nature == List::Nature::generator) {
        List& list = call.self.as_list();
        return list.given < list.items.size() ? list.items[list.given++] : call.runtime.undefined("the sequence is empty");
    }
    const std::vector<Value> all = self_items(call);
    return all.empty() ? call.runtime.undefined("the sequence is empty") : all.front();
}

Value last(const Call& call) {
    if (call.self.is(Type::list) && call.self.as_list().nature == List::Nature::generator)
        call.mistake("needs a sequence with an end, not a generator; use list first");
    const std::vector<Value> all = self_items(call);
    return all.empty() ? call.runtime.undefined("the sequence is empty") : all.back();
}

Value join(const Call& call) {
    std::string result;
    const std::string separator = call.lacks(0) ? std::string() : to_text(call.runtime, call[0]);
    bool begins = true;
    for (const Value& value : self_items(call)) {
        const std::string part = to_text(call.runtime, call.lacks(1) ? value : attribute_path(call.runtime, value, call[1]));
        call.runtime.check_size(result.size() + separator.size() + part.size());
        if (!begins) result += separator;
        result += part;
        begins = false;
    }
    return call.runtime.text(std::move(result));
}

// ---- order ----

/// What sorting and comparing look at: an attribute of the item (or the item), text in lower case.
Value sort_key(const Call& call, const Value& value, const Value& path, bool case_sensitive) {
    Value key = path.is(Type::undefined) || path.is(Type::none) ? value : attribute_path(call.runtime, value, path);
    return key.is(Type::text) && !case_sensitive ? call.runtime.text(lower(key.as_text())) : key;
}

/// A stable merge sort, so that a comparison that throws or is no order (NaN) does no harm.
void merge_sort(const Call& call, std::vector<std::pair<Value, Value>>& rows, bool reverse) {
    std::vector<std::pair<Value, Value>> other(rows.size());
    const auto precedes = [&](const Value& a, const Value& b) { return reverse ? less(call.runtime, b, a) : less(call.runtime, a, b); };
    for (std::size_t width = 1; width < rows.size(); width *= 2) {
        for (std::size_t begin = 0; begin < rows.size(); begin += 2 * width) {
            const std::size_t middle = std::min(begin + width, rows.size()), end = std::min(begin + 2 * width, rows.size());
            std::size_t a = begin, b = middle, out = begin;
            while (a < middle && b < end) {
                const bool takes_right = precedes(rows[b].first, rows[a].first);
                other[out++] = std::move(rows[takes_right ? b++ : a++]);
            }
            while (a < middle) other[out++] = std::move(rows[a++]);
            while (b < end) other[out++] = std::move(rows[b++]);
        }
        rows.swap(other);
    }
}

Value sorted(const Call& call, std::vector<std::pair<Value, Value>> rows, bool reverse) {
    merge_sort(call, rows, reverse);
    std::vector<Value> result;
    for (auto& [key, value] : rows) result.push_back(std::move(value));
    return call.runtime.list(std::move(result));
}

Value sort(const Call& call) {
    std::vector<std::pair<Value, Value>> rows;
    const bool case_sensitive = call.truth(1, false);
    for (Value& value : self_items(call)) {
        Value key = sort_key(call, value, call.value(2), case_sensitive);
        rows.emplace_back(std::move(key), std::move(value));
    }
    return sorted(call, std::move(rows), call.truth(0, false));
}

Value dict_sort(const Call& call) {
    if (!call.self.is(Type::dict)) call.mistake("needs a dictionary, not '{}'", type_name(call.self));
    const std::string_view by = call.text(1, "key");
    if (by != "key" && by != "value") call.mistake("sorts by 'key' or 'value', not '{}'", by);
    std::vector<std::pair<Value, Value>> rows;
    for (const auto& [key, value] : call.self.as_dict().members)
        rows.emplace_back(sort_key(call, by == "key" ? key : value, Value(), call.truth(0, false)),
                          call.runtime.list({key, value}, List::Nature::tuple));
    return sorted(call, std::move(rows), call.truth(2, false));
}

Value unique(const Call& call) {
    std::vector<Value> keys, result;
    for (const Value& value : self_items(call)) {
        Value key = sort_key(call, value, call.value(1), call.truth(0, false));
        if (std::any_of(keys.begin(), keys.end(), [&](const Value& known) { return equal(call.runtime, known, key); })) continue;
        keys.push_back(std::move(key));
        result.push_back(value);
    }
    return call.runtime.list(std::move(result), List::Nature::generator);
}

Value extreme(const Call& call, bool largest) {
    Value best, best_key;
    bool found = false;
    for (const Value& value : self_items(call)) {
        Value key = sort_key(call, value, call.value(1), call.truth(0, false));
        if (found && !(largest ? less(call.runtime, best_key, key) : less(call.runtime, key, best_key))) continue;
        best = value, best_key = std::move(key), found = true;
    }
    return found ? best : call.runtime.undefined("the sequence is empty");
}

Value sum(const Call& call) {
    Value total = call.has(1) ? call[1] : Value::integer(0);
    for (const Value& value : self_items(call))
        total = operate(call.runtime, "+", total, call.lacks(0) ? value : attribute_path(call.runtime, value, call[0]));
    return total;
}

Value reverse(const Call& call) {
    std::vector<Value> all = self_items(call);
    std::reverse(all.begin(), all.end());
    if (!call.self.is(Type::text)) return call.runtime.list(std::move(all), List::Nature::generator);
    std::string result;
    for (const Value& c : all) result += c.as_text();
    return call.runtime.text(std::move(result));
}

// ---- groups ----

Value batch(const Call& call) {
    const std::int64_t size = call.integer(0, 0);
    if (size < 1) call.mistake("needs a size of at least 1");
    std::vector<Value> result, row;
    const auto finish = [&] { result.push_back(call.runtime.list(std::exchange(row, {}))); };
    for (Value& value : self_items(call)) {
        if (static_cast<std::int64_t>(row.size()) == size) finish();
        row.push_back(std::move(value));
    }
    if (!row.empty()) {
        call.runtime.work(call.lacks(1) ? 0 : static_cast<std::size_t>(size));
        call.runtime.check_size(call.lacks(1) ? 0 : static_cast<std::size_t>(size) * sizeof(Value));
        while (!call.lacks(1) && static_cast<std::int64_t>(row.size()) < size) row.push_back(call[1]);
        finish();
    }
    return call.runtime.list(std::move(result), List::Nature::generator);
}

Value slice(const Call& call) {
    const std::vector<Value> all = self_items(call);
    const std::int64_t count = call.integer(0, 0);
    if (count < 1 || count > 100'000) call.mistake("needs a number of slices from 1 to 100000");
    const std::size_t slices = static_cast<std::size_t>(count), size = all.size() / slices, longer = all.size() % slices;
    std::vector<Value> result;
    std::size_t at = 0;
    for (std::size_t i = 0; i < slices; ++i) {
        const std::size_t end = at + size + (i < longer);
        std::vector<Value> row(all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(end));
        if (!call.lacks(1) && i >= longer) row.push_back(call[1]);
        result.push_back(call.runtime.list(std::move(row)));
        at = end;
    }
    return call.runtime.list(std::move(result), List::Nature::generator);
}

Value pairs(const Call& call) {
    if (call.self.is(Type::undefined)) return call.runtime.list({}, List::Nature::generator);
    if (!call.self.is(Type::dict)) call.mistake("needs a dictionary, not '{}'", type_name(call.self));
    std::vector<Value> result;
    for (const auto& [key, value] : call.self.as_dict().members) result.push_back(call.runtime.list({key, value}, List::Nature::tuple));
    return call.runtime.list(std::move(result), List::Nature::generator);
}

Value group_by(const Call& call) {
    std::vector<std::pair<Value, Value>> rows;
    const bool case_sensitive = call.truth(2, false);
    for (Value& value : self_items(call)) {
        Value found = attribute_path(call.runtime, value, call[0]);
        if (found.is(Type::undefined) && call.has(1)) found = call[1];
        rows.emplace_back(found.is(Type::text) && !case_sensitive ? call.runtime.text(lower(found.as_text())) : found,
                          call.runtime.list({found, value}, List::Nature::tuple));
    }
    merge_sort(call, rows, false);
    std::vector<Value> result;
    for (std::size_t i = 0; i < rows.size();) {
        const Value group = call.runtime.list({});
        const std::size_t begin = i;
        for (; i < rows.size() && equal(call.runtime, rows[begin].first, rows[i].first); ++i)
            call.runtime.append(group.as_list(), rows[i].second.as_list().items[1]);
        result.push_back(call.runtime.list({rows[begin].second.as_list().items[0], group}, List::Nature::tuple));
        if (i == begin) ++i;  // a key that does not equal itself
    }
    return call.runtime.list(std::move(result));
}

constexpr Builtin table[] = {
    {"first", "", first},
    {"last", "", last},
    {"length", "", [](const Call& c) { return Value::integer(length(c.runtime, c.self)); }},
    {"count", "", [](const Call& c) { return Value::integer(length(c.runtime, c.self)); }},
    {"list", "", [](const Call& c) { return c.runtime.list(self_items(c)); }},
    {"join", "d attribute", join},
    {"sort", "reverse case_sensitive attribute", sort},
    {"dictsort", "case_sensitive by reverse", dict_sort},
    {"unique", "case_sensitive attribute", unique},
    {"min", "case_sensitive attribute", [](const Call& c) { return extreme(c, false); }},
    {"max", "case_sensitive attribute", [](const Call& c) { return extreme(c, true); }},
    {"sum", "attribute start", sum},
    {"reverse", "", reverse},
    {"batch", "linecount fill_with", batch},
    {"slice", "slices fill_with", slice},
    {"items", "", pairs},
    {"groupby", "attribute default case_sensitive", group_by},
};

}  // namespace

std::span<const Builtin> sequence_filters() { return table; }

}  // namespace tailor::text::templates
