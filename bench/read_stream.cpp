// How fast this machine reads memory at this moment, with all threads: 1 GiB, far larger than the caches, and
// 64 MiB, the size of a small model, of which a large cache may hold a part. As `headrace bench` measures it,
// but without a model, so that it can be taken before and after other programs run.
//
//   bench_read_stream [THREADS]
#include "ops/cpu/ceilings.h"
#include "world.h"

namespace headrace::bench {
namespace {

Status measure(size_t threads) {
  HEADRACE_TRY(const cpu::Tier tier, cpu::choose_tier(""));
  MemoryLedger ledger(available_memory_bytes());
  HEADRACE_TRY(const cpu::Ceilings ceilings,
               cpu::measure_ceilings(*cpu::kernel_table(tier), threads, ledger));
  if (ceilings.stream_bytes < cpu::kStreamBytes) {
    return make_error(Errc::out_of_budget, "the read stream needs 2 GiB of free memory");
  }
  fmt::print("{{\"threads\": {}, \"read_1gib_gb_s\": {:.2f}, \"read_64mib_gb_s\": {:.2f}}}\n", threads,
             ceilings.read_stream / 1e9, ceilings.read_stream_small / 1e9);
  return {};
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  const size_t threads = headrace::bench::threads_from(argc, argv, 1);
  return headrace::bench::finish("bench_read_stream", headrace::bench::measure(threads));
}
