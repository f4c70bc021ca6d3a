// Whole models of every family against differences of their own definition: the loss is the cross-entropy of all rows of two sequences, its
// gradient with respect to every weight that can be trained comes from graph::add_gradients.
#include "graph/gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "models/tiny_training.h"

namespace tailor::models {
namespace {

using namespace testing;
using core::Tensor;
using graph::Value;

constexpr std::int64_t rows = 12;

struct Trainee : TinyTraining {
    explicit Trainee(const files::File& file) : TinyTraining(file, rows, 2) {}

    /// The sum of the rows' losses by definition, summed in double from the logits.
    double total() {
        const Tensor logits = run(graph, true)[0];
        double sum = 0;
        for (std::int64_t r = 0; r < rows; ++r) {
            const float* const row = logits.row_f32(r);
            double powers = 0;
            for (std::int64_t i = 0; i < logits.shape.width(); ++i) powers += std::exp(static_cast<double>(row[i]) - static_cast<double>(row[0]));
            sum += std::log(powers) + static_cast<double>(row[0]) - static_cast<double>(row[targets[static_cast<std::size_t>(r)]]);
        }
        return sum;
    }
};

/// A number of one weight, and how far it goes per step.
struct Move {
    float* number;
    double by;
};

double difference(Trainee& trainee, const std::vector<Move>& moves, double step) {
    std::vector<float> before;
    for (const Move& m : moves) before.push_back(*m.number);
    const auto loss_at = [&](double distance) {
        for (std::size_t i = 0; i < moves.size(); ++i) *moves[i].number = static_cast<float>(static_cast<double>(before[i]) + distance * moves[i].by);
        const double loss = trainee.total();
        for (std::size_t i = 0; i < moves.size(); ++i) *moves[i].number = before[i];
        return loss;
    };
    const double wide = (loss_at(step) - loss_at(-step)) / (2 * step), narrow = (loss_at(step / 2) - loss_at(-step / 2)) / step;
    return narrow + (narrow - wide) / 3;
}

/// Moves the numbers of some weights along a random direction.
void check(Trainee& trainee, const std::vector<Tensor>& gradients, const std::vector<std::size_t>& chosen, std::mt19937& random, const std::string& what) {
    std::normal_distribution<double> normal;
    std::vector<Move> moves;
    double squares = 0, directions = 0;
    for (const std::size_t w : chosen) {
        const Tensor& weight = trainee.graph.node(trainee.weights[w]).constant;
        for (std::int64_t i = 0; i < weight.shape.elements(); ++i) {
            const double slope = static_cast<double>(gradients[w].row_f32(0)[i]);
            moves.push_back({weight.row_f32(0) + i, normal(random)});
            squares += slope * slope, directions += moves.back().by * moves.back().by;
        }
    }
    const double size = std::sqrt(squares), aside = std::sqrt(directions);
    if (size < 1e-6) return;
    // Towards the gradient and aside in equal parts, so that what is measured is not small beside rounding.
    std::size_t n = 0;
    double given = 0;
    for (const std::size_t w : chosen)
        for (std::int64_t i = 0; i < gradients[w].shape.elements(); ++i, ++n) {
            const double slope = static_cast<double>(gradients[w].row_f32(0)[i]);
            moves[n].by = moves[n].by / aside + slope / size;
            given += slope * moves[n].by;
        }
    double found = 0;
    // Deep models bend within the widest step, a choice of experts jumps where two scores are equal, and a ReLU has corners: a
    // shorter step then stays on one side.
    for (const double step : {0.01, 0.002, 0.0003, 0.00003}) {
        found = difference(trainee, moves, step);
        if (std::fabs(found - given) <= 1e-3 * size) return;
    }
    ADD_FAILURE() << what << ": the pass gives " << given << ", differences " << found << " (norm " << size << ")";
}

class FamilyGradients : public ::testing::TestWithParam<TinyKind> {};

TEST_P(FamilyGradients, AgreeWithDifferences) {
    const auto file = make_tiny_family(GetParam().architecture, GetParam().parts);
    Trainee trainee(*file);
    ASSERT_FALSE(trainee.weights.empty());
    graph::Graph graph = trainee.graph;
    std::vector<Value> gradients;
    try {
        gradients = graph::add_gradients(graph, trainee.loss, trainee.weights);
    } catch (const core::Error& error) {
        if (error.kind() != core::ErrorKind::unsupported) throw;
        GTEST_SKIP() << GetParam().architecture << ": " << error.what();
    }
    graph::Graph backwards;
    {  // the gradients alone are wanted
        backwards = graph.rewritten([](graph::Graph& target, const graph::Node& node, const std::vector<Value>& inputs) { return target.keep(node, inputs); });
        for (const Value v : gradients) backwards.output(v);
    }
    std::vector<Tensor> found = trainee.run(backwards, false);
    found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(gradients.size()));
    std::mt19937 random(5);
    std::vector<std::size_t> all(trainee.weights.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    check(trainee, found, all, random, "all weights");
    for (int s = 0; s < 6; ++s) {
        const std::size_t w = random() % all.size();
        check(trainee, found, {w}, random, trainee.graph.node(trainee.weights[w]).name);
    }
}

INSTANTIATE_TEST_SUITE_P(Models, FamilyGradients, ::testing::ValuesIn(all_tiny_families()), [](const auto& info) { return test_name(info.param); });

}  // namespace
}  // namespace tailor::models
