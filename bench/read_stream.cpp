// How fast this machine reads memory, with all threads: 1 GiB, far larger than the caches, and 64 MiB, the
// size of a small model, of which a large cache may hold a part.
//
//   bench_read_stream [THREADS]
#include "world.h"

int main(int argc, char** argv) {
  using namespace headrace::bench;
  const size_t threads = threads_from(argc, argv, 1);
  fmt::print("{{\"threads\": {}, \"read_1gib_gb_s\": {:.2f}, \"read_64mib_gb_s\": {:.2f}}}\n", threads,
             read_stream(threads) / 1e9, read_stream(threads, size_t{64} << 20, 80) / 1e9);
  return 0;
}
