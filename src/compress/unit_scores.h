// How much the loss would feel a unit of a feed-forward part going, from gradients of single sequences.
//
// Put a factor m_j before unit j: y = sum over j of m_j Wdown[:, j] h_j, with m_j = 1 in the model and 0 without the unit. Then
//     dL/dm_j = sum over i of Wdown_ij dL/dWdown_ij,      score_j = mean over sequences s of (dL_s/dm_j)^2
// is the empirical Fisher information of m_j; half of it is what removing unit j alone adds to the loss, to second order, for a model
// that has learned its text (Kwon et al., "A Fast Post-Training Pruning Framework for Transformers", 2022, section 4.1; Molchanov et al.,
// "Importance Estimation for Neural Network Pruning", 2019, equation 8). Unlike the sizes of activations and weights, it
// knows what the layers above make of a unit. Needs matrices that have gradients: those of an unquantized model.
#pragma once
#include <map>
#include <vector>

#include "core/pool.h"
#include "files/file.h"
#include "run/evaluation.h"

namespace tailor::compress {

/// Scores of all units, by layer; layers without a plain feed-forward part are missing. Throws Error(unsupported) if the family cannot
/// be trained or no such matrix has a gradient.
std::map<std::int64_t, std::vector<double>> fisher_of_units(const files::File& file, core::Pool& pool, const run::Windows& windows, const run::Progress& progress = {});

/// The `count` units with the highest scores, ascending. Throws Error(usage) unless 0 < count <= all units.
std::vector<std::int64_t> highest_units(const std::vector<double>& scores, std::int64_t count);

}  // namespace tailor::compress
