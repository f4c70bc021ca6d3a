// Finding a loss by name, and reading a list of them; see registry.h.
#include "train/losses/registry.h"

#include <cmath>
#include <cstdlib>

#include "core/error.h"

namespace tailor::train::losses {

using core::ErrorKind;
using core::fail;

std::string names() {
    std::vector<std::string> list;
    for (const Loss* loss : all()) list.emplace_back(loss->name);
    return core::join(list, ", ");
}

const Loss& get(std::string_view name) {
    for (const Loss* loss : all())
        if (loss->name == name) return *loss;
    fail(ErrorKind::usage, "there is no loss '{}'; there are: {}", name, names());
}

std::vector<Term> parse(std::string_view text) {
    std::vector<Term> terms;
    while (true) {
        const std::size_t comma = text.find(',');
        const std::string_view item = text.substr(0, comma);
        const std::size_t equals = item.find('=');
        Term term{&get(item.substr(0, equals)), 1};
        if (equals != std::string_view::npos) {
            const std::string number(item.substr(equals + 1));
            char* end = nullptr;
            term.weight = std::strtod(number.c_str(), &end);
            if (number.empty() || *end || !std::isfinite(term.weight) || term.weight <= 0) fail(ErrorKind::usage, "loss '{}': write name=weight with a weight above 0, such as kl=1", item);
        }
        for (const Term& other : terms)
            if (other.loss == term.loss) fail(ErrorKind::usage, "the loss {} is there twice", term.loss->name);
        terms.push_back(term);
        if (comma == std::string_view::npos) return terms;
        text.remove_prefix(comma + 1);
    }
}

graph::Value mean(graph::Graph& graph, const std::vector<graph::Value>& losses) {
    graph::Value sum = losses[0];
    for (std::size_t i = 1; i < losses.size(); ++i) sum = graph.add("add", {sum, losses[i]});
    return losses.size() == 1 ? sum : graph.add("scale", {sum}, {{"factor", 1.0 / static_cast<double>(losses.size())}});
}

}  // namespace tailor::train::losses
