// The thread pool: the only way Tailor uses threads.
//
// Work is cut into chunks by the caller; chunk boundaries never depend on the number of threads, so results are the same
// bits whatever the thread count. Each thread begins with one contiguous range of chunks, the same one every time, which
// keeps its part of the weights in its cache, and then helps with what others have not begun. Waiting threads spin for a
// short while (a decode step has hundreds of small parallel regions) and then sleep, so a busy neighbour or an idle
// session costs little. A parallel region allocates no memory.
#pragma once
#include <cstdint>
#include <memory>
#include <type_traits>

namespace tailor::core {

class Pool {
  public:
    /// `threads` >= 1; 0 means one per physical core this process may use.
    explicit Pool(int threads = 0);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// The calling thread alone: work within a chunk of another pool may be given to it, by any number of threads at once.
    static Pool& serial();

    int threads() const;

    /// Calls body(chunk, thread) once for every chunk in [0, chunks), in parallel, and returns when all are done; at most 2^31
    /// chunks.
    /// `body` must not throw and must not start another region. Not to be called from two threads at once.
    template <class Body>
    void run(std::int64_t chunks, const Body& body) {
        run_erased(chunks, [](const void* context, std::int64_t chunk, int thread) { (*static_cast<const Body*>(context))(chunk, thread); },
                   &body);
    }

  private:
    using Function = void (*)(const void* context, std::int64_t chunk, int thread);
    void run_erased(std::int64_t chunks, Function function, const void* context);
    struct Shared;
    std::unique_ptr<Shared> shared_;
};

}  // namespace tailor::core
