// The measurement store: what was timed or computed once on this machine, kept between runs.
//
// One SQLite database, measurements.db, in $TAILOR_CACHE, else $XDG_CACHE_HOME/tailor, else ~/.cache/tailor. Two tables:
// times, by CostKey, and documents, JSON by (kind, key), for machine limits and for long computations that resume where
// they stopped. Each put is its own transaction, so whatever was put before a crash or Ctrl-C is there afterwards.
//
// It is a cache: losing it costs time, never correctness, so nothing here stops a program. A database that is damaged or
// of an older Tailor is renamed (.damaged, .old) and a new one started; beside one of a newer Tailor another file is
// used; where nothing can be written, values live in memory until the program ends. Each case is told to the callback.
// Several processes may use one store at once (write-ahead log, 5 s of patience); within a process, several threads.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"

namespace tailor::measure {

/// What one time depends on.
struct CostKey {
    std::string processor;            ///< measure::processor_identity()
    std::string isa;                  ///< cpu::name of the level
    int threads = 1;
    std::int64_t kernel_version = 0;  ///< changes with the kernel, so that old times are not found
    std::string op;
    std::string format;
    std::int64_t n = 0, k = 0;        ///< rows and row length of the weights
    std::int64_t batch = 0;           ///< rows of activations
};

/// A stored time with how it was found.
struct StoredTime {
    double nanoseconds = 0;
    int samples = 0;
    double spread = 0;  ///< as given to put_time
};

class Store {
  public:
    using Warning = std::function<void(const std::string& message)>;

    /// $TAILOR_CACHE, $XDG_CACHE_HOME/tailor or ~/.cache/tailor; empty when none of these variables is set.
    static std::string default_directory();
    /// True if a store was made there.
    static bool exists(const std::string& directory);

    /// Opens or creates the database; an empty directory means memory only. Never throws for a bad file or directory:
    /// it warns. `warning` may be empty, and may be called later, too (a disk that fills up).
    explicit Store(const std::string& directory = default_directory(), Warning warning = {});
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// Whether values outlive the program.
    bool persistent() const;
    /// The database file; empty in memory.
    const std::string& path() const;

    std::optional<double> find_time(const CostKey& key) const;
    std::optional<StoredTime> find_stored_time(const CostKey& key) const;
    /// Replaces what was there. `spread` is the median absolute deviation in nanoseconds.
    void put_time(const CostKey& key, double nanoseconds, int samples, double spread);

    std::optional<core::Json> find_json(std::string_view kind, std::string_view key) const;
    /// Replaces what was there.
    void put_json(std::string_view kind, std::string_view key, const core::Json& value);

    /// Forgets everything; returns how many values there were.
    std::int64_t clear();

  private:
    struct Database;
    std::unique_ptr<Database> database_;
};

}  // namespace tailor::measure
