#include "ops/cpu/tier.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace headrace::cpu {
namespace {

TEST(Tier, NamesAndTiersAreInverse) {
  for (size_t i = 0; i < kTiers; ++i) {
    const auto tier = static_cast<Tier>(i);
    EXPECT_EQ(tier_from_name(name_of(tier)), tier);
  }
  for (const char* name : {"", "AVX2", "avx", "avx2 ", "reference"})
    EXPECT_FALSE(tier_from_name(name)) << name;
}

TEST(Tier, PortableRunsEverywhereAndTheBestIsTheLastAvailable) {
  const std::vector<Tier> tiers = available_tiers();
  ASSERT_FALSE(tiers.empty());
  EXPECT_EQ(tiers.front(), Tier::portable);
  EXPECT_TRUE(std::is_sorted(tiers.begin(), tiers.end()));
  EXPECT_EQ(choose_tier("").value(), tiers.back());
}

TEST(Tier, AForcedTierIsThatTierOrAnErrorNeverAnother) {
  for (size_t i = 0; i < kTiers; ++i) {
    const auto tier = static_cast<Tier>(i);
    const Result<Tier> chosen = choose_tier(name_of(tier));
    if (const auto missing = missing_for(tier)) {
      ASSERT_FALSE(chosen);
      EXPECT_EQ(chosen.error().code, Errc::unsupported);
      EXPECT_NE(chosen.error().message.find(*missing), std::string::npos);
    } else {
      EXPECT_EQ(chosen.value(), tier);
    }
  }
}

TEST(Tier, AnUnknownTierIsAUsageErrorThatNamesTheKnownOnes) {
  const Result<Tier> chosen = choose_tier("sse9");
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, Errc::usage);
  for (const char* part : {"sse9", "portable", "avx2", "avx512", "amx"}) {
    EXPECT_NE(chosen.error().message.find(part), std::string::npos) << part;
  }
}

TEST(Tier, EveryTableNamesItsTier) {
  for (size_t i = 0; i < kTiers; ++i) {
    const auto tier = static_cast<Tier>(i);
    if (const KernelTable* table = kernel_table(tier)) {
      EXPECT_EQ(table->tier, tier);
    }
  }
}

}  // namespace
}  // namespace headrace::cpu
