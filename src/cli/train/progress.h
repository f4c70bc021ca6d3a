// What a training tells while it runs: lines of the report on standard output, and on a terminal one live line on standard error.
#pragma once
#include <cstdint>
#include <string>

#include "core/json.h"

namespace tailor::cli::train_command {

/// What has been done since the last line.
struct Stretch {
    double loss = 0, norm = 0, seconds = 0;
    std::int64_t steps = 0;
};

/// "0:42", "1:02:03".
std::string clock_text(double seconds);

/// f32 multiply-adds that this processor was seen to reach with so many threads, in operations per second, as the store of measurements
/// knows it (tailor measure, tailor bench); 0: it was never measured here.
double measured_peak(int threads);

/// One line on standard error that is written over again and again; nothing where that is no terminal.
class LiveLine {
  public:
    LiveLine();
    ~LiveLine();
    LiveLine(const LiveLine&) = delete;
    LiveLine& operator=(const LiveLine&) = delete;
    bool shown() const { return terminal_; }
    /// At most ten times a second.
    void show(const std::string& text);
    /// Makes room for a line that stays.
    void clear();

  private:
    bool terminal_, dirty_ = false;
    std::int64_t last_milliseconds_ = 0;
};

/// Bytes of memory that this process holds now; 0 where the system does not say.
std::uint64_t resident_bytes();

}  // namespace tailor::cli::train_command
