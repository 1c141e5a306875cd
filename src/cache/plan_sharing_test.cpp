// Plans whose rows share keys, against what each row is to see: every key once, in order, from pages that
// hold its token.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "cache/state_store.h"
#include "ops/reference/reference_backend.h"

namespace headrace {
namespace {

constexpr uint32_t kWindow = 200;
constexpr uint32_t kHeads = 2;

struct Text {
  SequenceId sequence = 0;
  std::vector<int32_t> tokens;
};

// What a row reads by one item.
struct Part {
  uint32_t wave = 0;
  AttentionItem item;
  AttentionItemRow row;
};

class PlanSharing : public testing::TestWithParam<uint32_t> {
 protected:
  void make_store(const StateStoreOptions& options) {
    for (LayerGroup& group : groups_) group.n_heads = kHeads;
    store_.emplace(StateStore::create(*backend_, ledger_, groups_, options).value());
  }
  void make_store() {
    make_store({.format = {DType::F32, DType::F32, GetParam()},
                .sequences = 12,
                .context = 1600,
                .tokens = 12 * 1600,
                .max_rows = 1600});
  }

  template <typename T>
  std::vector<T> download(const T* device, size_t count) {
    std::vector<T> values(count);
    backend_->download(values.data(), device, count * sizeof(T));
    return values;
  }
  Text open(std::vector<int32_t> tokens) {
    Text text = {store_->open(0, tokens), std::move(tokens)};
    compute(text);
    return text;
  }
  // Texts that have 640 tokens in common and one of their own.
  std::vector<Text> open_alike(int count) {
    std::vector<int32_t> tokens(640);
    std::iota(tokens.begin(), tokens.end(), 1000);
    std::vector<Text> texts;
    for (int i = 0; i < count; ++i) {
      auto own = tokens;
      own.push_back(i);
      texts.push_back(open(std::move(own)));
    }
    return texts;
  }
  // Each row's key is its token.
  void compute(const Text& text) {
    const uint32_t length = store_->length(text.sequence);
    const std::span<const int32_t> rest = std::span(text.tokens).subspan(length);
    if (rest.empty()) return;
    ASSERT_TRUE(store_->reserve(text.sequence, static_cast<uint32_t>(text.tokens.size())));
    std::vector<Row> rows;
    add_rows(text.sequence, static_cast<uint32_t>(rest.size()), rows);
    const auto steps = store_->plan(rows);
    for (const GroupStep& step : steps) {
      const std::vector<KvSlot> slots = download(step.slots, rows.size());
      for (size_t i = 0; i < rows.size(); ++i) {
        const auto key = static_cast<float>(rest[i]);
        backend_->upload(key_at(step.layer(0, {}), slots[i].page, slots[i].slot), &key, sizeof key);
      }
    }
    store_->commit(text.sequence, rest);
  }
  static std::byte* key_at(const KvView& kv, uint32_t page, uint32_t slot) {
    return kv.pages + page * kv.page_bytes + kv.key_offset + slot * sizeof(float);
  }
  void add_rows(SequenceId sequence, uint32_t count, std::vector<Row>& rows) const {
    const uint32_t first = store_->length(sequence);
    for (uint32_t i = 0; i < count; ++i)
      rows.push_back({.sequence = sequence, .position = first + i, .slot = first + i});
  }

  // Checks the plan of a step with `count[i]` new rows of text i; returns the rows that share keys, of all
  // groups.
  uint32_t check(const std::vector<Text>& texts, const std::vector<uint32_t>& counts) {
    std::vector<Row> rows;
    for (size_t i = 0; i < texts.size(); ++i) {
      const uint32_t length = store_->length(texts[i].sequence);
      EXPECT_TRUE(store_->reserve(texts[i].sequence, length + counts[i]));
      add_rows(texts[i].sequence, counts[i], rows);
    }
    const auto steps = store_->plan(rows);
    uint32_t sharing = 0;
    for (size_t g = 0; g < groups_.size(); ++g)
      sharing += check_group(texts, rows, steps[g], groups_[g].window);
    return sharing;
  }

  uint32_t check_group(const std::vector<Text>& texts, const std::vector<Row>& rows, const GroupStep& step,
                       uint32_t window) {
    const AttentionPlan& plan = step.plan;
    std::vector<std::vector<Part>> parts(rows.size());
    const std::vector<AttentionItem> items = download(plan.items, plan.n_items);
    uint32_t wave = 0;
    uint32_t sharing = 0;
    for (uint32_t i = 0; i < plan.n_items; ++i) {
      while (wave < plan.wave_ends.size() && i >= plan.wave_ends[wave]) ++wave;
      for (const AttentionItemRow& row : download(plan.item_rows + items[i].first_row, items[i].n_rows))
        parts[row.row].push_back({wave, items[i], row});
    }
    std::map<uint32_t, AttentionReduce> reduces;
    std::vector<bool> taken(plan.n_partials);
    for (const AttentionReduce& reduce : download(plan.reduces, plan.n_reduces)) {
      EXPECT_TRUE(reduces.emplace(reduce.row, reduce).second);
      for (uint32_t i = 0; i < reduce.n_partials; ++i) {
        EXPECT_FALSE(taken[reduce.first_partial + i]);
        taken[reduce.first_partial + i] = true;
      }
    }
    for (uint32_t r = 0; r < rows.size(); ++r) {
      const uint32_t begin =
          window == 0 || rows[r].position + 1 <= window ? 0 : rows[r].position + 1 - window;
      const uint32_t end = rows[r].position + 1;
      sharing += parts[r].size() > 1 ? 1 : 0;
      const auto reduce = reduces.find(r);
      EXPECT_EQ(reduce == reduces.end(), parts[r].size() == 1 && parts[r][0].item.whole);
      if (reduce != reduces.end()) {
        EXPECT_EQ(reduce->second.first_split, begin / kSplitPositions);
        EXPECT_EQ(reduce->second.n_partials, (end - 1) / kSplitPositions - begin / kSplitPositions + 1);
      }
      uint32_t at = begin;
      for (size_t i = 0; i < parts[r].size(); ++i) {
        const Part& part = parts[r][i];
        EXPECT_EQ(part.row.begin, at);
        EXPECT_GT(part.row.end, at);
        EXPECT_EQ(part.row.resumes, at > begin && at % kSplitPositions != 0);
        if (i > 0) {
          EXPECT_EQ(at % kBlockPositions, 0U);
          EXPECT_GT(part.wave, parts[r][i - 1].wave);
        }
        if (reduce != reduces.end()) {
          EXPECT_FALSE(part.item.whole);
          EXPECT_EQ(part.row.first_partial,
                    reduce->second.first_partial + at / kSplitPositions - begin / kSplitPositions);
        }
        check_keys(text_of(texts, rows[r].sequence), part, step, rows[r].position);
        at = part.row.end;
      }
      EXPECT_EQ(at, end);
    }
    return sharing;
  }
  static const Text& text_of(const std::vector<Text>& texts, SequenceId sequence) {
    return *std::ranges::find(texts, sequence, &Text::sequence);
  }
  // Of positions that are committed.
  void check_keys(const Text& text, const Part& part, const GroupStep& step, uint32_t position) {
    uint32_t seen = 0;
    uint32_t next = 0;
    for (const KvRun& run : download(step.plan.runs + part.item.first_run, part.item.n_runs)) {
      EXPECT_GE(run.position, next);
      next = run.position + run.count;
      for (uint32_t i = 0; i < run.count; ++i) {
        const uint32_t p = run.position + i;
        if (p < part.row.begin || p >= part.row.end) continue;
        ++seen;
        if (p >= text.tokens.size()) continue;
        float key = 0;
        backend_->download(&key, key_at(step.layer(0, {}), run.page, run.slot + i), sizeof key);
        ASSERT_EQ(static_cast<int32_t>(key), text.tokens[p])
            << "position " << p << " of a row at " << position;
      }
    }
    EXPECT_EQ(seen, part.row.end - part.row.begin);
  }

  std::vector<LayerGroup> groups_ = {{"full", 1, 1, 16, 0}, {"window", 1, 1, 16, kWindow}};
  MemoryLedger ledger_{uint64_t{1} << 28};
  std::unique_ptr<Backend> backend_ = make_reference_backend();
  std::optional<StateStore> store_;
};

uint32_t below(std::mt19937& random, size_t n) {
  return static_cast<uint32_t>(random() % n);
}

std::vector<int32_t> random_tokens(std::mt19937& random, uint32_t count) {
  std::vector<int32_t> out(count);
  for (int32_t& token : out) token = static_cast<int32_t>(below(random, 1000000));
  return out;
}

TEST_P(PlanSharing, EveryRowSeesItsKeysOnceInRandomForests) {
  make_store();
  std::mt19937 random(7);
  uint32_t sharing = 0;
  for (int round = 0; round < 25; ++round) {
    std::vector<Text> texts;
    std::vector<uint32_t> counts;
    for (uint32_t left = 2 + below(random, 9); left > 0; --left) {
      // Some begin as one that is there, for any length.
      std::vector<int32_t> tokens;
      if (!texts.empty() && below(random, 4) != 0) {
        const std::vector<int32_t>& of = texts[below(random, texts.size())].tokens;
        tokens.assign(of.begin(), of.begin() + 1 + below(random, of.size()));
      }
      const bool few = tokens.size() > 1200 || below(random, 2) == 0;
      const auto own = random_tokens(random, few ? 1 + below(random, 80) : 300 + below(random, 400));
      tokens.insert(tokens.end(), own.begin(), own.end());
      tokens.resize(std::min<size_t>(tokens.size(), 1500));
      texts.push_back(open(std::move(tokens)));
      counts.push_back(below(random, 3) == 0 ? 1 + below(random, 20) : 1);
    }
    sharing += check(texts, counts);
    for (const Text& text : texts) store_->close(text.sequence);
    ASSERT_TRUE(store_->audit(0));
  }
  EXPECT_GT(sharing, 50U);
  EXPECT_GT(store_->saved_keys(), 0U);
}

TEST_P(PlanSharing, TwoLevelsAreReadOnceEach) {
  make_store();
  std::mt19937 random(3);
  const auto root = random_tokens(random, 640);
  std::vector<Text> texts;
  for (int branch = 0; branch < 2; ++branch) {
    auto inner = root;
    for (const int32_t token : random_tokens(random, 384)) inner.push_back(token);
    for (int leaf = 0; leaf < 3; ++leaf) {
      auto tokens = inner;
      for (const int32_t token : random_tokens(random, 30)) tokens.push_back(token);
      texts.push_back(open(tokens));
    }
  }
  const uint64_t before = store_->saved_keys();
  check(texts, std::vector<uint32_t>(6, 1));
  // The full group: five of six save the root, two of three each branch. Windows begin behind the root.
  const uint64_t window = 1054 + 1 - kWindow;
  EXPECT_EQ(store_->saved_keys() - before, 5 * 640 + 2 * 2 * 384 + 2 * 2 * (1024 - window));
}

TEST_P(PlanSharing, NothingIsSharedWithoutTheWish) {
  make_store();
  const std::vector<Text> texts = open_alike(3);
  store_->set_sharing(false);
  EXPECT_EQ(check(texts, {1, 1, 1}), 0U);
  store_->set_sharing(true);
  EXPECT_EQ(check(texts, {1, 1, 1}), 6U);
}

TEST_P(PlanSharing, WithoutRoomForPartialResultsRowsReadForThemselves) {
  groups_ = {{"full", 1, 1, 16, 0}};
  const StateStoreOptions options = {
      .format = {DType::F32, DType::F32, GetParam()}, .sequences = 2, .context = 700, .max_rows = 700};
  make_store(options);
  EXPECT_EQ(ledger_.used(MemoryUse::kv), StateStore::bytes(groups_, options));
  const std::vector<Text> texts = open_alike(2);
  // There is room for four rows of each.
  EXPECT_EQ(check(texts, {4, 4}), 8U);
  EXPECT_EQ(check(texts, {8, 8}), 0U);
}

INSTANTIATE_TEST_SUITE_P(PageTokens, PlanSharing, testing::Values(16U, 64U, 128U),
                         [](const auto& test) { return "Pages" + std::to_string(test.param); });

}  // namespace
}  // namespace headrace
