#include "cache/forest.h"

#include <gtest/gtest.h>

#include "ops/reference/reference_backend.h"

namespace headrace {
namespace {

constexpr uint32_t kPage = 4;

class ForestTest : public testing::Test {
 protected:
  explicit ForestTest(uint32_t pages = 8) {
    std::vector<PagePool> pools;
    pools.push_back(PagePool::create(*backend_, ledger_, 64, pages, "pages", "").value());
    forest_.emplace(std::move(pools), std::vector<uint32_t>{0}, kPage);
  }

  // A closed path of these tokens.
  std::vector<NodeId> plant(std::vector<int32_t> tokens) {
    const uint32_t first_pinned[] = {0};
    std::vector<NodeId> path;
    for (size_t begin = 0; begin < tokens.size(); begin += kPage) {
      const NodeId node = forest_->append(path.empty() ? kNoNode : path.back(), 0);
      EXPECT_NE(node, kNoNode);
      const size_t count = std::min<size_t>(kPage, tokens.size() - begin);
      path.push_back(forest_->extend(node, std::span(tokens).subspan(begin, count), first_pinned));
    }
    forest_->touch(path);
    for (const NodeId node : path) forest_->unpin(node, 0);
    for (size_t i = path.size(); i > 0; --i) forest_->close(path[i - 1]);
    EXPECT_TRUE(forest_->audit());
    return path;
  }
  uint32_t cached(std::vector<int32_t> tokens) {
    PrefixMatch found;
    forest_->match(0, tokens, found);
    return found.tokens(kPage);
  }

  MemoryLedger ledger_{1 << 20};
  std::unique_ptr<Backend> backend_ = make_reference_backend();
  std::optional<Forest> forest_;
};

TEST_F(ForestTest, FindsTheLongestPrefixAmongNeighbours) {
  plant({1, 2, 3, 4, 5, 6});
  plant({1, 2, 3, 4, 5, 7, 8});
  plant({1, 2, 9});
  EXPECT_EQ(cached({1, 2, 3, 4, 5, 7, 8, 9}), 7U);
  EXPECT_EQ(cached({1, 2, 3, 4, 5, 6, 8}), 6U);
  EXPECT_EQ(cached({1, 2, 3, 4, 5, 8}), 5U);
  EXPECT_EQ(cached({1, 2, 3, 9}), 3U);
  EXPECT_EQ(cached({1, 2, 9, 9}), 3U);
  EXPECT_EQ(cached({1, 3}), 1U);
  EXPECT_EQ(cached({2}), 0U);
  EXPECT_EQ(cached({}), 0U);
}

TEST_F(ForestTest, WhatASiblingHoldsTooIsNotKept) {
  plant({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(forest_->pool(0).used(), 2U);
  plant({1, 2, 3, 4, 5});
  EXPECT_EQ(forest_->pool(0).used(), 2U);
  plant({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(forest_->pool(0).used(), 2U);
}

TEST_F(ForestTest, LeavesGoBeforeTheirParentsAndTheOldestFirst) {
  plant({1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3});
  plant({5, 5, 5, 5, 6, 6, 6, 6});
  plant({9, 9, 9, 9, 8, 8, 8, 8});
  EXPECT_EQ(forest_->pool(0).free_pages(), 1U);
  plant({7, 7, 7, 7, 7, 7, 7, 7});
  EXPECT_EQ(cached({1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}), 8U);
  EXPECT_EQ(cached({5, 5, 5, 5, 6, 6, 6, 6}), 8U);
  plant({4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4});
  EXPECT_EQ(cached({1, 1, 1, 1}), 0U);
  EXPECT_EQ(cached({5, 5, 5, 5, 6, 6, 6, 6}), 4U);
}

TEST_F(ForestTest, ClearingLeavesNothing) {
  plant({1, 2, 3, 4, 5, 6});
  plant({2, 2});
  forest_->clear();
  EXPECT_EQ(forest_->pool(0).used(), 0U);
  size_t nodes = 0;
  forest_->for_each([&](NodeId) { ++nodes; });
  EXPECT_EQ(nodes, 0U);
  EXPECT_EQ(cached({1, 2}), 0U);
}

TEST_F(ForestTest, APinnedPathIsNeverEvicted) {
  const std::vector<NodeId> path = plant({1, 2, 3, 4, 5, 6, 7, 8});
  for (const NodeId node : path) forest_->pin(node, 0);
  EXPECT_EQ(forest_->available(0), 6U);
  std::vector<NodeId> others;
  while (true) {
    const NodeId node = forest_->append(others.empty() ? kNoNode : others.back(), 0);
    if (node == kNoNode) break;
    others.push_back(node);
  }
  EXPECT_EQ(others.size(), 6U);
  EXPECT_EQ(cached({1, 2, 3, 4, 5, 6, 7, 8}), 8U);
}

}  // namespace
}  // namespace headrace
