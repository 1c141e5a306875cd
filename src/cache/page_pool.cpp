#include "cache/page_pool.h"

#include "core/checked.h"

namespace headrace {

Result<PagePool> PagePool::create(Backend& backend, MemoryLedger& ledger, size_t page_bytes, uint32_t n_pages,
                                  std::string_view what, std::string_view hint) {
  const auto bytes = checked_mul(page_bytes, n_pages);
  if (!bytes)
    return make_error(Errc::out_of_budget, "{}: {} pages of {} bytes overflow", what, n_pages, page_bytes);
  PagePool pool;
  HEADRACE_TRY(pool.buffer_, backend.allocate(ledger, MemoryUse::kv, *bytes, what, hint));
  pool.references_.resize(n_pages);
  pool.generations_.resize(n_pages);
  for (uint32_t page = n_pages; page > 0; --page) pool.free_.push_back(page - 1);
  return pool;
}

PageId PagePool::allocate() {
  if (free_pages() == 0) return kNoPage;
  const PageId page = free_.back();
  free_.pop_back();
  references_[page] = 1;
  ++unshared_;
  return page;
}

void PagePool::retain(PageId page) {
  HEADRACE_CHECK(references_[page] > 0);
  if (references_[page]++ == 1) --unshared_;
}

void PagePool::release(PageId page) {
  HEADRACE_CHECK(references_[page] > 0);
  --references_[page];
  if (references_[page] == 1) ++unshared_;
  if (references_[page] > 0) return;
  --unshared_;
  ++generations_[page];
  free_.push_back(page);
}

}  // namespace headrace
