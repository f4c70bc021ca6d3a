// Cutting parts out of a model: narrower feed-forward parts, layers without attention.
//
// What is left is a file like any other: it runs, is quantized, fitted and written by the same code, and other programs read it, since
// per-layer widths travel as arrays (attention.head_count, attention.head_count_kv, feed_forward_length). A llama that loses an
// attention becomes a deci (models/deci.cpp), the one architecture whose layers may lack a part.
// Column j of Wdown and rows j of Wgate and Wup are one unit: y = sum over j of Wdown[:, j] h_j. Removing it changes y by
// Wdown[:, j] h_j, in mean square E[h_j^2] |Wdown[:, j]|^2, by which units are chosen here (Molchanov et al., "Pruning
// Convolutional Neural Networks for Resource Efficient Inference", 2017, compare such criteria).
#pragma once
#include <memory>
#include <vector>

#include "compress/importance.h"
#include "files/file.h"

namespace tailor::compress {

/// What a layer loses.
struct LayerCut {
    std::int64_t layer = 0;
    std::vector<std::int64_t> kept_units;  ///< of the feed-forward part, ascending; empty: all stay
    bool keeps_attention = true;
};

/// Units of a layer's feed-forward part: the width of its ffn_down. Throws Error(unsupported) naming file and layer if it has none,
/// or experts in its place.
std::int64_t feed_forward_units(const files::File& file, std::int64_t layer);
/// The same number, if `count` of them can be kept. Throws Error(usage) unless 0 < count <= all units.
std::int64_t require_units(const files::File& file, std::int64_t layer, std::int64_t count);

/// The `count` units of the layer that matter most, ascending; by their weights alone if `importance` is null or does not know the
/// layer. Throws Error(usage) unless 0 < count <= all units.
std::vector<std::int64_t> strongest_units(const files::File& file, std::int64_t layer, std::int64_t count, const Importance* importance);

/// The file without what the cuts name; `source` must outlive it. Tensors are cut when they are read. In a quantized source columns are
/// copied bit by bit where the kept units are whole blocks, else rounded again. Throws Error(usage) for layers or units that do not
/// exist, Error(unsupported) for an architecture that cannot lose an attention, Error(shape) if what stays does not fit the blocks of
/// the format.
std::unique_ptr<files::File> cut(const files::File& source, const std::vector<LayerCut>& cuts);

}  // namespace tailor::compress
