#include "core/threads.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

namespace headrace {
namespace {

// One, as many as a small machine has, and more than any of ours has.
const size_t kThreadCounts[] = {1, 2, 3, 8};

TEST(ThreadPool, EveryTaskRunsExactlyOnce) {
  for (const size_t threads : kThreadCounts) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.threads(), threads);
    for (const size_t tasks : {0, 1, 2, 7, 8, 9, 1000}) {
      std::vector<std::atomic<int>> runs(tasks);
      std::atomic<size_t> bad_workers{0};
      pool.parallel_for(tasks, [&](size_t task, size_t worker) {
        runs[task].fetch_add(1);
        if (worker >= threads) bad_workers.fetch_add(1);
      });
      for (size_t i = 0; i < tasks; ++i) ASSERT_EQ(runs[i].load(), 1) << threads << " threads, task " << i;
      ASSERT_EQ(bad_workers.load(), 0u);
    }
  }
}

TEST(ThreadPool, TheCallerSeesWhatTheBodiesWrote) {
  for (const size_t threads : kThreadCounts) {
    ThreadPool pool(threads);
    std::vector<size_t> squares(500);  // plain memory: a thread sanitizer checks that no lock is missing
    pool.parallel_for(squares.size(), [&](size_t task, size_t) { squares[task] = task * task; });
    size_t sum = 0;
    for (const size_t square : squares) sum += square;
    EXPECT_EQ(sum, 499u * 500u * 999u / 6u);
  }
}

TEST(ThreadPool, BodiesSeeWhatTheCallerWroteBeforeAndWhatLoopsBeforeWrote) {
  ThreadPool pool(3);
  std::vector<size_t> values(64, 0);
  for (size_t round = 1; round <= 3000; ++round) {
    const size_t step = round % 3;
    pool.parallel_for(values.size(), [&](size_t task, size_t) { values[task] += step; });
  }
  for (const size_t value : values) ASSERT_EQ(value, 3000u);
}

TEST(ThreadPool, NoWorkerRunsTwoTasksAtOnce) {
  ThreadPool pool(4);
  std::vector<int> scratch(4, 0);  // plain memory: two bodies with one worker number would race
  std::atomic<int> seen_busy{0};
  pool.parallel_for(5000, [&](size_t, size_t worker) {
    if (scratch[worker]++ != 0) seen_busy.fetch_add(1);
    --scratch[worker];
  });
  EXPECT_EQ(seen_busy.load(), 0);
}

TEST(ThreadPool, TwoTasksRunAtTheSameTime) {
  ThreadPool pool(2);
  std::atomic<int> arrived{0};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  // Each waits for the other, which a pool that runs them one after the other never ends well.
  pool.parallel_for(2, [&](size_t, size_t) {
    arrived.fetch_add(1);
    while (arrived.load() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), 2);
  EXPECT_LT(std::chrono::steady_clock::now(), deadline);
}

TEST(ThreadPool, WorksAgainAfterItsWorkersFellAsleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<size_t> sum{0};
    pool.parallel_for(100, [&](size_t task, size_t) { sum.fetch_add(task); });
    ASSERT_EQ(sum.load(), 4950u);
  }
}

TEST(ThreadPool, AnIdlePoolBurnsNoProcessorTime) {
  ThreadPool pool(4);
  pool.parallel_for(100, [](size_t, size_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 20);
}

TEST(ThreadPool, GoesAwayInEveryState) {
  for (int round = 0; round < 50; ++round) {
    { const ThreadPool fresh(4); }
    ThreadPool used(4);
    used.parallel_for(4, [](size_t, size_t) {});
  }
  ThreadPool asleep(4);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

TEST(ThreadPool, TwoPoolsWorkSideBySide) {
  std::vector<std::thread> callers;
  std::atomic<size_t> sum{0};
  for (int caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&] {
      ThreadPool pool(2);
      for (int round = 0; round < 200; ++round)
        pool.parallel_for(10, [&](size_t task, size_t) { sum += task; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum.load(), 2u * 200u * 45u);
}

TEST(ThreadPool, TheDefaultNumberOfThreadsIsAtLeastOne) {
  EXPECT_GE(default_thread_count(), 1u);
  EXPECT_LE(default_thread_count(), static_cast<size_t>(CPU_SETSIZE));
}

}  // namespace
}  // namespace headrace
