// Distillation: a student learns from a teacher that stands in the same plan.
//
// The teacher's graph is added to the graph of a step with "teacher." before its names, so that its states are apart; it reads the same
// tokens, and no gradient goes into it. What the student must match is a sum of losses (train/losses/). The teacher may also be a file of
// answers (distillation_answers.h). The student may be trained as it will be stored (rounding.h); its own f32 weights are then what the
// optimizer moves.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "files/file.h"
#include "models/model.h"
#include "train/distillation_answers.h"
#include "train/losses/registry.h"
#include "train/objective.h"
#include "train/rounding.h"

namespace tailor::train {

/// The residual stream of a graph, as values {rows, width}: entry i is what layer i reads, the last is what all `layers` leave behind. It is found by what
/// reads the weights "blk.<i>.": the first node of a layer reads the stream, and so does the first after the last layer. A layer without weights
/// counts as one that changes nothing. Throws Error(unsupported) if that is not so.
std::vector<graph::Value> hidden_states(const graph::Graph& graph, std::int64_t layers);

/// The layer of the teacher whose hidden state before it each of the student's states is to match, for states 0..student layers: spread evenly.
std::vector<std::int64_t> layers_to_match(std::int64_t student_layers, std::int64_t teacher_layers);

struct DistillationOptions {
    std::vector<losses::Term> losses;
    double temperature = 1;
    std::vector<std::int64_t> layers;  ///< of the teacher, that the student's layers stand for; empty: evenly spread
    std::shared_ptr<Rounding> rounding;         ///< none: weights stay f32
    std::shared_ptr<TeacherAnswers> answers;    ///< none: the teacher runs
};

class Distillation : public Objective {
  public:
    /// `student` is the file that is trained. Both must outlive this. Throws Error(usage) for losses that stored answers cannot serve, another vocabulary, or
    /// layers that are not the teacher's.
    Distillation(const files::File& teacher, const files::File& student, DistillationOptions options);

    bool trains(std::string_view weight) const override { return !weight.starts_with("teacher."); }
    graph::Graph prepare(graph::Graph built) override;
    graph::Value loss(graph::Graph& step, const Ends& ends) override;
    void begin_step(std::int64_t steps, core::Pool& pool) override;
    void set_inputs(graph::Plan& plan, std::span<const std::int32_t> ids) override;
    std::string identity() const override;
    std::vector<Piece> pieces() override;

    /// After loss(): the way forth alone, for text that is not learned. Output 0 is the cross-entropy of each row, output 1, if the teacher runs, its
    /// divergence from the teacher, whatever the losses are.
    const graph::Graph& evaluation() const { return evaluation_; }

  private:
    bool needs(losses::Needs what) const;
    std::vector<graph::Value> add_teacher(graph::Graph& step, const Ends& ends, graph::Value& logits);
    std::vector<std::int64_t> matched_layers() const;
    graph::Value projected(graph::Graph& step, std::size_t i, graph::Value state, std::int64_t width);

    const files::File &teacher_, &student_;
    DistillationOptions options_;
    models::Weights weights_;  ///< of the teacher
    std::int64_t student_layers_ = 0, teacher_layers_ = 0, context_ = 0;
    std::vector<core::Tensor> projections_;
    core::Tensor top_, top_ids_;
    graph::Graph evaluation_;
};

}  // namespace tailor::train
