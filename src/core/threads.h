// A pool of threads for data-parallel loops.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace headrace {

/// `threads()` workers including the caller. One loop at a time; the pool belongs to the thread that calls
/// it. Between loops workers spin for a short while, then sleep, so that an idle program burns nothing.
class ThreadPool {
 public:
  /// threads >= 1. With 1 everything runs in the caller. Where the system refuses threads there are fewer.
  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t threads() const;
  /// Loops from now on use only the first `count` workers (1 to threads()).
  void use(size_t count);

  /// A loop body: called once per task index, by any worker; `worker` < threads() names whose scratch to use.
  using Body = void (*)(void* context, size_t task, size_t worker);
  void run(size_t tasks, Body body, void* context);

  /// Calls body(task, worker) for every task in [0, tasks), in any order, and returns when all are done. The
  /// body must not throw and must not call the pool. Writes made by a body are visible to the caller after.
  template <typename F>
  void parallel_for(size_t tasks, F&& body) {
    run(
        tasks,
        [](void* context, size_t task, size_t worker) {
          (*static_cast<std::remove_reference_t<F>*>(context))(task, worker);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

/// Physical cores available to this process (its affinity mask), at least 1.
size_t default_thread_count();

}  // namespace headrace
