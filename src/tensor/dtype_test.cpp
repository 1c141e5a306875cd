#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <limits>

namespace headrace {
namespace {

TEST(DType, BlocksHaveTheSizesOfTheGgufFormat) {
  struct Expected {
    DType type;
    const char* name;
    uint32_t gguf_type, elements, bytes;
  };
  const Expected expected[] = {
      {DType::F32, "F32", 0, 1, 4},         {DType::F16, "F16", 1, 1, 2},
      {DType::BF16, "BF16", 30, 1, 2},      {DType::Q8_0, "Q8_0", 8, 32, 2 + 32},
      {DType::Q4_0, "Q4_0", 2, 32, 2 + 16}, {DType::Q4_1, "Q4_1", 3, 32, 4 + 16},
      {DType::Q5_0, "Q5_0", 6, 32, 2 + 20}, {DType::Q4_K, "Q4_K", 12, 256, 4 + 12 + 128},
      {DType::Q5_K, "Q5_K", 13, 256, 176},  {DType::Q6_K, "Q6_K", 14, 256, 128 + 64 + 16 + 2},
  };
  ASSERT_EQ(std::size(expected), kDTypes);
  for (const Expected& e : expected) {
    EXPECT_EQ(name_of(e.type), e.name);
    EXPECT_EQ(info_of(e.type).gguf_type, e.gguf_type) << e.name;
    EXPECT_EQ(info_of(e.type).block_elements, e.elements) << e.name;
    EXPECT_EQ(info_of(e.type).block_bytes, e.bytes) << e.name;
    EXPECT_EQ(info_of(e.type).quantised, e.elements > 1) << e.name;
    EXPECT_EQ(dtype_from_gguf(e.gguf_type), e.type);
    EXPECT_EQ(dtype_from_name(e.name), e.type);
  }
}

TEST(DType, UnknownNumbersAndNamesAreNoType) {
  for (const uint32_t number : {4u, 5u, 7u, 10u, 15u, 29u, 31u, 41u, 256u, 0xFFFFFFFFu}) {
    EXPECT_EQ(dtype_from_gguf(number), std::nullopt) << number;
  }
  for (const char* name : {"", "Q4", "Q4_", "Q4_KK", " F32", "F3", "Q2_K", "F32\xff"}) {
    EXPECT_EQ(dtype_from_name(name), std::nullopt) << name;
  }
}

TEST(DType, NamesAreReadInAnyLetterCase) {
  EXPECT_EQ(dtype_from_name("q4_k"), DType::Q4_K);
  EXPECT_EQ(dtype_from_name("Q4_k"), DType::Q4_K);
  EXPECT_EQ(dtype_from_name("bf16"), DType::BF16);
}

TEST(DType, BytesCountWholeBlocksOnly) {
  EXPECT_EQ(bytes_of(DType::F32, 3), 12u);
  EXPECT_EQ(bytes_of(DType::Q4_0, 64), 36u);
  EXPECT_EQ(bytes_of(DType::Q6_K, 512), 420u);
  EXPECT_EQ(bytes_of(DType::Q6_K, 0), 0u);
  EXPECT_EQ(bytes_of(DType::Q4_0, 31), std::nullopt);
  EXPECT_EQ(bytes_of(DType::Q4_K, 32), std::nullopt);
}

TEST(DType, BytesThatDoNotFitIn64BitsAreNoAnswer) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(bytes_of(DType::F32, kMax / 4 + 1), std::nullopt);
  EXPECT_EQ(bytes_of(DType::F32, kMax / 4), kMax / 4 * 4);
  EXPECT_EQ(bytes_of(DType::Q8_0, kMax / 32 * 32), std::nullopt);  // 34 bytes for 32 elements
  EXPECT_EQ(bytes_of(DType::Q4_0, kMax / 32 * 32), kMax / 32 * 18);
}

}  // namespace
}  // namespace headrace
