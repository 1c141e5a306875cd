// The pages of one layer group: equal pieces of one device buffer, handed out and taken back.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/backend.h"

namespace headrace {

using PageId = uint32_t;

/// Not thread-safe. What lies in a page is nobody's business here.
class PagePool {
 public:
  /// Books n_pages * page_bytes with the ledger, then allocates them.
  static Result<PagePool> create(Backend& backend, MemoryLedger& ledger, size_t page_bytes, uint32_t n_pages,
                                 std::string_view what, std::string_view hint);

  /// Takes `count` pages or none: false if fewer are free. New pages have one reference.
  bool allocate(uint32_t count, std::vector<PageId>& pages);
  /// Another owner of a page that is in use.
  void retain(PageId page);
  /// One owner less; the last one frees the page and raises its generation.
  void release(PageId page);

  uint32_t free_pages() const { return static_cast<uint32_t>(free_.size()); }
  /// Counts how often a page was freed: a stale reference to it can be told from a fresh one.
  uint32_t generation(PageId page) const { return generations_[page]; }
  std::byte* data() const { return buffer_.data(); }

 private:
  DeviceBuffer buffer_;
  std::vector<PageId> free_;  // the next page to hand out is at the back
  std::vector<uint32_t> references_;
  std::vector<uint32_t> generations_;
};

}  // namespace headrace
