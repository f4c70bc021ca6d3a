// A teacher's answers in a file: the k most likely next tokens of every position with their logits, so that a slow teacher runs once.
//
// The file is 8 bytes "tailortk", the length of a JSON text (u64), the text (k, temperature, vocabulary, context, windows, a hash of the teacher), one
// record per window, and the 64-bit hash of all before it. A record is the hash of the window's tokens (u64), f32 [context][k + 1]: k
// logits and last the one of all other tokens together, t ln(sum of exp(logit / t)), and i32 [context][k]: the tokens, ascending.
// Windows are found by their tokens, so any order of the same text will do, and another text is noticed.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/mapped_file.h"
#include "core/pool.h"
#include "files/file.h"

namespace tailor::train {

/// A hash of all weights and the metadata of a model, which tells one teacher from another.
std::string model_hash(const files::File& file);

struct AnswersOptions {
    std::int64_t k = 64, context = 256;
    double temperature = 1;
};

/// Runs the teacher on `windows`, each of `context` tokens, `batch` at a time, and writes its answers; a window that is there twice is asked once.
/// Nothing is left at `path` if it fails. `progress` is told the windows done and all; it may throw. Returns the size in bytes.
std::uint64_t write_answers(const std::string& path, const files::File& teacher, core::Pool& pool, const AnswersOptions& options, std::int64_t batch,
                            const std::vector<std::vector<std::int32_t>>& windows, const std::function<void(std::int64_t, std::int64_t)>& progress = {});

class TeacherAnswers {
  public:
    /// Throws Error(format) naming the path if the file is damaged or something else.
    explicit TeacherAnswers(const std::string& path);

    const std::string& path() const { return path_; }
    std::int64_t k() const { return k_; }
    std::int64_t context() const { return context_; }
    std::int64_t vocabulary() const { return vocabulary_; }
    double temperature() const { return temperature_; }
    const std::string& teacher() const { return teacher_; }
    std::int64_t windows() const { return static_cast<std::int64_t>(records_.size()); }

    bool has(std::span<const std::int32_t> window) const;
    /// Copies the answers for a window: `top` takes context * (k + 1) numbers, `ids` context * k. Throws Error(usage) naming the file if it has none.
    void read(std::span<const std::int32_t> window, float* top, std::int32_t* ids) const;

  private:
    std::string path_, teacher_;
    core::MappedFile file_;
    std::int64_t k_ = 0, context_ = 0, vocabulary_ = 0;
    double temperature_ = 1;
    std::map<std::uint64_t, std::size_t> records_;  ///< by the hash of the tokens: where the numbers begin
};

}  // namespace tailor::train
