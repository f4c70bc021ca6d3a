// The only file that includes SQLite; see store.h.
//
// user_version is the schema's number. A file is opened in steps, each of which may show that it is not ours to use:
// open, quick_check (a torn or foreign file), user_version, create tables, a write lock (a read-only file opens without
// complaint). The steps run in one immediate transaction, so two processes that start together create the tables once.
#include "measure/store.h"

#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/text.h"

namespace tailor::measure {

using core::format;

namespace {

constexpr int schema_version = 1;
constexpr int busy_milliseconds = 5000;

const char* const schema =
    "CREATE TABLE IF NOT EXISTS times(processor TEXT, isa TEXT, threads INT, kernel_version INT, op TEXT, format TEXT,"
    " n INT, k INT, batch INT, nanoseconds REAL NOT NULL, samples INT NOT NULL, spread REAL, written_at INT NOT NULL,"
    " PRIMARY KEY(processor, isa, threads, kernel_version, op, format, n, k, batch)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS documents(kind TEXT, key TEXT, json TEXT NOT NULL, written_at INT NOT NULL,"
    " PRIMARY KEY(kind, key)) WITHOUT ROWID;";

/// One prepared statement; finalised at the end of its scope. Preparing takes microseconds, so none is kept.
class Statement {
  public:
    Statement(sqlite3* database, const char* sql) { code_ = sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr); }
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    Statement& bind(std::string_view text) {
        if (code_ != SQLITE_OK) return *this;
        code_ = sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
        return *this;
    }
    Statement& bind(std::int64_t value) {
        if (code_ == SQLITE_OK) code_ = sqlite3_bind_int64(statement_, ++bound_, value);
        return *this;
    }
    Statement& bind(double value) {
        if (code_ == SQLITE_OK) code_ = sqlite3_bind_double(statement_, ++bound_, value);
        return *this;
    }
    Statement& bind(const CostKey& key) {
        bind(std::string_view(key.processor)).bind(std::string_view(key.isa)).bind(std::int64_t{key.threads});
        bind(key.kernel_version);
        return bind(std::string_view(key.op)).bind(std::string_view(key.format)).bind(key.n).bind(key.k).bind(key.batch);
    }
    /// SQLITE_ROW, SQLITE_DONE or an error.
    int step() {
        if (code_ == SQLITE_OK) code_ = sqlite3_step(statement_);
        const int result = code_;
        if (result == SQLITE_ROW) code_ = SQLITE_OK;
        return result;
    }
    std::string text(int column) {
        const auto* const data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
        return data ? std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))) : std::string();
    }
    std::int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
    double real(int column) { return sqlite3_column_double(statement_, column); }

  private:
    sqlite3_stmt* statement_ = nullptr;
    int code_, bound_ = 0;
};

enum class Opened { good, damaged, older, newer, unwritable };

}  // namespace

struct Store::Database {
    sqlite3* handle = nullptr;
    std::string path;
    Warning warning;
    bool warned = false;
    mutable std::mutex mutex;

    ~Database() { sqlite3_close(handle); }

    void warn(const std::string& message) const {
        if (warning) warning(message);
    }

    /// A failure while in use is told once: what follows is mostly the same failure again.
    void failed(int code) {
        const std::string place = path.empty() ? "in memory" : path;
        if (!warned) warn(format("the measurement store {} fails: {}; what is measured now may not be kept", place, std::string(sqlite3_errstr(code))));
        warned = true;
    }

    int execute(const char* sql) { return sqlite3_exec(handle, sql, nullptr, nullptr, nullptr); }

    Opened classify(int code) const {
        switch (code & 0xFF) {
            case SQLITE_OK: return Opened::good;
            case SQLITE_CORRUPT:
            case SQLITE_NOTADB: return Opened::damaged;
            default: return Opened::unwritable;
        }
    }

    Opened open(const std::string& file) {
        sqlite3_close(handle);
        handle = nullptr;
        path = file;
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
        if (const int code = sqlite3_open_v2(file.c_str(), &handle, flags, nullptr); code != SQLITE_OK) return classify(code);
        sqlite3_busy_timeout(handle, busy_milliseconds);
        // A file system without shared memory cannot do this and keeps the rollback journal, which is as safe.
        const int journal = execute("PRAGMA journal_mode=WAL");
        if (classify(journal) == Opened::damaged) return Opened::damaged;
        execute("PRAGMA synchronous=NORMAL");
        if (const int code = execute("BEGIN IMMEDIATE"); code != SQLITE_OK) return classify(code);
        const Opened result = check();
        execute(result == Opened::good ? "COMMIT" : "ROLLBACK");
        return result;
    }

    Opened check() {
        {
            Statement quick(handle, "PRAGMA quick_check(1)");
            const int code = quick.step();
            if (code != SQLITE_ROW) return classify(code) == Opened::good ? Opened::damaged : classify(code);
            if (quick.text(0) != "ok") return Opened::damaged;
        }
        std::int64_t version = 0, tables = 0;
        {
            Statement statement(handle, "PRAGMA user_version");
            if (statement.step() != SQLITE_ROW) return Opened::damaged;
            version = statement.integer(0);
        }
        {
            Statement statement(handle, "SELECT count(*) FROM sqlite_schema");
            if (statement.step() != SQLITE_ROW) return Opened::damaged;
            tables = statement.integer(0);
        }
        if (version > schema_version) return Opened::newer;
        if (version < schema_version && tables > 0) return Opened::older;
        if (const int code = execute(schema); code != SQLITE_OK) return classify(code);
        return classify(execute(format("PRAGMA user_version={}", schema_version).c_str()));
    }

    void open_memory() {
        open(":memory:");
        path.clear();
    }
};

namespace {

/// Moves a database and its log out of the way; false if that cannot be done.
bool set_aside(const std::string& path, const std::string& ending) {
    std::error_code error;
    std::filesystem::rename(path, path + ending, error);
    // A log that belongs to the old file would be replayed into the new one.
    std::error_code ignored;
    for (const char* log : {"-wal", "-shm", "-journal"}) std::filesystem::remove(path + log, ignored);
    return !error;
}

constexpr char database_name[] = "/measurements.db";

}  // namespace

bool Store::exists(const std::string& directory) { return !directory.empty() && core::exists(directory + database_name); }

std::string Store::default_directory() {
    const auto variable = [](const char* name) {
        const char* const value = std::getenv(name);
        return std::string(value ? value : "");
    };
    if (const auto directory = variable("TAILOR_CACHE"); !directory.empty()) return directory;
    if (const auto directory = variable("XDG_CACHE_HOME"); !directory.empty()) return directory + "/tailor";
    if (const auto directory = variable("HOME"); !directory.empty()) return directory + "/.cache/tailor";
    return {};
}

Store::Store(const std::string& directory, Warning warning) : database_(std::make_unique<Database>()) {
    Database& d = *database_;
    d.warning = std::move(warning);
    if (directory.empty()) {
        d.open_memory();
        return;
    }
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    std::string file = directory + database_name;
    Opened state = d.open(file);
    if (state == Opened::newer) {
        const std::string beside = directory + format("/measurements-v{}.db", schema_version);
        d.warn(format("{} was written by a newer Tailor; this one keeps its measurements in {}", file, beside));
        file = beside;
        state = d.open(file);
    }
    if (state == Opened::damaged || state == Opened::older) {
        const std::string ending = state == Opened::damaged ? ".damaged" : ".old";
        sqlite3_close(std::exchange(d.handle, nullptr));
        if (set_aside(file, ending)) {
            d.warn(format("{} {}; it is now {}{}, and measuring starts afresh", file,
                          state == Opened::damaged ? "is damaged" : "was written by an older Tailor", file, ending));
            state = d.open(file);
        }
    }
    if (state == Opened::good) return;
    const std::string cause = error ? error.message() : d.handle ? std::string(sqlite3_errmsg(d.handle)) : "SQLite gives no cause";
    d.warn(format("{} cannot be written ({}); measurements are kept in memory only. Set TAILOR_CACHE to a directory that can be "
                  "written", file, cause));
    d.open_memory();
}

Store::~Store() = default;

bool Store::persistent() const { return !database_->path.empty(); }
const std::string& Store::path() const { return database_->path; }

std::optional<StoredTime> Store::find_stored_time(const CostKey& key) const {
    const std::lock_guard lock(database_->mutex);
    Statement statement(database_->handle,
                        "SELECT nanoseconds, samples, spread FROM times WHERE processor=? AND isa=? AND threads=? AND kernel_version=?"
                        " AND op=? AND format=? AND n=? AND k=? AND batch=?");
    const int code = statement.bind(key).step();
    if (code == SQLITE_ROW) return StoredTime{statement.real(0), static_cast<int>(statement.integer(1)), statement.real(2)};
    if (code != SQLITE_DONE) database_->failed(code);
    return std::nullopt;
}

std::optional<double> Store::find_time(const CostKey& key) const {
    const auto time = find_stored_time(key);
    return time ? std::optional<double>(time->nanoseconds) : std::nullopt;
}

void Store::put_time(const CostKey& key, double nanoseconds, int samples, double spread) {
    const std::lock_guard lock(database_->mutex);
    Statement statement(database_->handle,
                        "INSERT OR REPLACE INTO times VALUES(?,?,?,?,?,?,?,?,?,?,?,?,strftime('%s','now'))");
    const int code = statement.bind(key).bind(nanoseconds).bind(std::int64_t{samples}).bind(spread).step();
    if (code != SQLITE_DONE) database_->failed(code);
}

std::optional<core::Json> Store::find_json(std::string_view kind, std::string_view key) const {
    const std::lock_guard lock(database_->mutex);
    Statement statement(database_->handle, "SELECT json FROM documents WHERE kind=? AND key=?");
    const int code = statement.bind(kind).bind(key).step();
    if (code != SQLITE_ROW) {
        if (code != SQLITE_DONE) database_->failed(code);
        return std::nullopt;
    }
    try {
        return core::Json::parse(statement.text(0), "the measurement store");
    } catch (const core::Error& error) {
        database_->warn(format("{}: the value of {} '{}' is not read: {}", path(), kind, key, std::string(error.what())));
        return std::nullopt;
    }
}

void Store::put_json(std::string_view kind, std::string_view key, const core::Json& value) {
    const std::lock_guard lock(database_->mutex);
    Statement statement(database_->handle, "INSERT OR REPLACE INTO documents VALUES(?,?,?,strftime('%s','now'))");
    const std::string text = value.text(-1);
    const int code = statement.bind(kind).bind(key).bind(std::string_view(text)).step();
    if (code != SQLITE_DONE) database_->failed(code);
}

std::int64_t Store::clear() {
    const std::lock_guard lock(database_->mutex);
    std::int64_t removed = 0;
    for (const char* sql : {"DELETE FROM times", "DELETE FROM documents"}) {
        const int code = database_->execute(sql);
        if (code == SQLITE_OK) removed += sqlite3_changes(database_->handle);
        else database_->failed(code);
    }
    return removed;
}

}  // namespace tailor::measure
