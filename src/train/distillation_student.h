// The file a student begins from: its own, with the weights that are to be trained as f32 whatever they are stored as.
//
// A weight in blocks has no gradient of its own, so what is trained is an f32 weight that rounds to it. Where the teacher has the weight that the
// student's was rounded from (same name and shape, and hardly farther from it than its own rounding to that format), that one is
// taken, since it knows more than the rounded one; else the student's is decoded, and so is all of a student that says it was trained since.
#pragma once
#include <functional>
#include <map>

#include "files/file.h"

namespace tailor::train {

/// Key of the metadata of a file whose weights were distilled: the hash of the teacher.
inline constexpr std::string_view distilled_from_key = "tailor.distilled_from";

class StudentFile : public files::File {
  public:
    /// `decoded` says which weights become f32. Both files must outlive this.
    StudentFile(const files::File& student, const files::File& teacher, const std::function<bool(const files::TensorInfo&)>& decoded);
    core::Tensor read(const files::TensorInfo& tensor) const override;
    std::uint64_t bytes() const override { return student_.bytes(); }
    /// Weights that were taken from the teacher.
    std::int64_t taken() const { return taken_; }

  private:
    const files::File& student_;
    std::map<std::string, core::Tensor, std::less<>> decoded_;
    std::int64_t taken_ = 0;
};

}  // namespace tailor::train
