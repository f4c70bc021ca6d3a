// A folder for tests that is removed with everything in it, and small helpers to fill and compare model files.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/hugging_face/folder.h"
#include "files/hugging_face/step.h"
#include "files/registry.h"
#include "files/safetensors/layout.h"
#include "formats/registry.h"

namespace tailor::files::hugging_face {

class TestFolder {
  public:
    explicit TestFolder(const std::string& name) : path_(testing::TempDir() + "tailor_" + std::to_string(::getpid()) + "_" + name) {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~TestFolder() { std::filesystem::remove_all(path_); }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    const std::string& path() const { return path_; }
    void write(const std::string& name, const std::string& text) const { core::write_text_file(path_ + "/" + name, text); }
    core::Json json(const std::string& name) const { return core::Json::parse(core::read_text_file(path_ + "/" + name), name); }

  private:
    std::string path_;
};

inline std::vector<float> values_of(const core::Tensor& tensor) {
    const core::Tensor exact = converted(tensor, formats::get("f32"));
    std::vector<float> values;
    for (std::int64_t r = 0; r < exact.shape.rows(); ++r) values.insert(values.end(), exact.row_f32(r), exact.row_f32(r) + exact.shape.width());
    return values;
}

/// The message of the error that `action` throws.
template <class Action>
std::string error_of(const Action& action) {
    try {
        action();
    } catch (const core::Error& error) {
        return error.what();
    }
    return "no error";
}

/// Every tensor of `expected` is in `actual` with the same shape and, but for `tolerance` relative to its largest value, the
/// same values, and there is no other.
inline void expect_same_tensors(const File& expected, const File& actual, double tolerance = 0) {
    EXPECT_EQ(expected.tensors().size(), actual.tensors().size());
    for (const TensorInfo& info : expected.tensors()) {
        const TensorInfo* const other = actual.find(info.name);
        ASSERT_TRUE(other) << info.name << " is missing";
        ASSERT_EQ(other->shape, info.shape) << info.name;
        const std::vector<float> a = values_of(expected.read(info)), b = values_of(actual.read(*other));
        double largest = 0, worst = 0;
        for (std::size_t i = 0; i < a.size(); ++i) {
            largest = std::max(largest, std::fabs(static_cast<double>(a[i])));
            worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - b[i]));
        }
        EXPECT_LE(worst, tolerance * largest) << info.name;
    }
}

/// Every key of `expected` that `wanted` accepts has the same value in `actual`.
template <class Wanted>
void expect_same_metadata(const Metadata& expected, const Metadata& actual, const Wanted& wanted) {
    for (const auto& [key, value] : expected.entries()) {
        if (!wanted(key)) continue;
        const MetaValue* const other = actual.find(key);
        if (!other) ADD_FAILURE() << key << " is missing";
        else EXPECT_EQ(value.json().text(-1), other->json().text(-1)) << key;
    }
}

}  // namespace tailor::files::hugging_face
