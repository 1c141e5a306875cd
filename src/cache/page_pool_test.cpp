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

TEST_F(PagePoolTest, HandsOutWhatThereIs) {
  for (uint32_t i = 0; i < 4; ++i) EXPECT_NE(pool_.allocate(), kNoPage);
  EXPECT_EQ(pool_.allocate(), kNoPage);
  EXPECT_EQ(pool_.free_pages(), 0U);
}

TEST_F(PagePoolTest, ALimitKeepsPagesBack) {
  pool_.set_limit(2);
  EXPECT_EQ(pool_.free_pages(), 2U);
  const PageId page = pool_.allocate();
  pool_.allocate();
  EXPECT_EQ(pool_.allocate(), kNoPage);
  pool_.release(page);
  EXPECT_EQ(pool_.free_pages(), 1U);
}

TEST_F(PagePoolTest, APageIsFreeWhenItsLastOwnerLeaves) {
  const PageId page = pool_.allocate();
  EXPECT_EQ(pool_.unshared(), 1U);
  pool_.retain(page);
  EXPECT_EQ(pool_.unshared(), 0U);
  pool_.release(page);
  EXPECT_EQ(pool_.unshared(), 1U);
  EXPECT_EQ(pool_.free_pages(), 3U);
  EXPECT_EQ(pool_.generation(page), 0U);
  pool_.release(page);
  EXPECT_EQ(pool_.unshared(), 0U);
  EXPECT_EQ(pool_.free_pages(), 4U);
  EXPECT_EQ(pool_.generation(page), 1U);
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
