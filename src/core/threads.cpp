#include "core/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/result.h"

namespace headrace {
namespace {

// How long a worker looks for the next loop before it sleeps: longer than the gap between two ops of a step
// (single microseconds), far shorter than a person notices.
constexpr unsigned kSpins = 20000;
// While it looks, a thread gives way now and then: where other programs or more threads than cores compete,
// the one that everybody waits for may not be running (loops of 16 small tasks beside a busy process on two
// cores: 25 us each, 200 us and more without).
constexpr unsigned kSpinsBeforeYield = 100;

inline void relax(unsigned spins) {
  if (spins % kSpinsBeforeYield == kSpinsBeforeYield - 1) {
    std::this_thread::yield();
  } else {
    __builtin_ia32_pause();
  }
}

}  // namespace

// One atomic word, the ticket, holds a loop's number (high half) and how many of its tasks are not taken yet
// (low half). A thread takes a task by lowering the count, so whoever holds a task knows that `body`,
// `context` and `tasks` are that loop's: the next loop begins only when every task of this one has been
// completed. The caller waits for tasks, not for threads: a worker that sleeps or that the system does not
// run holds nobody up.
struct ThreadPool::Shared {
  Body body = nullptr;
  void* context = nullptr;
  size_t tasks = 0;
  alignas(64) std::atomic<uint64_t> ticket{0};
  alignas(64) std::atomic<size_t> completed{0};
  alignas(64) std::atomic<uint32_t> generation{0};  // the ticket's high half, for sleepers to wait on
  std::atomic<uint32_t> sleepers{0};
  std::atomic<size_t> active{0};  // workers that take part
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;

  void work(size_t worker) {
    uint64_t seen = ticket.load(std::memory_order_acquire);
    while ((seen & 0xFFFFFFFF) != 0 && worker < active.load(std::memory_order_relaxed)) {
      if (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire)) continue;
      body(context, tasks - static_cast<size_t>(seen & 0xFFFFFFFF), worker);
      completed.fetch_add(1, std::memory_order_release);
      seen = ticket.load(std::memory_order_acquire);
    }
  }

  void worker_main(size_t worker) {
    uint32_t seen = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      wait_for_change(seen);
      seen = generation.load(std::memory_order_acquire);
      work(worker);
    }
  }

  void wait_for_change(uint32_t seen) {
    for (unsigned i = 0; i < kSpins; ++i) {
      if (generation.load(std::memory_order_acquire) != seen) return;
      relax(i);
    }
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    while (generation.load(std::memory_order_seq_cst) == seen)
      generation.wait(seen, std::memory_order_seq_cst);
    sleepers.fetch_sub(1, std::memory_order_relaxed);
  }

  void publish(size_t count) {
    const uint32_t number = generation.load(std::memory_order_relaxed) + 1;
    ticket.store(uint64_t{number} << 32 | count, std::memory_order_release);
    generation.store(number, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst) != 0) generation.notify_all();
  }
};

ThreadPool::ThreadPool(size_t threads) : shared_(std::make_unique<Shared>()) {
  HEADRACE_CHECK(threads >= 1);
  for (size_t worker = 1; worker < threads; ++worker) {
    // A limit on processes may refuse some: the loops run with those that there are.
    try {
      shared_->workers.emplace_back([shared = shared_.get(), worker] { shared->worker_main(worker); });
    } catch (const std::system_error&) {
      break;
    }
  }
  shared_->active = this->threads();
}

ThreadPool::~ThreadPool() {
  shared_->stop.store(true);
  shared_->publish(0);
  for (std::thread& worker : shared_->workers) worker.join();
}

size_t ThreadPool::threads() const {
  return shared_->workers.size() + 1;
}

void ThreadPool::use(size_t count) {
  HEADRACE_CHECK(count >= 1 && count <= threads());
  shared_->active = count;
}

void ThreadPool::run(size_t tasks, Body body, void* context) {
  if (tasks <= 1 || shared_->active == 1) {
    for (size_t task = 0; task < tasks; ++task) body(context, task, 0);
    return;
  }
  HEADRACE_CHECK(tasks <= UINT32_MAX);
  Shared& shared = *shared_;
  shared.body = body;
  shared.context = context;
  shared.tasks = tasks;
  shared.completed.store(0, std::memory_order_relaxed);
  shared.publish(tasks);
  shared.work(0);
  for (unsigned spins = 0; shared.completed.load(std::memory_order_acquire) != tasks; ++spins) relax(spins);
}

size_t default_thread_count() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  // Threads of one core share its vector units: one each is what computing wants.
  std::set<int> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::ifstream siblings("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                           "/topology/thread_siblings_list");
    int first = cpu;
    if (!(siblings >> first)) first = cpu;
    cores.insert(first);
  }
  return std::max<size_t>(1, cores.size());
}

}  // namespace headrace
