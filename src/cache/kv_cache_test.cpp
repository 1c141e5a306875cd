#include "cache/kv_cache.h"

#include <gtest/gtest.h>

#include "ops/reference/reference_backend.h"

namespace headrace {
namespace {

const std::vector<LayerGroup> kGroups = {{"full", 2, 1, 16, 0}, {"window", 3, 1, 16, 20}};
const KvCacheOptions kOptions = {.key_type = DType::F32,
                                 .value_type = DType::F16,
                                 .page_tokens = 16,
                                 .sequences = 2,
                                 .context = 64,
                                 .max_rows = 40};

class KvCacheTest : public testing::Test {
 protected:
  std::vector<Row> rows(SequenceId sequence, uint32_t first, uint32_t count) {
    std::vector<Row> out;
    for (uint32_t i = 0; i < count; ++i)
      out.push_back({.sequence = sequence, .position = first + i, .slot = first + i});
    return out;
  }

  MemoryLedger ledger_{1 << 24};
  std::unique_ptr<Backend> backend_ = make_reference_backend();
  KvCache cache_ = KvCache::create(*backend_, ledger_, kGroups, kOptions).value();
};

TEST_F(KvCacheTest, TakesTheBytesItSaysAndNoMore) {
  EXPECT_EQ(ledger_.used(MemoryUse::kv), KvCache::bytes(kGroups, kOptions));
  // 5 layers of 16 keys in 4 bytes and 16 values in 2.
  EXPECT_EQ(KvCache::bytes_per_token(kGroups, kOptions), 5U * 16 * 6);
}

TEST_F(KvCacheTest, RefusesAContextBeyondTheBudgetBeforeAllocating) {
  MemoryLedger small(1000);
  const auto cache = KvCache::create(*backend_, small, kGroups, kOptions);
  ASSERT_FALSE(cache);
  EXPECT_EQ(cache.error().code, Errc::out_of_budget);
  EXPECT_NE(cache.error().message.find("1000 bytes free"), std::string::npos);
  EXPECT_EQ(small.high_water(MemoryUse::kv), 0U);
}

TEST_F(KvCacheTest, ARowSeesItselfAndWhatCameBeforeInsideItsWindow) {
  const SequenceId id = cache_.open();
  ASSERT_TRUE(cache_.reserve(id, 30));
  const auto steps = cache_.plan(rows(id, 0, 30));
  for (uint32_t i = 0; i < 30; ++i) {
    EXPECT_EQ(steps[0].plan.item_rows[i].begin, 0U);
    EXPECT_EQ(steps[0].plan.item_rows[i].end, i + 1);
    EXPECT_EQ(steps[1].plan.item_rows[i].begin, i < 20 ? 0 : i - 19);
    EXPECT_EQ(steps[1].plan.item_rows[i].end, i + 1);
  }
}

TEST_F(KvCacheTest, RunsCoverEachPositionOnceAndNeverWhatIsNotWritten) {
  const SequenceId id = cache_.open();
  ASSERT_TRUE(cache_.reserve(id, 40));
  cache_.plan(rows(id, 0, 37));
  cache_.commit(id, 37);
  const auto steps = cache_.plan(rows(id, 37, 1));
  const AttentionPlan& plan = steps[0].plan;
  uint32_t position = 0;
  for (uint32_t i = 0; i < plan.items[0].n_runs; ++i) {
    EXPECT_EQ(plan.runs[i].position, position);
    position += plan.runs[i].count;
  }
  EXPECT_EQ(position, 38U);
  // The window's plan begins at the page that holds position 18.
  EXPECT_EQ(steps[1].plan.runs[0].position, 16U);
}

TEST_F(KvCacheTest, RowsOfSeveralSequencesStandInOneRaggedBatch) {
  const SequenceId a = cache_.open();
  const SequenceId b = cache_.open();
  ASSERT_TRUE(cache_.reserve(a, 5));
  ASSERT_TRUE(cache_.reserve(b, 3));
  std::vector<Row> batch = rows(a, 0, 5);
  for (const Row& row : rows(b, 0, 3)) batch.push_back(row);
  const auto steps = cache_.plan(batch);
  ASSERT_EQ(steps[0].plan.n_items, 2U);
  EXPECT_EQ(steps[0].plan.item_rows[5].row, 5U);
  EXPECT_NE(steps[0].slots[0].page, steps[0].slots[5].page);
}

TEST_F(KvCacheTest, WhatIsNotCommittedIsOverwritten) {
  const SequenceId id = cache_.open();
  ASSERT_TRUE(cache_.reserve(id, 8));
  cache_.plan(rows(id, 0, 8));
  cache_.commit(id, 3);
  EXPECT_EQ(cache_.length(id), 3U);
  EXPECT_EQ(cache_.plan(rows(id, 3, 1))[0].slots[0].slot, 3U);
}

TEST_F(KvCacheTest, ClosingGivesBackEveryPage) {
  const uint32_t before = cache_.pool(0).free_pages();
  const SequenceId id = cache_.open();
  ASSERT_TRUE(cache_.reserve(id, 64));
  EXPECT_EQ(cache_.pool(0).free_pages(), before - 4);
  cache_.close(id);
  EXPECT_EQ(cache_.pool(0).free_pages(), before);
  EXPECT_EQ(cache_.pool(1).free_pages(), before);
}

TEST_F(KvCacheTest, ReservingTooMuchTakesNothing) {
  const SequenceId a = cache_.open();
  const SequenceId b = cache_.open();
  ASSERT_TRUE(cache_.reserve(a, 100));
  const uint32_t free = cache_.pool(0).free_pages();
  EXPECT_FALSE(cache_.reserve(b, 64));
  EXPECT_EQ(cache_.pool(0).free_pages(), free);
}

}  // namespace
}  // namespace headrace
