// Round trips, files that are damaged, foreign, older, newer or cannot be written, and several processes at once.
#include "measure/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "core/text.h"

namespace tailor::measure {

namespace fs = std::filesystem;

class Stored : public testing::Test {
  protected:
    void SetUp() override {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        directory_ = fs::temp_directory_path() / ("tailor_store_" + std::to_string(::getpid()) + test->name());
        fs::remove_all(directory_);
    }
    void TearDown() override { fs::remove_all(directory_); }

    Store::Warning collect() {
        return [this](const std::string& message) { warnings_.push_back(message); };
    }
    fs::path file() const { return directory_ / "measurements.db"; }

    fs::path directory_;
    std::vector<std::string> warnings_;
    CostKey key_{.processor = "Test 1", .isa = "avx2", .threads = 2, .kernel_version = 3, .op = "matmul", .format = "q4_0",
                 .n = 4096, .k = 1024, .batch = 1};
};

/// The user_version of an SQLite file stands at byte 60, big-endian.
static void set_user_version(const fs::path& file, char version) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(63);
    stream.put(version);
}

TEST_F(Stored, TimesRoundTripAndLast) {
    {
        Store store(directory_, collect());
        EXPECT_TRUE(store.persistent());
        EXPECT_EQ(store.path(), file());
        EXPECT_FALSE(store.find_time(key_).has_value());
        store.put_time(key_, 1234.5, 9, 12.25);
        store.put_time(key_, 1000.0625, 11, 8);
    }
    Store store(directory_, collect());
    EXPECT_EQ(store.find_time(key_), 1000.0625);
    const auto time = store.find_stored_time(key_);
    EXPECT_EQ(time->samples, 11);
    EXPECT_EQ(time->spread, 8);
    EXPECT_TRUE(warnings_.empty()) << warnings_[0];
}

TEST_F(Stored, EveryPartOfTheKeyCounts) {
    Store store(directory_);
    store.put_time(key_, 1, 1, 0);
    std::vector<CostKey> others(9, key_);
    others[0].processor = "Test 2", others[1].isa = "base", others[2].threads = 1, others[3].kernel_version = 4, others[4].op = "rope";
    others[5].format = "q8_0", others[6].n = 1, others[7].k = 1, others[8].batch = 512;
    for (std::size_t i = 0; i < others.size(); ++i) EXPECT_FALSE(store.find_time(others[i]).has_value()) << i;
}

TEST_F(Stored, DocumentsResume) {
    const core::Json value = core::Json::parse(R"({"loss": [0.125, 1e-300, -3], "name": "blk.0 \u00e9 'quoted'", "none": null})");
    {
        Store store(directory_, collect());
        store.put_json("sensitivity", "model/blk.0", value);
        store.put_json("sensitivity", "model/blk.1", 7);
        store.put_json("machine", "model/blk.0", "other kind");
    }
    Store store(directory_, collect());
    EXPECT_EQ(store.find_json("sensitivity", "model/blk.0")->text(), value.text());
    EXPECT_EQ(store.find_json("sensitivity", "model/blk.1")->integer(), 7);
    EXPECT_EQ(store.find_json("machine", "model/blk.0")->string(), "other kind");
    EXPECT_FALSE(store.find_json("sensitivity", "model/blk.2").has_value());
    EXPECT_EQ(store.clear(), 3);
    EXPECT_FALSE(store.find_json("machine", "model/blk.0").has_value());
}

TEST_F(Stored, KilledProcessLosesNothing) {
    const pid_t child = ::fork();
    if (child == 0) {
        Store store(directory_);
        store.put_time(key_, 77, 1, 0);
        store.put_json("sensitivity", "a", 1);
        ::_exit(0);  // no destructor runs, the write-ahead log stays
    }
    int status = 1;
    ::waitpid(child, &status, 0);
    ASSERT_EQ(status, 0);
    Store store(directory_, collect());
    EXPECT_EQ(store.find_time(key_), 77);
    EXPECT_TRUE(store.find_json("sensitivity", "a").has_value());
    EXPECT_TRUE(warnings_.empty());
}

TEST_F(Stored, ForeignFileIsSetAside) {
    fs::create_directories(directory_);
    std::ofstream(file()) << "This is not a database, but somebody may want it back.";
    Store store(directory_, collect());
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_NE(warnings_[0].find("damaged"), std::string::npos);
    EXPECT_TRUE(store.persistent());
    store.put_time(key_, 5, 1, 0);
    EXPECT_EQ(store.find_time(key_), 5);
    std::ifstream kept(file().string() + ".damaged");
    std::string word;
    kept >> word;
    EXPECT_EQ(word, "This");
    Store again(directory_, collect());
    EXPECT_EQ(again.find_time(key_), 5);
    EXPECT_EQ(warnings_.size(), 1u);
}

TEST_F(Stored, TornDatabaseIsSetAside) {
    {
        Store store(directory_);
        for (int i = 0; i < 2000; ++i) store.put_json("filler", std::to_string(i), std::string(100, 'x'));
    }
    const auto size = fs::file_size(file());
    ASSERT_GT(size, 100'000u);
    {
        std::fstream stream(file(), std::ios::in | std::ios::out | std::ios::binary);
        stream.seekp(4096 * 3);
        for (int i = 0; i < 4096 * 4; ++i) stream.put('\xA5');
    }
    {
        Store store(directory_, collect());
        ASSERT_EQ(warnings_.size(), 1u);
        EXPECT_TRUE(store.persistent());
        EXPECT_FALSE(store.find_json("filler", "1").has_value());
    }
    fs::resize_file(file().string() + ".damaged", size / 2);
    fs::rename(file().string() + ".damaged", file());
    Store store(directory_, collect());
    EXPECT_EQ(warnings_.size(), 2u);
    EXPECT_TRUE(store.persistent());
}

TEST_F(Stored, NewerSchemaIsLeftAlone) {
    { Store(directory_).put_time(key_, 5, 1, 0); }
    set_user_version(file(), 9);
    for (int run = 0; run < 2; ++run) {
        Store store(directory_, collect());
        ASSERT_EQ(warnings_.size(), static_cast<std::size_t>(run + 1));
        EXPECT_NE(warnings_[0].find("newer"), std::string::npos);
        EXPECT_EQ(store.find_time(key_).has_value(), run == 1);
        store.put_time(key_, 6, 1, 0);
    }
    set_user_version(file(), 1);
    EXPECT_EQ(Store(directory_).find_time(key_), 5);
}

TEST_F(Stored, OlderSchemaIsSetAside) {
    { Store(directory_).put_time(key_, 5, 1, 0); }
    set_user_version(file(), 0);
    Store store(directory_, collect());
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_NE(warnings_[0].find("older"), std::string::npos);
    EXPECT_FALSE(store.find_time(key_).has_value());
    EXPECT_TRUE(fs::exists(file().string() + ".old"));
}

TEST_F(Stored, NowhereToWriteMeansMemory) {
    fs::create_directories(directory_);
    std::ofstream(directory_ / "file") << "in the way";
    Store store(directory_ / "file" / "below", collect());
    EXPECT_FALSE(store.persistent());
    EXPECT_EQ(store.path(), "");
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_NE(warnings_[0].find("TAILOR_CACHE"), std::string::npos);
    store.put_time(key_, 5, 1, 0);
    EXPECT_EQ(store.find_time(key_), 5);

    fs::create_directories(directory_ / "taken" / "measurements.db");
    Store taken((directory_ / "taken").string(), collect());
    EXPECT_FALSE(taken.persistent());
    EXPECT_EQ(warnings_.size(), 2u);

    Store memory("", collect());
    EXPECT_FALSE(memory.persistent());
    EXPECT_EQ(warnings_.size(), 2u);
}

TEST_F(Stored, ProcessesAndThreadsShare) {
    std::vector<pid_t> children;
    for (int p = 0; p < 3; ++p) {
        const pid_t child = ::fork();
        if (child == 0) {
            int warnings = 0;
            Store store(directory_, [&](const std::string&) { ++warnings; });
            for (int i = 0; i < 50; ++i) store.put_json(core::format("p{}", p), std::to_string(i), i);
            ::_exit(warnings);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 1;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }
    Store store(directory_, collect());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&store, t] {
            for (int i = 0; i < 50; ++i) store.put_json(core::format("t{}", t), std::to_string(i), i), store.find_json("p0", "1");
        });
    for (auto& thread : threads) thread.join();
    EXPECT_TRUE(warnings_.empty());
    EXPECT_EQ(store.clear(), 3 * 50 + 4 * 50);
}

TEST_F(Stored, DirectoryFollowsTheEnvironment) {
    const auto restore = [](const char* name, const char* value) { value ? ::setenv(name, value, 1) : ::unsetenv(name); };
    const char* const names[] = {"TAILOR_CACHE", "XDG_CACHE_HOME", "HOME"};
    std::vector<std::optional<std::string>> saved;
    for (const char* name : names) saved.push_back(std::getenv(name) ? std::optional<std::string>(std::getenv(name)) : std::nullopt);
    for (const char* name : names) ::setenv(name, "/somewhere", 1);
    EXPECT_EQ(Store::default_directory(), "/somewhere");
    ::unsetenv("TAILOR_CACHE");
    EXPECT_EQ(Store::default_directory(), "/somewhere/tailor");
    ::setenv("XDG_CACHE_HOME", "", 1);
    EXPECT_EQ(Store::default_directory(), "/somewhere/.cache/tailor");
    ::unsetenv("HOME");
    EXPECT_EQ(Store::default_directory(), "");
    for (int i = 0; i < 3; ++i) restore(names[i], saved[i] ? saved[i]->c_str() : nullptr);
}

}  // namespace tailor::measure
