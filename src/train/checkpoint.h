// Checkpoints: everything that the next step of a training depends on, in one file.
//
// The file is 8 bytes "tailorck", the length of a JSON text (u64), the text, then blocks of bytes one after the other as the text lists
// them, and last the 64-bit hash of all before it (core/hash.h). It is written beside its place, brought to disk and renamed, so that the
// one before stays until the new one is there, whenever the process or the machine dies. What the blocks mean is the writer's: weights
// and whatever parts an optimizer declares.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/mapped_file.h"

namespace tailor::train {

/// A named block of bytes that is saved and restored.
struct Piece {
    std::string name;  ///< "blk.0.attn_q.weight", "blk.0.attn_q.weight/mean"
    std::span<std::byte> bytes;
    std::size_t whole = 0;  ///< bytes of the block where `bytes` is only a part of it, which begins at `offset`
    std::size_t offset = 0;
    std::function<std::span<const std::byte>()> gather = nullptr;  ///< gives the whole block to a writer where `bytes` does not
    std::size_t size() const { return whole > 0 ? whole : bytes.size(); }
};

/// Writes `about` and all pieces, removes what killed writers of the same path left behind, and returns the size in bytes.
/// Throws Error(io) naming the path; the file that was there is then as it was.
std::uint64_t write_checkpoint(const std::string& path, const core::Json& about, std::span<const Piece> pieces);

class Checkpoint {
  public:
    /// Reads all of the file. Throws Error(io) if it cannot be read, Error(format) naming the path if it is damaged or no checkpoint.
    explicit Checkpoint(const std::string& path);

    const std::string& path() const { return path_; }
    const core::Json& about() const { return about_; }
    /// Fills all pieces, each with its part of a block. Throws Error(usage) naming the first that differs in name or size, before any is touched.
    void restore(std::span<const Piece> pieces) const;

  private:
    std::string path_;
    core::MappedFile file_;
    core::Json about_, list_;
    std::size_t first_ = 0;  ///< where the blocks begin
};

}  // namespace tailor::train
