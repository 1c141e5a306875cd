#include "engine/testing/allocation_counter.h"

#include "sanitized.h"

#ifdef HEADRACE_SANITIZED

namespace headrace::engine_testing {
void start_counting() {}
Allocations stop_counting() {
  return {};
}
void print_first_allocations() {}
}  // namespace headrace::engine_testing

#else

#include <execinfo.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <new>

namespace headrace::engine_testing {
namespace {

std::atomic<bool> counting{false};
std::atomic<uint64_t> news{0};
std::atomic<uint64_t> mallocs{0};
std::atomic<uint64_t> maps{0};
char* break_before = nullptr;

constexpr size_t kPlaces = 4;
constexpr int kDepth = 12;
struct Place {
  void* frames[kDepth];
  int depth = 0;
};
Place places[kPlaces];
std::atomic<size_t> n_places{0};
thread_local bool looking = false;  // backtrace() may allocate, too

void count(std::atomic<uint64_t>& counter) {
  if (!counting.load(std::memory_order_relaxed) || looking) return;
  counter.fetch_add(1, std::memory_order_relaxed);
  const size_t place = n_places.fetch_add(1, std::memory_order_relaxed);
  if (place >= kPlaces) return;
  looking = true;
  places[place].depth = ::backtrace(places[place].frames, kDepth);
  looking = false;
}

char* program_break() {
  return static_cast<char*>(::sbrk(0));
}

}  // namespace

void start_counting() {
  news = mallocs = maps = 0;
  break_before = program_break();
  counting = true;
}

Allocations stop_counting() {
  counting = false;
  const char* after = program_break();
  return {news, mallocs, maps, after > break_before ? static_cast<uint64_t>(after - break_before) : 0};
}

void print_first_allocations() {
  for (size_t i = 0; i < std::min(n_places.load(), kPlaces); ++i) {
    ::backtrace_symbols_fd(places[i].frames, places[i].depth, STDERR_FILENO);
    static_cast<void>(::write(STDERR_FILENO, "\n", 1));
  }
}

}  // namespace headrace::engine_testing

using headrace::engine_testing::count;
using headrace::engine_testing::mallocs;
using headrace::engine_testing::maps;
using headrace::engine_testing::news;

// --- glibc's own, under the names by which it keeps them reachable
// ------------------------------------------

extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* old, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) noexcept {
  count(mallocs);
  return __libc_malloc(bytes);
}
void* calloc(size_t n, size_t bytes) noexcept {
  count(mallocs);
  return __libc_calloc(n, bytes);
}
void* realloc(void* old, size_t bytes) noexcept {
  count(mallocs);
  return __libc_realloc(old, bytes);
}
void* reallocarray(void* old, size_t n, size_t bytes) noexcept {
  count(mallocs);
  size_t all = 0;
  if (!__builtin_mul_overflow(n, bytes, &all)) return __libc_realloc(old, all);
  errno = ENOMEM;
  return nullptr;
}
void* memalign(size_t alignment, size_t bytes) noexcept {
  count(mallocs);
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  count(mallocs);
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, size_t alignment, size_t bytes) noexcept {
  count(mallocs);
  *out = __libc_memalign(alignment, bytes);
  return *out == nullptr ? ENOMEM : 0;
}

// glibc's malloc calls its own, not these: its maps are counted as mallocs.
void* mmap(void* at, size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
  count(maps);
  return reinterpret_cast<void*>(::syscall(SYS_mmap, at, bytes, protection, flags, file, offset));
}
void* mmap64(void* at, size_t bytes, int protection, int flags, int file, off64_t offset) noexcept {
  count(maps);
  return reinterpret_cast<void*>(::syscall(SYS_mmap, at, bytes, protection, flags, file, offset));
}
void* mremap(void* old, size_t old_bytes, size_t bytes, int flags, ...) noexcept {
  count(maps);
  void* to = nullptr;
  if ((flags & MREMAP_FIXED) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    to = va_arg(arguments, void*);
    va_end(arguments);
  }
  return reinterpret_cast<void*>(::syscall(SYS_mremap, old, old_bytes, bytes, flags, to));
}
}  // extern "C"

// --- C++; the other forms of new call these
// ------------------------------------------------------------------

void* operator new(size_t bytes) {
  count(news);
  void* data = __libc_malloc(bytes);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  count(news);
  void* data = __libc_memalign(static_cast<size_t>(alignment), bytes);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}
void operator delete(void* data) noexcept {
  std::free(data);
}
void operator delete(void* data, size_t) noexcept {
  std::free(data);
}
void operator delete(void* data, std::align_val_t) noexcept {
  std::free(data);
}
void operator delete(void* data, size_t, std::align_val_t) noexcept {
  std::free(data);
}

#endif
