#include "core/memory_ledger.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <vector>

namespace headrace {
namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

TEST(MemoryLedger, BooksUpToTheCapAndNotOneByteBeyond) {
  MemoryLedger ledger(1000);
  EXPECT_TRUE(ledger.reserve(MemoryUse::weights, 600, "weights"));
  EXPECT_FALSE(ledger.reserve(MemoryUse::kv, 401, "cache"));
  EXPECT_EQ(ledger.used(), 600u);
  EXPECT_TRUE(ledger.reserve(MemoryUse::kv, 400, "cache"));
  EXPECT_EQ(ledger.used(), ledger.cap());
  EXPECT_FALSE(ledger.reserve(MemoryUse::scratch, 1, "scratch"));
  EXPECT_TRUE(ledger.reserve(MemoryUse::scratch, 0, "nothing"));
}

TEST(MemoryLedger, ARefusalSaysWhatIsNeededWhatIsFreeAndWhatWouldHelp) {
  MemoryLedger ledger(4096);
  ASSERT_TRUE(ledger.reserve(MemoryUse::weights, 1024, "weights"));
  const Status refused = ledger.reserve(MemoryUse::kv, 8192, "the KV cache", "lower --ctx");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_budget);
  EXPECT_EQ(refused.error().message,
            "the KV cache: 8192 bytes needed (8.00 KiB), 3072 bytes free (3.00 KiB); lower --ctx");
}

TEST(MemoryLedger, HugeRequestsAreRefusedWithoutOverflow) {
  MemoryLedger ledger(kMax);
  ASSERT_TRUE(ledger.reserve(MemoryUse::weights, 10, "weights"));
  EXPECT_FALSE(ledger.reserve(MemoryUse::kv, kMax, "cache"));
  EXPECT_FALSE(ledger.reserve(MemoryUse::kv, kMax - 9, "cache"));
  EXPECT_TRUE(ledger.reserve(MemoryUse::kv, kMax - 10, "cache"));
}

TEST(MemoryLedger, AReleasedByteIsFreeAgainAndTheHighWaterStays) {
  MemoryLedger ledger(100);
  ASSERT_TRUE(ledger.reserve(MemoryUse::kv, 80, "cache"));
  ledger.release(MemoryUse::kv, 60);
  EXPECT_EQ(ledger.used(MemoryUse::kv), 20u);
  EXPECT_EQ(ledger.used(MemoryUse::weights), 0u);
  EXPECT_EQ(ledger.high_water(MemoryUse::kv), 80u);
  EXPECT_TRUE(ledger.reserve(MemoryUse::activations, 80, "activations"));
  EXPECT_FALSE(ledger.reserve(MemoryUse::kv, 1, "cache"));
  EXPECT_EQ(ledger.high_water(MemoryUse::kv), 80u);
  EXPECT_EQ(ledger.high_water(MemoryUse::activations), 80u);
}

TEST(MemoryLedgerDeathTest, ReleasingWhatWasNeverBookedIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  MemoryLedger ledger(100);
  ASSERT_TRUE(ledger.reserve(MemoryUse::weights, 50, "weights"));
  EXPECT_DEATH(ledger.release(MemoryUse::kv, 1), "check failed");
}

TEST(MemoryLedger, ThreadsTogetherNeverPassTheCap) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  MemoryLedger ledger(3);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        if (!ledger.reserve(MemoryUse::scratch, 1, "scratch")) continue;
        EXPECT_LE(ledger.used(), 3u);
        ledger.release(MemoryUse::scratch, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ledger.used(), 0u);
  EXPECT_LE(ledger.high_water(MemoryUse::scratch), 3u);
}

TEST(MemoryLedger, EachUseHasAName) {
  EXPECT_EQ(name_of(MemoryUse::weights), "weights");
  EXPECT_EQ(name_of(MemoryUse::kv), "KV cache");
  EXPECT_EQ(name_of(MemoryUse::scratch), "scratch");
  EXPECT_EQ(name_of(MemoryUse::activations), "activations");
}

TEST(MemoryLedger, APartIsBookedInTheWholeUnderItsOwnName) {
  MemoryLedger whole(1000);
  ASSERT_TRUE(whole.reserve(MemoryUse::weights, 600, "weights"));
  MemoryLedger part(whole, MemoryUse::drafts);
  EXPECT_EQ(part.cap(), 1000U);
  ASSERT_TRUE(part.reserve(MemoryUse::weights, 250, "a draft's weights"));
  ASSERT_TRUE(part.reserve(MemoryUse::kv, 100, "a draft's keys"));
  EXPECT_EQ(whole.used(MemoryUse::drafts), 350U);
  EXPECT_EQ(part.used(MemoryUse::kv), 100U);
  EXPECT_EQ(part.used(), 950U);
  const Status refused = part.reserve(MemoryUse::kv, 51, "too much");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("50 bytes free"), std::string::npos) << refused.error().message;
  EXPECT_EQ(part.used(MemoryUse::kv), 100U);
  part.release(MemoryUse::weights, 250);
  EXPECT_EQ(whole.used(), 700U);
  EXPECT_EQ(whole.high_water(MemoryUse::drafts), 350U);
}

}  // namespace
}  // namespace headrace
