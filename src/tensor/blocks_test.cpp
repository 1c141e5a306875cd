#include "tensor/blocks.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tensor/half.h"

namespace headrace {
namespace {

constexpr DType kQuantised[] = {DType::Q8_0, DType::Q4_0, DType::Q4_1, DType::Q5_0,
                                DType::Q4_K, DType::Q5_K, DType::Q6_K};

// Blocks of random bytes and the values that another implementation (gguf-py 0.19's dequantize) reads from
// them.
struct Probe {
  size_t index;
  float value;
};
struct Golden {
  DType type;
  const char* hex;
  Probe probes[4];
  uint64_t hash;  // FNV-1a of all values' bytes
};
const Golden kGoldens[] = {
    {DType::Q8_0,
     "c028b8abeeab14cef599cc052535d5cec0ad06783f60ec83760457a17c472a49ed10",
     {{0, -0x1.56p+1f}, {15, -0x1.8a4p+1f}, {16, 0x1.c8p-3f}, {31, 0x1.3p-1f}},
     0xa6c6ccf6f16b3ced},
    {DType::Q4_0,
     "c028ce0d8f02264785762462c423399232b3",
     {{0, 0x1.c8p-3f}, {15, -0x1.7cp-3f}, {16, 0x1.3p-3f}, {31, 0x1.c8p-4f}},
     0x9918b101a971cbfb},
    {DType::Q4_1,
     "c028cdb4b527970bb48a4200a5627b0c90b81826",
     {{0, -0x1.d5p-4f}, {15, -0x1.3dp-4f}, {16, 0x1.bbp-4f}, {31, -0x1.ce8p-3f}},
     0xe22ed5ae31af2b2d},
    {DType::Q5_0,
     "c028caff5536e4307fa901a76df710c04edc083cbdb5",
     {{0, -0x1.c8p-2f}, {15, 0x1.7cp-3f}, {16, 0x1.0ap-1f}, {31, -0x1.7cp-3f}},
     0x844af28c4ad695fa},
    {DType::Q4_K,
     "c0289b25bf8a6343304464f943287f2d2133cee5d95535cc78861fd80e7fa01dd0a174645397c6a0adc1367e"
     "7e3976aa6b833bad348bb5a93fc4900f8a8987f50f8c3b8efc8c4ce733da7d4597758c5cbdd130e147d9d82f"
     "7c5b70102d58b85f48d7dead24924b1fbe1ebedebe4b4f57ff8b313a8509618b87183ce5346b49e2c23348df"
     "4abd744e5c8bbd04b85d34c7",
     {{0, 0x1.497p+0f}, {33, 0x1.0694p+0f}, {127, -0x1.6206p-1f}, {255, 0x1.7a374p+3f}},
     0x78d2651f2ddfd6e7},
    {DType::Q5_K,
     "c0289b25cdc25ec5599f4e006d2fb109fa75dc800fadcc557469c96f94eb69eebb60083412b52987ef702f53"
     "e2eb824bc02064cee95b3927060103514ace681e82642726b083f0478aaed1b2bc0e5d9443c9d372a980672b"
     "694c87ccd6d3becc79ce4a3c08d2480f3868dd51f295602595e7c4cc0d400185b137cf812336624a8c72a281"
     "d467abf7e837773cbee99fc450a6b8030b815550f3c2e7ee6c1a0bdfd5adf8158373d1d7731f4dd81c1e0a74",
     {{0, -0x1.1846p-1f}, {33, -0x1.0f8ap-1f}, {127, 0x1.ab8p+1f}, {255, 0x1.d9dp+3f}},
     0xca18cb8fc58f1b5b},
    {DType::Q6_K,
     "9e6e2d5ea649fafaf93d76f3973b5eade3bb40669983d035beaabaeffc58cf44af7c608e0f94b5ac4582793d"
     "ec4eae5081cfcdbd8d848932eacda4aca344d0f1a21228af4cb86ca57931bd761cefc7f748b0cd380b91185b"
     "32a714a4869a9ea79b376a1b18d58a299f7a35b1d71638d795b5a8a29ff5f9eef71f636085ae6854a7066ccc"
     "12d1840a52a7ab3153bd6131891df563103e2a28296545ccddb8b7d879d56661526f8207401198b63352951b"
     "81f7cd9ce4f1cb2b9e70e5f05b5573ad7b86defd8dafef9dd6d842b9c304406004a3",
     {{0, -0x1.947eap+5f}, {33, -0x1.dd1p+0f}, {127, 0x1.506bdp+5f}, {255, -0x1.a4fp+2f}},
     0xcfff5fe770266c9c},
};

std::vector<std::byte> from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::vector<std::byte> out;
  for (size_t i = 0; i < hex.size(); i += 2)
    out.push_back(static_cast<std::byte>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  return out;
}

uint64_t fnv1a(const std::vector<float>& values) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (bits >> shift & 255)) * 0x100000001b3;
  }
  return hash;
}

// Reads a block field by field from the format's description, one element at a time, in double: slow and
// plain.
class Plain {
 public:
  Plain(DType type, const std::byte* block) : type_(type), p_(block) {}

  float value(unsigned i) const {
    switch (type_) {
      case DType::Q8_0:
        return rounded(half(0) * i8(2 + i));
      case DType::Q4_0:
        return rounded(half(0) * (nibble(2, i) - 8));
      case DType::Q4_1:
        return rounded(half(0) * nibble(4, i) + half(2));
      case DType::Q5_0:
        return rounded(half(0) * (nibble(6, i) + 16 * bit(2, i) - 16));
      case DType::Q4_K:
        return rounded(half(0) * scale(i) * wide_nibble(16, i) - half(2) * minimum(i));
      case DType::Q5_K: {
        const int high = u8(16 + i % 32) >> (i / 32) & 1;
        return rounded(half(0) * scale(i) * (wide_nibble(48, i) + 16 * high) - half(2) * minimum(i));
      }
      case DType::Q6_K:
        return rounded(half(208) * i8(192 + i / 16) * (six_bits(i) - 32));
      default:
        return NAN;
    }
  }

 private:
  static float rounded(double exact) { return static_cast<float>(exact); }
  int u8(unsigned at) const { return std::to_integer<int>(p_[at]); }
  int i8(unsigned at) const { return u8(at) < 128 ? u8(at) : u8(at) - 256; }
  int bit(unsigned at, unsigned i) const { return u8(at + i / 8) >> (i % 8) & 1; }
  double half(unsigned at) const { return f16_to_f32(static_cast<uint16_t>(u8(at) | u8(at + 1) << 8)); }
  // Byte j of 16 holds elements j and j + 16.
  int nibble(unsigned at, unsigned i) const { return i < 16 ? u8(at + i) % 16 : u8(at + i - 16) / 16; }
  // Of each 64 elements, byte j of 32 holds elements j and j + 32.
  int wide_nibble(unsigned at, unsigned i) const {
    const int byte = u8(at + i / 64 * 32 + i % 32);
    return i % 64 < 32 ? byte % 16 : byte / 16;
  }
  // Groups 0 to 3 have six bits in bytes 0..3 (scales) and 4..7 (minimums); the upper two bits of those bytes
  // belong to groups 4 to 7, whose lower four are in bytes 8..11.
  int scale(unsigned i) const {
    const unsigned g = i / 32;
    return g < 4 ? u8(4 + g) % 64 : u8(4 + 8 + g - 4) % 16 + 16 * (u8(4 + g - 4) / 64);
  }
  int minimum(unsigned i) const {
    const unsigned g = i / 32;
    return g < 4 ? u8(4 + 4 + g) % 64 : u8(4 + 8 + g - 4) / 16 + 16 * (u8(4 + 4 + g - 4) / 64);
  }
  // Each half of 128 elements is four runs of 32. Low nibbles: runs 0 and 2 share 32 bytes, runs 1 and 3 the
  // next 32. Upper two bits: byte j has those of element j of each run.
  int six_bits(unsigned i) const {
    const unsigned h = i / 128, run = i / 32 % 4, j = i % 32;
    const int low_byte = u8(64 * h + 32 * (run & 1) + j);
    const int low = run < 2 ? low_byte % 16 : low_byte / 16;
    const int high = u8(128 + 32 * h + j) >> (2 * run) & 3;
    return low + 16 * high;
  }

  DType type_;
  const std::byte* p_;
};

std::vector<std::byte> random_row(DType type, size_t blocks, std::mt19937& random) {
  std::vector<std::byte> row(blocks * info_of(type).block_bytes);
  for (std::byte& byte : row) byte = static_cast<std::byte>(random());
  // Any bits but infinities and NaNs as scales, which no equality could compare.
  for (size_t b = 0; b < blocks; ++b) {
    std::byte* block = row.data() + b * info_of(type).block_bytes;
    for (const size_t at : {size_t{1}, size_t{3}, size_t{209}}) {
      if (at < info_of(type).block_bytes && (block[at] & std::byte{0x7C}) == std::byte{0x7C})
        block[at] &= std::byte{0xBF};
    }
  }
  return row;
}

TEST(Blocks, GoldenBlocksHaveTheValuesThatAnotherReaderFinds) {
  for (const Golden& golden : kGoldens) {
    const std::vector<std::byte> block = from_hex(golden.hex);
    const DTypeInfo& info = info_of(golden.type);
    ASSERT_EQ(block.size(), info.block_bytes) << info.name;
    std::vector<float> values(info.block_elements);
    dequantise_row(golden.type, block.data(), values.size(), values.data());
    for (const Probe& probe : golden.probes)
      EXPECT_EQ(values[probe.index], probe.value) << info.name << ' ' << probe.index;
    EXPECT_EQ(fnv1a(values), golden.hash) << info.name;
  }
}

TEST(Blocks, ARowOfRandomBlocksEqualsThePlainReadingOfItsFields) {
  std::mt19937 random(3);
  for (const DType type : kQuantised) {
    const DTypeInfo& info = info_of(type);
    constexpr size_t kBlocks = 200;
    const std::vector<std::byte> row = random_row(type, kBlocks, random);
    std::vector<float> values(kBlocks * info.block_elements);
    dequantise_row(type, row.data(), values.size(), values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      const Plain plain(type, row.data() + i / info.block_elements * info.block_bytes);
      ASSERT_EQ(values[i], plain.value(static_cast<unsigned>(i % info.block_elements)))
          << info.name << ' ' << i;
    }
  }
}

TEST(Blocks, ThePartsOfABlockGiveItsValues) {
  std::mt19937 random(4);
  for (const DType type : kQuantised) {
    const DTypeInfo& info = info_of(type);
    for (int round = 0; round < 50; ++round) {
      const std::vector<std::byte> block = random_row(type, 1, random);
      BlockParts parts;
      split_block(type, block.data(), parts);
      ASSERT_EQ(parts.elements, info.block_elements);
      ASSERT_EQ(parts.group, type == DType::Q6_K ? 16u : 32u);
      for (unsigned i = 0; i < parts.elements; ++i) {
        const unsigned g = i / parts.group;
        const double exact =
            double{parts.d} * parts.scales[g] * parts.quants[i] - double{parts.dmin} * parts.minimums[g];
        ASSERT_EQ(static_cast<float>(exact), Plain(type, block.data()).value(i)) << info.name << ' ' << i;
      }
    }
  }
}

TEST(Blocks, QuantsStayInTheRangeOfTheirFormat) {
  struct Range {
    DType type;
    int low, high;
  };
  const Range ranges[] = {{DType::Q8_0, -128, 127}, {DType::Q4_0, -8, 7}, {DType::Q4_1, 0, 15},
                          {DType::Q5_0, -16, 15},   {DType::Q4_K, 0, 15}, {DType::Q5_K, 0, 31},
                          {DType::Q6_K, -32, 31}};
  std::mt19937 random(5);
  for (const Range& range : ranges) {
    int low = 127, high = -128;
    for (int round = 0; round < 200; ++round) {
      const std::vector<std::byte> block = random_row(range.type, 1, random);
      BlockParts parts;
      split_block(range.type, block.data(), parts);
      for (unsigned i = 0; i < parts.elements; ++i) {
        low = std::min(low, int{parts.quants[i]});
        high = std::max(high, int{parts.quants[i]});
      }
    }
    EXPECT_EQ(low, range.low) << name_of(range.type);
    EXPECT_EQ(high, range.high) << name_of(range.type);
  }
}

TEST(Blocks, FloatRowsAreReadAsTheyAreStored) {
  const std::vector<float> values = {0.0f, -0.0f, 1.5f, -3.25f, INFINITY};
  std::vector<float> out(values.size());
  dequantise_row(DType::F32, reinterpret_cast<const std::byte*>(values.data()), values.size(), out.data());
  EXPECT_EQ(std::memcmp(out.data(), values.data(), values.size() * sizeof(float)), 0);
  std::vector<uint16_t> halves, bf16s;
  for (const float value : values) {
    halves.push_back(f32_to_f16(value));
    bf16s.push_back(f32_to_bf16(value));
  }
  dequantise_row(DType::F16, reinterpret_cast<const std::byte*>(halves.data()), values.size(), out.data());
  EXPECT_EQ(std::memcmp(out.data(), values.data(), values.size() * sizeof(float)), 0);
  dequantise_row(DType::BF16, reinterpret_cast<const std::byte*>(bf16s.data()), values.size(), out.data());
  EXPECT_EQ(std::memcmp(out.data(), values.data(), values.size() * sizeof(float)), 0);
}

TEST(Blocks, ARowNeedsNoAlignment) {
  std::mt19937 random(6);
  for (const DType type : kQuantised) {
    const std::vector<std::byte> row = random_row(type, 2, random);
    std::vector<std::byte> shifted(row.size() + 1);
    std::memcpy(shifted.data() + 1, row.data(), row.size());
    std::vector<float> expected(info_of(type).block_elements * 2ull), values(expected.size());
    dequantise_row(type, row.data(), expected.size(), expected.data());
    dequantise_row(type, shifted.data() + 1, values.size(), values.data());
    EXPECT_EQ(values, expected) << name_of(type);
  }
}

TEST(BlocksDeathTest, SplittingAFloatTypeIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::byte bytes[4] = {};
  BlockParts parts;
  EXPECT_DEATH(split_block(DType::F32, bytes, parts), "float type");
}

}  // namespace
}  // namespace headrace
