// Kinds of adapters: what small matrices beside a frozen weight are made of.
//
// A kind is one file src/train/adapters/<name>.cpp that defines `extern const AdapterKind <name>` in namespace
// tailor::train::adapters::entries. All of them learn two matrices A and B beside W (files/adapter.h); they differ in what numbers these
// may hold. What the optimizer moves are f32 numbers; `form` says what stands in the network for them, `written` what goes into the file.
#pragma once
#include <cstdint>
#include <string_view>

#include "graph/graph.h"

namespace tailor::train::adapters {

struct AdapterKind {
    std::string_view name;         ///< "lora"
    std::string_view doc;          ///< one sentence
    std::int64_t rank = 16;        ///< where the user names none
    double rate = 1e-3;            ///< a peak of AdamW's rate that suits most models
    std::string_view file_format;  ///< of the matrices in a file, where rows fit its blocks
    /// The value that stands in the network for the numbers that are trained; null: they themselves.
    graph::Value (*form)(graph::Graph& target, graph::Value numbers) = nullptr;
    /// The same, once and for all; null: they themselves.
    core::Tensor (*written)(const core::Tensor& numbers) = nullptr;
};

}  // namespace tailor::train::adapters
