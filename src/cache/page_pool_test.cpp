#include "cache/page_pool.h"

#include <gtest/gtest.h>

#include "ops/reference/reference_backend.h"

namespace headrace {
namespace {

class PagePoolTest : public testing::Test {
 protected:
  MemoryLedger ledger_{1 << 20};
  std::unique_ptr<Backend> backend_ = make_reference_backend();
  PagePool pool_ = PagePool::create(*backend_, ledger_, 256, 4, "test pages", "").value();
};

TEST_F(PagePoolTest, HandsOutAllOrNothing) {
  std::vector<PageId> pages;
  EXPECT_TRUE(pool_.allocate(3, pages));
  EXPECT_FALSE(pool_.allocate(2, pages));
  EXPECT_EQ(pages.size(), 3U);
  EXPECT_EQ(pool_.free_pages(), 1U);
}

TEST_F(PagePoolTest, APageIsFreeWhenItsLastOwnerLeaves) {
  std::vector<PageId> pages;
  ASSERT_TRUE(pool_.allocate(1, pages));
  pool_.retain(pages[0]);
  pool_.release(pages[0]);
  EXPECT_EQ(pool_.free_pages(), 3U);
  EXPECT_EQ(pool_.generation(pages[0]), 0U);
  pool_.release(pages[0]);
  EXPECT_EQ(pool_.free_pages(), 4U);
  EXPECT_EQ(pool_.generation(pages[0]), 1U);
}

TEST_F(PagePoolTest, ReleasingAFreePageIsCaught) {
  EXPECT_DEATH(pool_.release(0), "references_");
}

TEST(PagePool, RefusesWhatTheLedgerDoesNotHave) {
  MemoryLedger ledger(1000);
  const auto backend = make_reference_backend();
  const auto pool = PagePool::create(*backend, ledger, 256, 4, "test pages", "use fewer");
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code, Errc::out_of_budget);
  EXPECT_NE(pool.error().message.find("1024"), std::string::npos);
  EXPECT_NE(pool.error().message.find("use fewer"), std::string::npos);
  EXPECT_EQ(ledger.used(), 0U);
}

TEST_F(PagePoolTest, ChargesTheLedgerAndPaysBack) {
  EXPECT_EQ(ledger_.used(MemoryUse::kv), 1024U);
  pool_ = PagePool();
  EXPECT_EQ(ledger_.used(MemoryUse::kv), 0U);
}

}  // namespace
}  // namespace headrace
