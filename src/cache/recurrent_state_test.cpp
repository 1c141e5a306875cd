// A toy recurrence in the pages of a recurrent layer group: h = 0.75 h + x, in float, so that every order of
// computing shows in the bits. Chunks, prefixes, forks, preemption and roll-back must not.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "cache/state_store.h"
#include "ops/reference/reference_backend.h"

namespace headrace {
namespace {

constexpr uint32_t kPage = 16;
constexpr uint32_t kContext = 160;

// The state at position p is that before token p. A page begins with the state at its first position, then
// come its tokens' inputs.
class Recurrence {
  MemoryLedger ledger_{1 << 24};
  std::unique_ptr<Backend> backend_ = make_reference_backend();

 public:
  explicit Recurrence(uint32_t sequences) {
    const std::vector<LayerGroup> groups = {
        {.name = "attention", .n_layers = 1, .n_kv_heads = 1, .d_head = 16},
        {.name = "recurrent", .n_layers = 2, .state_bytes = sizeof(float), .input_bytes = sizeof(float)}};
    store = StateStore::create(*backend_, ledger_, groups,
                               {.format = {DType::F32, DType::F32, kPage},
                                .sequences = sequences,
                                .context = kContext,
                                .tokens = 2 * kContext,
                                .max_rows = kContext})
                .value();
  }

  // Runs the next tokens through both layers; the second gets the states of the first. Returns the last
  // state.
  float compute(SequenceId id, std::span<const int32_t> tokens) {
    const uint32_t first = store->length(id);
    const auto n = static_cast<uint32_t>(tokens.size());
    EXPECT_TRUE(store->reserve(id, first + n));
    std::vector<Row> rows;
    for (uint32_t i = 0; i < n; ++i)
      rows.push_back({.sequence = id, .position = first + i, .slot = first + i});
    const GroupStep step = store->plan(rows)[1];
    std::vector<float> values(tokens.begin(), tokens.end());
    for (size_t layer = 0; layer < 2; ++layer) scan(step, layer, first, values);
    store->commit(id, tokens);
    const Status books = store->audit(open);
    EXPECT_TRUE(books) << books.error().message;
    return values.back();
  }

  std::optional<StateStore> store;
  size_t open = 0;

 private:
  // values: the layer's inputs, then its states after each token.
  void scan(const GroupStep& step, size_t layer, uint32_t first, std::vector<float>& values) {
    const KvView kv = step.layer(layer, {});
    const AttentionItem item = get<AttentionItem>(step.plan.items, 0);
    const uint32_t run_begin = get<KvRun>(step.plan.runs, 0).position;
    const auto page = [&](uint32_t position) {
      return kv.pages + get<KvRun>(step.plan.runs, (position - run_begin) / kPage).page * kv.page_bytes;
    };
    ASSERT_GT(item.n_runs, 0U);
    // From the state at the beginning of the page of the position before, over the inputs since.
    const uint32_t from = first == 0 ? 0 : (first - 1) / kPage * kPage;
    float h = first == 0 ? 0.0F : get<float>(page(from) + kv.key_offset, 0);
    for (uint32_t p = from; p < first; ++p) h = 0.75F * h + get<float>(page(p) + kv.value_offset, p % kPage);
    for (uint32_t i = 0; i < values.size(); ++i) {
      const KvSlot slot = get<KvSlot>(step.slots, i);
      std::byte* own = kv.pages + slot.page * kv.page_bytes;
      if (slot.slot == 0) backend_->upload(own + kv.key_offset, &h, sizeof h);
      backend_->upload(own + kv.value_offset + slot.slot * sizeof(float), &values[i], sizeof(float));
      h = 0.75F * h + values[i];
      values[i] = h;
    }
  }
  template <typename T>
  T get(const void* device, size_t index) {
    T value;
    backend_->download(&value, static_cast<const T*>(device) + index, sizeof value);
    return value;
  }
};

std::vector<int32_t> random_text(uint32_t seed, uint32_t count) {
  std::mt19937 random(seed);
  std::vector<int32_t> text(count);
  for (int32_t& token : text) token = static_cast<int32_t>(random() % 1000);
  return text;
}

float alone(std::span<const int32_t> text) {
  Recurrence world(1);
  world.open = 1;
  return world.compute(world.store->open(0, {}), text);
}

bool same_bits(float a, float b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

TEST(RecurrentState, ChunksNeverShow) {
  const std::vector<int32_t> text = random_text(1, 100);
  const float expected = alone(text);
  for (const uint32_t chunk : {1U, 7U, 15U, 16U, 17U, 33U}) {
    Recurrence world(1);
    world.open = 1;
    const SequenceId id = world.store->open(0, {});
    float last = 0;
    for (uint32_t begin = 0; begin < 100; begin += chunk) {
      last = world.compute(id, std::span(text).subspan(begin, std::min(chunk, 100 - begin)));
    }
    EXPECT_TRUE(same_bits(last, expected)) << chunk;
  }
}

TEST(RecurrentState, APrefixOfAnyLengthGoesOnAsIfComputed) {
  const std::vector<int32_t> text = random_text(2, 100);
  for (const uint32_t shared : {1U, 15U, 16U, 17U, 32U, 50U, 99U}) {
    Recurrence world(2);
    world.open = 1;
    const SequenceId first = world.store->open(0, {});
    for (uint32_t begin = 0; begin < shared; begin += 16) {
      world.compute(first, std::span(text).subspan(begin, std::min(16U, shared - begin)));
    }
    world.store->close(first);
    Reuse reuse;
    const SequenceId id = world.store->open(0, std::span(text).first(99), &reuse);
    EXPECT_EQ(reuse.tokens, shared);
    const float last = world.compute(id, std::span(text).subspan(reuse.tokens));
    EXPECT_TRUE(same_bits(last, alone(text))) << shared;
  }
}

TEST(RecurrentState, ForksAndRollBacksGiveTheBitsOfTheirText) {
  const std::vector<int32_t> text = random_text(3, 60);
  const std::vector<int32_t> other = random_text(4, 30);
  Recurrence world(2);
  world.open = 1;
  const SequenceId id = world.store->open(0, {});
  world.compute(id, std::span(text).first(37));
  const SequenceId copy = world.store->fork(id).value();
  world.open = 2;
  std::vector<int32_t> forked(text.begin(), text.begin() + 37);
  forked.insert(forked.end(), other.begin(), other.end());
  EXPECT_TRUE(same_bits(world.compute(copy, other), alone(forked)));
  EXPECT_TRUE(same_bits(world.compute(id, std::span(text).subspan(37)), alone(text)));
  // Back by a few tokens, and another way from there.
  ASSERT_TRUE(world.store->truncate(id, 52));
  std::vector<int32_t> turned(text.begin(), text.begin() + 52);
  turned.insert(turned.end(), other.begin(), other.end());
  EXPECT_TRUE(same_bits(world.compute(id, other), alone(turned)));
}

TEST(RecurrentState, OnlyTheLastPageIsHeld) {
  Recurrence world(1);
  world.open = 1;
  const SequenceId id = world.store->open(0, {});
  world.compute(id, random_text(5, 100));
  EXPECT_EQ(world.store->released(id)[0], 7U);
  EXPECT_EQ(world.store->released(id)[1], 1U);
  EXPECT_EQ(world.store->largest()[1], 10U);
}

}  // namespace
}  // namespace headrace
