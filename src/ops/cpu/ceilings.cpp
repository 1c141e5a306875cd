#include "ops/cpu/ceilings.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "core/threads.h"
#include "ops/cpu/cpu_backend.h"

namespace headrace::cpu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kParts = 64;         // of the buffer for each thread: they finish together
constexpr size_t kPartFloats = 1024;  // a part is a multiple of
constexpr int kTries = 5;             // the best counts: a ceiling is what the machine can do
constexpr double kPeakSeconds = 0.05;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double read_stream(const KernelTable& kernels, ThreadPool& pool, const float* floats, size_t bytes) {
  const size_t parts = kParts * pool.threads();
  const size_t step = bytes / sizeof(float) / parts / kPartFloats * kPartFloats;
  std::vector<float> sums(parts);
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const Clock::time_point begin = Clock::now();
    pool.parallel_for(
        parts, [&](size_t part, size_t) { sums[part] = kernels.read_floats(floats + part * step, step); });
    best = std::max(best, static_cast<double>(parts * step * sizeof(float)) / seconds_since(begin));
  }
  return best;
}

// Rounds a second of all threads together, of a loop that runs `rounds` rounds.
template <typename F>
double rounds_per_second(ThreadPool& pool, F&& loop) {
  const auto run = [&](size_t rounds) {
    const Clock::time_point begin = Clock::now();
    pool.parallel_for(pool.threads(), [&](size_t, size_t) { loop(rounds); });
    return seconds_since(begin);
  };
  size_t rounds = 1000;
  double seconds = run(rounds);
  while (seconds < kPeakSeconds / 4) {
    rounds *= 2;
    seconds = run(rounds);
  }
  rounds = static_cast<size_t>(static_cast<double>(rounds) * kPeakSeconds / seconds) + 1;
  for (int i = 0; i < kTries; ++i) seconds = i == 0 ? run(rounds) : std::min(seconds, run(rounds));
  return static_cast<double>(rounds * pool.threads()) / seconds;
}

}  // namespace

Result<Ceilings> measure_ceilings(const KernelTable& kernels, size_t threads, MemoryLedger& ledger) {
  ThreadPool pool(threads);
  Ceilings ceilings;
  ceilings.threads = pool.threads();
  const size_t least = kParts * kPartFloats * sizeof(float) * pool.threads();
  const uint64_t free = ledger.cap() - std::min(ledger.cap(), ledger.used());
  ceilings.stream_bytes = std::clamp<uint64_t>(free / 2, least, std::max(least, kStreamBytes));
  const std::unique_ptr<Backend> memory = make_cpu_backend(kernels.tier, 1);
  HEADRACE_TRY(const DeviceBuffer buffer, memory->allocate(ledger, MemoryUse::scratch, ceilings.stream_bytes,
                                                           "the buffer for the read stream"));
  // Pages that were never written are all the same one.
  pool.parallel_for(kParts, [&](size_t part, size_t) {
    const size_t floats = ceilings.stream_bytes / sizeof(float);
    float* data = buffer.as<float>();
    std::fill(data + floats * part / kParts, data + floats * (part + 1) / kParts, 1.0F);
  });
  ceilings.read_stream = read_stream(kernels, pool, buffer.as<float>(), ceilings.stream_bytes);
  ceilings.read_stream_small =
      read_stream(kernels, pool, buffer.as<float>(), std::min(kSmallStreamBytes, ceilings.stream_bytes));

  std::vector<int8_t> bytes(16);
  std::vector<float> floats(16);
  for (size_t i = 0; i < 16; ++i) {
    bytes[i] = static_cast<int8_t>(i);
    floats[i] = static_cast<float>(i);
  }
  std::atomic<int32_t> sink = 0;
  ceilings.int8_ops =
      static_cast<double>(kernels.peak_int8_ops) *
      rounds_per_second(pool, [&](size_t rounds) { sink += kernels.peak_int8(bytes.data(), rounds); });
  ceilings.f32_ops = static_cast<double>(kernels.peak_f32_ops) * rounds_per_second(pool, [&](size_t rounds) {
                       sink += kernels.peak_f32(floats.data(), rounds) > 0 ? 1 : 0;
                     });
  return ceilings;
}

}  // namespace headrace::cpu
