#include "cache/state_store.h"

#include <gtest/gtest.h>

#include <random>

#include "ops/reference/reference_backend.h"

namespace headrace {
namespace {

constexpr uint32_t kPage = 16;
constexpr uint32_t kWindow = 20;
const std::vector<LayerGroup> kGroups = {{"full", 2, 1, 16, 0}, {"window", 3, 1, 16, kWindow}};
const StateStoreOptions kOptions = {
    .format = {DType::F32, DType::F16, kPage}, .sequences = 4, .context = 96, .tokens = 192, .max_rows = 96};

std::vector<int32_t> numbers(int32_t first, uint32_t count) {
  std::vector<int32_t> out(count);
  for (uint32_t i = 0; i < count; ++i) out[i] = first + static_cast<int32_t>(i);
  return out;
}

class StateStoreTest : public testing::Test {
 protected:
  explicit StateStoreTest(const StateStoreOptions& options = kOptions)
      : store_(StateStore::create(*backend_, ledger_, kGroups, options).value()) {}

  std::vector<Row> rows(SequenceId sequence, uint32_t count) {
    std::vector<Row> out;
    const uint32_t first = store_.length(sequence);
    for (uint32_t i = 0; i < count; ++i)
      out.push_back({.sequence = sequence, .position = first + i, .slot = first + i});
    return out;
  }
  template <typename T>
  std::vector<T> download(const T* device, size_t count) {
    std::vector<T> values(count);
    backend_->download(values.data(), device, count * sizeof(T));
    return values;
  }
  // Writes `tokens` into the pages as a forward pass would: each row's key and value are its token.
  void compute(SequenceId sequence, std::span<const int32_t> tokens) {
    ASSERT_TRUE(store_.reserve(sequence, store_.length(sequence) + static_cast<uint32_t>(tokens.size())));
    const std::vector<Row> batch = rows(sequence, static_cast<uint32_t>(tokens.size()));
    const auto steps = store_.plan(batch);
    for (size_t g = 0; g < kGroups.size(); ++g) {
      const KvView kv = steps[g].layer(0, {});
      const std::vector<KvSlot> slots = download(steps[g].slots, batch.size());
      for (size_t i = 0; i < batch.size(); ++i) {
        const auto key = static_cast<float>(tokens[i]);
        std::byte* page = kv.pages + slots[i].page * kv.page_bytes + kv.key_offset;
        backend_->upload(page + slots[i].slot * sizeof(float), &key, sizeof key);
      }
    }
    store_.commit(sequence, tokens);
    audit();
  }
  // The token that stands at `position`, as the plan of a next row would read it.
  int32_t stored(SequenceId sequence, uint32_t position, size_t group = 0) {
    EXPECT_TRUE(store_.reserve(sequence, store_.length(sequence) + 1));
    const auto steps = store_.plan(rows(sequence, 1));
    const KvView kv = steps[group].layer(0, {});
    const AttentionItem item = download(steps[group].plan.items, 1)[0];
    for (const KvRun& run : download(steps[group].plan.runs, item.n_runs)) {
      if (position < run.position || position >= run.position + run.count) continue;
      float key = 0;
      const std::byte* page = kv.pages + run.page * kv.page_bytes + kv.key_offset;
      backend_->download(&key, page + (run.slot + position - run.position) * sizeof(float), sizeof key);
      return static_cast<int32_t>(key);
    }
    return -1;
  }
  void audit() {
    const Status books = store_.audit(open_.size());
    EXPECT_TRUE(books) << books.error().message;
  }
  SequenceId open(std::span<const int32_t> tokens, Reuse* reuse = nullptr, uint64_t salt = 0) {
    const SequenceId id = store_.open(salt, tokens, reuse);
    open_.push_back(id);
    return id;
  }
  void close(SequenceId id) {
    store_.close(id);
    std::erase(open_, id);
    audit();
  }

  MemoryLedger ledger_{1 << 26};
  std::unique_ptr<Backend> backend_ = make_reference_backend();
  StateStore store_;
  std::vector<SequenceId> open_;
};

TEST_F(StateStoreTest, TakesTheBytesItSaysAndNoMore) {
  EXPECT_EQ(ledger_.used(MemoryUse::kv), StateStore::bytes(kGroups, kOptions));
}

TEST_F(StateStoreTest, RefusesAContextBeyondTheBudgetBeforeAllocating) {
  MemoryLedger small(1000);
  const auto store = StateStore::create(*backend_, small, kGroups, kOptions);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Errc::out_of_budget);
  EXPECT_NE(store.error().message.find("1000 bytes free"), std::string::npos);
  EXPECT_EQ(small.high_water(MemoryUse::kv), 0U);
}

TEST_F(StateStoreTest, ARowSeesItselfAndWhatCameBeforeInsideItsWindow) {
  const SequenceId id = open({});
  ASSERT_TRUE(store_.reserve(id, 30));
  const auto steps = store_.plan(rows(id, 30));
  const auto full = download(steps[0].plan.item_rows, 30);
  const auto window = download(steps[1].plan.item_rows, 30);
  for (uint32_t i = 0; i < 30; ++i) {
    EXPECT_EQ(full[i].begin, 0U);
    EXPECT_EQ(full[i].end, i + 1);
    EXPECT_EQ(window[i].begin, i < kWindow ? 0 : i + 1 - kWindow);
    EXPECT_EQ(window[i].end, i + 1);
  }
}

TEST_F(StateStoreTest, RunsCoverEachPositionOnceAndNeverWhatIsNotWritten) {
  const SequenceId id = open({});
  compute(id, numbers(100, 37));
  ASSERT_TRUE(store_.reserve(id, 38));
  const auto steps = store_.plan(rows(id, 1));
  const AttentionItem item = download(steps[0].plan.items, 1)[0];
  uint32_t position = 0;
  for (const KvRun& run : download(steps[0].plan.runs, item.n_runs)) {
    EXPECT_EQ(run.position, position);
    position += run.count;
  }
  EXPECT_EQ(position, 38U);
  // The window's plan begins at the page that holds position 18.
  EXPECT_EQ(download(steps[1].plan.runs, 1)[0].position, 16U);
}

TEST_F(StateStoreTest, RowsOfSeveralSequencesStandInOneRaggedBatch) {
  const SequenceId a = open({});
  const SequenceId b = open({});
  ASSERT_TRUE(store_.reserve(a, 5) && store_.reserve(b, 3));
  std::vector<Row> batch = rows(a, 5);
  for (const Row& row : rows(b, 3)) batch.push_back(row);
  const auto steps = store_.plan(batch);
  ASSERT_EQ(steps[0].plan.n_items, 2U);
  const auto slots = download(steps[0].slots, 8);
  EXPECT_EQ(download(steps[0].plan.item_rows, 8)[5].row, 5U);
  EXPECT_NE(slots[0].page, slots[5].page);
}

TEST_F(StateStoreTest, WhatIsNotCommittedIsOverwritten) {
  const SequenceId id = open({});
  ASSERT_TRUE(store_.reserve(id, 8));
  store_.plan(rows(id, 8));
  store_.commit(id, numbers(1, 3));
  EXPECT_EQ(store_.length(id), 3U);
  EXPECT_EQ(download(store_.plan(rows(id, 1))[0].slots, 1)[0].slot, 3U);
}

TEST_F(StateStoreTest, AnyLengthOfAPrefixIsReused) {
  const std::vector<int32_t> text = numbers(100, 90);
  const SequenceId first = open({});
  compute(first, text);
  for (const uint32_t length : {1U, 15U, 16U, 17U, 31U, 32U, 47U, 64U, 89U, 90U}) {
    std::vector<int32_t> other(text.begin(), text.begin() + length);
    other.push_back(7);
    Reuse reuse;
    const SequenceId id = open(other, &reuse);
    // The window retires pages as the first sequence goes on: only what is still there counts.
    EXPECT_EQ(store_.length(id), reuse.tokens);
    if (length >= 86) {
      EXPECT_EQ(reuse.tokens, length);
    }
    for (uint32_t position = 0; position < reuse.tokens; ++position) {
      EXPECT_EQ(stored(id, position), text[position]) << length;
    }
    close(id);
  }
}

TEST_F(StateStoreTest, ACopiedPageIsItsOwn) {
  const std::vector<int32_t> text = numbers(100, 24);
  const SequenceId a = open({});
  compute(a, text);
  const SequenceId b = open(std::span(text).first(20));
  EXPECT_EQ(store_.length(b), 20U);
  EXPECT_EQ(store_.page_copies(), 1U);
  compute(b, numbers(500, 4));
  compute(a, numbers(900, 4));
  EXPECT_EQ(stored(a, 20), 120);
  EXPECT_EQ(stored(a, 24), 900);
  EXPECT_EQ(stored(b, 19), 119);
  EXPECT_EQ(stored(b, 20), 500);
  // The full page before is one and the same.
  EXPECT_EQ(store_.forest().pool(0).used(), 1U + 2U);
}

TEST_F(StateStoreTest, TwoSequencesThatComputeTheSameTextEndUpWithOnePage) {
  const SequenceId a = open({});
  const SequenceId b = open({});
  compute(a, numbers(100, 20));
  compute(b, numbers(100, 20));
  EXPECT_EQ(store_.forest().pool(0).used(), 3U);  // one full page, two short ones
  compute(a, numbers(120, 1));
  EXPECT_EQ(stored(b, 3), 103);
}

TEST_F(StateStoreTest, AWindowGivesItsPagesBackAndTheOtherGroupDoesNot) {
  const SequenceId id = open({});
  compute(id, numbers(100, 80));
  EXPECT_EQ(store_.available()[0], store_.forest().pool(0).size() - 5);
  // Position 80 sees 61 to 80: pages from number 3 on.
  EXPECT_EQ(store_.available()[1], store_.forest().pool(1).size() - 2);
  EXPECT_EQ(store_.retired_pages(), 3U);
}

// The window's group has far fewer pages than the other.
class LongStoreTest : public StateStoreTest {
 protected:
  LongStoreTest()
      : StateStoreTest(
            {.format = {DType::F32, DType::F16, kPage}, .sequences = 3, .context = 800, .max_rows = 16}) {}
};

TEST_F(LongStoreTest, APrefixIsReusableToTheLengthThatIsValidInAllGroups) {
  const std::vector<int32_t> text = numbers(100, 80);
  const SequenceId id = open({});
  for (uint32_t begin = 0; begin < 80; begin += 16) compute(id, std::span(text).subspan(begin, 16));
  Reuse reuse;
  // Nothing needed the retired pages, so all of them are still there.
  SequenceId again = open(std::span(text).first(40), &reuse);
  EXPECT_EQ(reuse.tokens, 40U);
  EXPECT_EQ(reuse.limit, ReuseLimit::whole);
  close(again);
  // Another one takes the retired pages of the window's group.
  const SequenceId other = open({});
  for (int32_t begin = 0; begin < 640; begin += 16) compute(other, numbers(1000 + begin, 16));
  again = open(std::span(text).first(40), &reuse);
  EXPECT_LT(reuse.tokens, 40U);
  EXPECT_EQ(reuse.limit, ReuseLimit::retired);
  for (uint32_t position = 0; position < reuse.tokens; ++position)
    EXPECT_EQ(stored(again, position), text[position]);
  close(again);
  // The end of the text is still seen by a running sequence.
  again = open(text, &reuse);
  EXPECT_EQ(reuse.tokens, 80U);
  EXPECT_EQ(stored(again, 79, 1), 179);
  audit();
}

TEST_F(StateStoreTest, SaltsKeepPrefixesApart) {
  const std::vector<int32_t> text = numbers(100, 40);
  const SequenceId a = open({}, nullptr, 1);
  compute(a, text);
  Reuse reuse;
  const SequenceId b = open(text, &reuse, 2);
  EXPECT_EQ(reuse.tokens, 0U);
  EXPECT_EQ(reuse.limit, ReuseLimit::different);
  close(b);
  const SequenceId c = open(text, &reuse, 1);
  EXPECT_EQ(reuse.tokens, 40U);
  close(c);
}

TEST_F(StateStoreTest, TheLeastRecentlyUsedPrefixGoesFirst) {
  const std::vector<int32_t> old_text = numbers(100, 32);
  const std::vector<int32_t> new_text = numbers(300, 32);
  for (const auto& text : {old_text, new_text}) {
    const SequenceId id = open({});
    compute(id, text);
    close(id);
  }
  close(open(old_text));  // used again: now the other is older
  while (store_.evicted_pages() < 2) {
    const SequenceId id = open({});
    compute(id, numbers(1000 + 50 * static_cast<int32_t>(store_.forest().pool(0).used()), 16));
    close(id);
  }
  EXPECT_EQ(store_.prospect(0, old_text).cached, 32U);
  EXPECT_LT(store_.prospect(0, new_text).cached, 32U);
}

TEST_F(StateStoreTest, AForkSharesPagesAndGoesItsOwnWay) {
  const SequenceId a = open({});
  compute(a, numbers(100, 25));
  const std::optional<SequenceId> b = store_.fork(a);
  ASSERT_TRUE(b);
  open_.push_back(*b);
  audit();
  EXPECT_EQ(store_.length(*b), 25U);
  compute(a, numbers(500, 10));
  compute(*b, numbers(700, 10));
  EXPECT_EQ(stored(a, 25), 500);
  EXPECT_EQ(stored(*b, 24), 124);
  EXPECT_EQ(stored(*b, 25), 700);
}

TEST_F(StateStoreTest, RollingBackForgetsWhatCameAfter) {
  const SequenceId id = open({});
  compute(id, numbers(100, 45));
  ASSERT_TRUE(store_.truncate(id, 37));
  audit();
  EXPECT_EQ(store_.length(id), 37U);
  compute(id, numbers(500, 3));
  EXPECT_EQ(stored(id, 36), 136);
  EXPECT_EQ(stored(id, 37), 500);
  // The window no longer has what position 5 would see.
  EXPECT_FALSE(store_.truncate(id, 17) && store_.truncate(id, 5));
  audit();
}

TEST_F(StateStoreTest, ReservingTooMuchTakesNothing) {
  const SequenceId a = open({});
  const SequenceId b = open({});
  const SequenceId c = open({});
  ASSERT_TRUE(store_.reserve(a, 96) && store_.reserve(b, 96));
  const uint32_t available = store_.available()[0];
  EXPECT_FALSE(store_.reserve(c, 96));
  EXPECT_EQ(store_.available()[0], available);
  audit();
}

TEST_F(StateStoreTest, ALimitHoldsOnceWhatIsInUseHasGone) {
  const SequenceId a = open({});
  const SequenceId b = open({});
  compute(a, numbers(100, 60));
  compute(b, numbers(300, 60));
  store_.set_limit(1);  // raised to one context, and a page for copies
  EXPECT_EQ(store_.available()[0], 0U);
  EXPECT_EQ(store_.overdrawn()[0], 1U);
  close(a);
  EXPECT_EQ(store_.available()[0], 3U);
  compute(b, numbers(360, 36));
  audit();
}

TEST_F(StateStoreTest, RandomLivesLeaveTheBooksInOrder) {
  std::mt19937 random(5);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  std::map<SequenceId, std::vector<int32_t>> texts;
  for (int i = 0; i < 20000; ++i) {
    const uint32_t what = below(10);
    if (texts.empty() || (what < 3 && texts.size() < 4)) {
      std::vector<int32_t> text = numbers(static_cast<int32_t>(100 * (1 + below(3))), 1 + below(60));
      if (below(2) == 0) text.back() = 7;
      const SequenceId id = open(text);
      text.resize(store_.length(id));
      texts[id] = text;
    } else {
      auto at = texts.begin();
      std::advance(at, below(static_cast<uint32_t>(texts.size())));
      auto& [id, text] = *at;
      if (what < 6) {
        const auto begin = static_cast<int32_t>(text.size());
        const uint32_t count = std::min(1 + below(30), 96 - store_.length(id));
        if (count > 0 && store_.reserve(id, store_.length(id) + count)) {
          const auto more = numbers((below(4) == 0 ? 5000 : text.empty() ? 100 : text[0]) + begin, count);
          compute(id, more);
          text.insert(text.end(), more.begin(), more.end());
        }
      } else if (what == 6 && texts.size() < 4) {
        const auto copy = store_.fork(id);
        if (copy) {
          open_.push_back(*copy);
          texts[*copy] = std::vector<int32_t>(text);
        }
      } else if (what == 7) {
        const uint32_t length = below(store_.length(id) + 1);
        if (store_.truncate(id, length)) text.resize(length);
      } else if (what == 8 && below(8) == 0) {
        store_.set_limit(below(2) == 0 ? 0 : 96 + below(96));
      } else {
        close(id);
        texts.erase(at);
      }
    }
    const Status books = store_.audit(open_.size());
    ASSERT_TRUE(books) << books.error().message << " after " << i;
    for (const auto& [id, text] : texts) {
      ASSERT_EQ(store_.length(id), text.size());
      if (!text.empty() && store_.available()[0] > 0 && store_.available()[1] > 0 && text.size() < 96) {
        const uint32_t position = below(static_cast<uint32_t>(text.size()));
        ASSERT_EQ(stored(id, position), text[position]);
      }
    }
  }
}

}  // namespace
}  // namespace headrace
