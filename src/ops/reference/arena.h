// One stretch of memory that lends pieces and is shut: whoever touches it faults, but for the time of an
// ArenaOpening.
#pragma once

#include <cstddef>
#include <map>

namespace headrace::reference {

/// One thread at a time.
class Arena {
 public:
  /// Reserves addresses; memory is taken when it is first written. If the system refuses, nothing is lent.
  explicit Arena(size_t bytes);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  /// Zeroed, 64-byte aligned, at the lowest address where it fits; nullptr if it fits nowhere.
  std::byte* allocate(size_t bytes);
  /// What allocate() gave. Aborts on anything else, a piece that was freed before included.
  void free(std::byte* data);

  /// Whether [data, data + bytes) lies inside one piece that is lent now.
  bool lends(const void* data, size_t bytes) const;
  /// Whether any of [data, data + bytes) lies in the arena.
  bool overlaps(const void* data, size_t bytes) const;

 private:
  friend class ArenaOpening;
  void protect(size_t begin, size_t end, bool shut);

  std::byte* base_ = nullptr;
  size_t size_ = 0;
  size_t used_ = 0;  // whole pages that were ever lent; what lies above is zero and stays shut
  bool open_ = false;
  std::map<size_t, size_t> pieces_;  // lent now: size by offset. Neighbouring gaps need no joining.
};

/// The arena can be read and written while this lives, which costs one pair of calls that grow with the pages
/// they open. Openings don't nest.
class ArenaOpening {
 public:
  /// All that was ever lent.
  explicit ArenaOpening(Arena& arena);
  /// The pages of [data, data + bytes), which the arena lends.
  ArenaOpening(Arena& arena, const void* data, size_t bytes);
  ArenaOpening(const ArenaOpening&) = delete;
  ArenaOpening& operator=(const ArenaOpening&) = delete;
  ~ArenaOpening();

 private:
  Arena& arena_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace headrace::reference
