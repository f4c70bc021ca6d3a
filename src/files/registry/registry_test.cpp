// Choosing a container: by first bytes for reading, by extension for writing.
#include "files/registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/mapped_file.h"
#include "files/gguf/test_bytes.h"

namespace tailor::files {
namespace {

template <class Action>
std::string message_of(const Action& action, core::ErrorKind kind) {
    try {
        action();
    } catch (const core::Error& error) {
        EXPECT_EQ(error.kind(), kind) << error.what();
        return error.what();
    }
    return "no error";
}

std::string written(const std::string& name, const std::string& content) {
    const std::string path = testing::TempDir() + "tailor_files_" + name;
    core::write_text_file(path, content);
    return path;
}

TEST(Files, EveryKindIsComplete) {
    std::set<std::string_view> names, extensions;
    for (const FileKind* kind : all()) {
        SCOPED_TRACE(std::string(kind->name));
        EXPECT_TRUE(names.insert(kind->name).second && extensions.insert(kind->extension).second);
        EXPECT_TRUE(kind->extension.starts_with("."));
        EXPECT_FALSE(kind->doc.empty());
        EXPECT_TRUE(kind->recognizes && kind->open && kind->open_memory && kind->write && kind->written_bytes);
        EXPECT_FALSE(kind->recognizes({})) << "an empty file is no model";
    }
    EXPECT_FALSE(names.empty());
}

TEST(Files, OpensByContentWhateverTheName) {
    const std::string path = written("renamed.bin", gguf::test_bytes::sample());
    EXPECT_EQ(open(path)->tensors().size(), 4u);
    std::filesystem::remove(path);
}

TEST(Files, SaysWhatAStrangeFileBeginsWith) {
    const std::string path = written("strange.gguf", "PK\x03\x04 not a model");
    EXPECT_NE(message_of([&] { open(path); }, core::ErrorKind::format)
                  .find("it begins with the bytes 50 4b 03 04 20 6e 6f 74; known kinds are gguf (.gguf)"),
              std::string::npos);
    core::write_text_file(path, "");
    EXPECT_NE(message_of([&] { open(path); }, core::ErrorKind::format).find("is empty"), std::string::npos);
    std::filesystem::remove(path);
    EXPECT_NE(message_of([&] { open(path); }, core::ErrorKind::io).find("cannot open " + path), std::string::npos);
    EXPECT_NE(message_of([&] { open(testing::TempDir()); }, core::ErrorKind::format).find("is a folder, but not of a model"), std::string::npos);
}

TEST(Files, ChoosesTheWriterByExtension) {
    EXPECT_EQ(kind_for("a/b.GGUF").name, "gguf");
    EXPECT_NE(message_of([] { kind_for("model.zip"); }, core::ErrorKind::usage).find("model.zip: the extension does not say"),
              std::string::npos);
    EXPECT_THROW(kind_for(".gguf"), core::Error);
}

}  // namespace
}  // namespace tailor::files
