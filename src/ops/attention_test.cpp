// Attention: however the keys lie and however the work is cut, a query's result has the same bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/testing/attention.h"
#include "ops/testing/promises.h"
#include "tensor/half.h"

namespace headrace::ops_testing {
namespace {

constexpr DType kCacheTypes[] = {DType::F32, DType::F16, DType::BF16};

struct Problem {
  AttentionShape shape;
  uint32_t first = 0;  // position of the first key
  uint32_t n = 0;
  std::vector<float> keys;
  std::vector<float> values;
  std::vector<Visible> rows;
  std::vector<float> queries;
};

// Rows that see up to different positions, most of them from a window's begin on.
Problem make_problem(Random& random, const AttentionShape& shape, uint32_t first, uint32_t n, uint32_t rows) {
  Problem p = {.shape = shape, .first = first, .n = n, .keys = {}, .values = {}, .rows = {}, .queries = {}};
  p.keys = random_floats(random, size_t{n} * shape.kv_width());
  p.values = random_floats(random, size_t{n} * shape.kv_width());
  p.queries = random_floats(random, size_t{rows} * shape.q_width());
  for (uint32_t r = 0; r < rows; ++r) {
    const uint32_t end = r == 0 ? first + n : first + random.between(1, n);
    const uint32_t begin = first + (r % 3 == 0 ? 0 : random.below(end - first));
    p.rows.push_back({begin, end});
  }
  return p;
}

std::string describe(const Problem& p) {
  return fmt::format("{} key heads, groups of {}, d {}, {} and {}, positions {} to {}", p.shape.n_kv_heads,
                     p.shape.group, p.shape.d_head, name_of(p.shape.key_type), name_of(p.shape.value_type),
                     p.first, p.first + p.n);
}

std::vector<float> run(Device& device, const Problem& p, const Layout& layout, const Plan& plan) {
  return attend(device, p.shape, make_cache(device, p.shape, layout, p.keys, p.values), plan, p.queries);
}

uint32_t rows_of(const Problem& p) {
  return static_cast<uint32_t>(p.rows.size());
}

// The plainest way: keys in order, one item for all.
std::vector<float> plain(const Problem& p) {
  Device device(make_reference_backend());
  const Layout layout = chain_layout(p.first, p.n, 64);
  return run(device, p, layout, whole_plan(layout, p.rows, rows_of(p)));
}

using AttentionOnEveryTier = EveryTier;
HEADRACE_ON_EVERY_TIER(AttentionOnEveryTier);

TEST_P(AttentionOnEveryTier, HasTheBitsOfTheReference) {
  Random random(1);
  for (const uint32_t d_head : {16U, 24U, 64U, 80U, 128U, 256U}) {
    for (uint32_t group = 1; group <= 9; ++group) {
      const AttentionShape shape = {.n_kv_heads = random.between(1, 3),
                                    .group = group,
                                    .d_head = d_head,
                                    .key_type = random.pick(std::span<const DType>(kCacheTypes)),
                                    .value_type = random.pick(std::span<const DType>(kCacheTypes))};
      const Problem p = make_problem(random, shape, 0, random.between(1, 200), random.between(1, 5));
      const Layout layout = chain_layout(0, p.n, random.below(2) == 0 ? 16 : 64);
      Device tested = device(random.between(1, 2));
      ASSERT_TRUE(equal_bits(plain(p), run(tested, p, layout, whole_plan(layout, p.rows, rows_of(p)))))
          << describe(p);
    }
  }
}

TEST_P(AttentionOnEveryTier, PagesSlotsAndRunsCannotBeSeenInTheBits) {
  Random random(2);
  for (const uint32_t n : {1U, 15U, 64U, 65U, 700U}) {
    for (const uint32_t first : {0U, 37U, 500U}) {
      const DType type = random.pick(std::span<const DType>(kCacheTypes));
      const AttentionShape shape = {
          .n_kv_heads = 2, .group = 3, .d_head = 64, .key_type = type, .value_type = type};
      const Problem p = make_problem(random, shape, first, n, 4);
      const std::vector<float> expected = plain(p);
      for (const uint32_t page_tokens : {16U, 32U, 64U, 128U}) {
        for (const uint32_t max_run : {1U, 3U, 20U, 200U}) {
          const Layout layout = scattered_layout(random, first, n, page_tokens, max_run);
          Device tested = device();
          ASSERT_TRUE(equal_bits(expected, run(tested, p, layout, whole_plan(layout, p.rows, 4))))
              << describe(p) << ", pages of " << page_tokens << ", runs of " << max_run;
        }
      }
    }
  }
}

// Positions beyond two spans, so that splits fold inside spans and spans fold too.
TEST_P(AttentionOnEveryTier, WorkCutIntoItemsAndPartialResultsCannotBeSeenInTheBits) {
  Random random(3);
  struct Range {
    uint32_t first;
    uint32_t n;
  };
  for (const Range range :
       {Range{0, 9000}, Range{3700, 900}, Range{511, 2}, Range{4000, 200}, Range{0, 512}}) {
    const AttentionShape shape = {
        .n_kv_heads = 1, .group = 2, .d_head = 16, .key_type = DType::F16, .value_type = DType::BF16};
    const Problem p = make_problem(random, shape, range.first, range.n, 6);
    const std::vector<float> expected = plain(p);
    for (const size_t threads : {1, 2}) {
      Device tested = device(threads);
      const Layout chain = chain_layout(p.first, p.n, 64);
      const Layout scattered = scattered_layout(random, p.first, p.n, 16, 5);
      for (const Layout& layout : {chain, scattered}) {
        for (const uint32_t rows_per_item : {1U, 4U, 6U}) {
          ASSERT_TRUE(equal_bits(expected, run(tested, p, layout, whole_plan(layout, p.rows, rows_per_item))))
              << describe(p) << ", whole items of " << rows_per_item;
          for (const uint32_t max_splits : {1U, 3U, 100U}) {
            const Plan plan = split_plan(random, layout, p.rows, rows_per_item, max_splits);
            ASSERT_TRUE(equal_bits(expected, run(tested, p, layout, plan)))
                << describe(p) << ", items of " << rows_per_item << " rows and up to " << max_splits
                << " splits";
          }
          for (int cuts = 0; cuts < 4; ++cuts) {
            const Plan plan = waved_plan(random, layout, p.rows, rows_per_item);
            ASSERT_TRUE(equal_bits(expected, run(tested, p, layout, plan)))
                << describe(p) << ", waves of items of " << rows_per_item << " rows";
          }
        }
      }
    }
  }
}

TEST_P(AttentionOnEveryTier, ARowOfAPrefillHasTheBitsOfItsStep) {
  Random random(4);
  constexpr uint32_t kTokens = 150;
  const AttentionShape shape = {.n_kv_heads = 1, .group = 3, .d_head = 64};
  Problem p = make_problem(random, shape, 0, kTokens, kTokens);
  for (uint32_t r = 0; r < kTokens; ++r) p.rows[r] = {r < 100 ? 0 : r - 100, r + 1};
  Device tested = device();
  const Layout layout = chain_layout(0, kTokens, 16);
  const KvView cache = make_cache(tested, shape, layout, p.keys, p.values);
  const std::vector<float> prefill =
      attend(tested, shape, cache, whole_plan(layout, p.rows, kTokens), p.queries);
  std::vector<float> steps;
  for (uint32_t r = 0; r < kTokens; ++r) {
    const std::span<const float> query =
        std::span<const float>(p.queries).subspan(r * shape.q_width(), shape.q_width());
    // A decode step holds no run beyond its own position.
    const Layout held = chain_layout(0, r + 1, 16);
    const std::vector<float> out = attend(tested, shape, cache, whole_plan(held, {{p.rows[r]}}, 1), query);
    steps.insert(steps.end(), out.begin(), out.end());
  }
  EXPECT_TRUE(equal_bits(steps, prefill));
}

TEST_P(AttentionOnEveryTier, ARowDependsOnNothingButItself) {
  Random random(5);
  const AttentionShape shape = {
      .n_kv_heads = 2, .group = 3, .d_head = 80, .key_type = DType::BF16, .value_type = DType::BF16};
  const Problem p = make_problem(random, shape, 0, 100, 1);
  const Layout layout = scattered_layout(random, 0, 100, 16, 16);
  for (const size_t threads : {1, 2}) {
    Device tested = device(threads);
    const KvView cache = make_cache(tested, shape, layout, p.keys, p.values);
    EXPECT_TRUE(rows_stand_alone(
        [&](const std::vector<float>& queries) {
          const std::vector<Visible> rows(queries.size() / shape.q_width(), Visible{5, 100});
          return attend(tested, shape, cache, whole_plan(layout, rows, random.between(1, 9)), queries);
        },
        shape.q_width(), random));
  }
}

TEST_P(AttentionOnEveryTier, NanQueriesAndKeysGiveNanWhateverTheCut) {
  Random random(6);
  const AttentionShape shape = {.n_kv_heads = 1, .group = 1, .d_head = 16};
  Problem p = make_problem(random, shape, 0, 1200, 4);
  p.rows = {{0, 1200}, {0, 1200}, {0, 600}, {700, 1200}};
  std::fill_n(p.queries.begin(), 16, std::numeric_limits<float>::quiet_NaN());  // row 0: no score is a number
  std::fill_n(p.keys.begin() + 650 * 16, 16, std::numeric_limits<float>::quiet_NaN());
  const std::vector<float> expected = plain(p);
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(std::isnan(expected[i]), i / 16 < 2) << i;
  const Layout layout = chain_layout(0, 1200, 64);
  Device tested = device();
  EXPECT_TRUE(equal_bits(expected, run(tested, p, layout, whole_plan(layout, p.rows, 4))));
  EXPECT_TRUE(equal_bits(expected, run(tested, p, layout, split_plan(random, layout, p.rows, 2, 2))));
}

TEST(AttentionReference, IsWithinRoundingOfFloat64) {
  Random random(7);
  for (const uint32_t d : {16U, 64U, 80U}) {
    for (const DType type : kCacheTypes) {
      const AttentionShape shape = {
          .n_kv_heads = 2, .group = 2, .d_head = d, .key_type = type, .value_type = type};
      const Problem p = make_problem(random, shape, 0, 1300, 3);
      const std::vector<float> found = plain(p);
      const auto stored = [&](float x) {
        return type == DType::F32   ? x
               : type == DType::F16 ? f16_to_f32(f32_to_f16(x))
                                    : bf16_to_f32(f32_to_bf16(x));
      };
      for (size_t r = 0; r < p.rows.size(); ++r) {
        for (size_t head = 0; head < 4; ++head) {
          const float* q = p.queries.data() + r * shape.q_width() + head * d;
          const size_t kv_head = head / 2;
          std::vector<double> out(d);
          double sum = 0;
          for (size_t t = p.rows[r].begin; t < p.rows[r].end; ++t) {
            const size_t at = t * shape.kv_width() + kv_head * d;
            double score = 0;
            for (size_t i = 0; i < d; ++i) score += double{q[i]} * double{stored(p.keys[at + i])};
            const double weight = std::exp(score * double{shape.scale()});
            sum += weight;
            for (size_t i = 0; i < d; ++i) out[i] += weight * double{stored(p.values[at + i])};
          }
          for (size_t i = 0; i < d; ++i)
            ASSERT_NEAR(found[r * shape.q_width() + head * d + i], out[i] / sum, 2e-5);
        }
      }
    }
  }
}

}  // namespace
}  // namespace headrace::ops_testing
