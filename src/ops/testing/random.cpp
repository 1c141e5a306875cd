#include "ops/testing/random.h"

#include <algorithm>
#include <cstring>

#include "tensor/half.h"

namespace headrace::ops_testing {
namespace {

float random_value(Random& random, Values kind) {
  const float x = random.normal();
  switch (kind) {
    case Values::normal:
      return x;
    case Values::spiky:
      return random.below(64) == 0 ? 50.0F * x : 0.05F * x;
    case Values::zeros:
      return random.below(2) == 0 ? 0.0F : -0.0F;
    case Values::huge:
      return x * 1e30F;
    case Values::tiny:
      return x * 1e-29F;  // just above and below the smallest group
    case Values::denormal:
      return x * 1e-40F;
    case Values::mixed:
      break;
  }
  return x;
}

void put_half(Random& random, std::byte* at, float scale) {
  const uint32_t draw = random.below(64);
  uint16_t half = f32_to_f16(random.normal() * scale);
  if (draw == 0) half = 0;
  if (draw == 1) half = static_cast<uint16_t>(random.below(0x400));  // subnormal
  std::memcpy(at, &half, sizeof half);
}

void random_block(Random& random, DType type, std::byte* block) {
  const DTypeInfo& info = info_of(type);
  for (size_t i = 0; i < info.block_bytes; ++i) block[i] = static_cast<std::byte>(random.bits());
  put_half(random, block + (type == DType::Q6_K ? 208 : 0), info.block_elements == 256 ? 1e-3F : 0.02F);
  if (type == DType::Q4_1) put_half(random, block + 2, 0.1F);
  if (type == DType::Q4_K || type == DType::Q5_K) put_half(random, block + 2, 0.01F);
}

void random_float(Random& random, DType type, std::byte* at) {
  float value = 0.1F * random.normal();
  if (random.below(64) == 0) value *= 1e-6F;  // subnormal in F16
  if (type == DType::F32) {
    std::memcpy(at, &value, sizeof value);
    return;
  }
  const uint16_t bits = type == DType::F16 ? f32_to_f16(value) : f32_to_bf16(value);
  std::memcpy(at, &bits, sizeof bits);
}

}  // namespace

// SplitMix64.
uint64_t Random::bits() {
  state_ += 0x9E3779B97F4A7C15U;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

uint32_t Random::below(uint32_t bound) {
  return static_cast<uint32_t>((bits() >> 32) * bound >> 32);
}

float Random::uniform() {
  return static_cast<float>(bits() >> 40) * 0x1p-23F - 1.0F;
}

float Random::normal() {
  return 0.8660254F * ((uniform() + uniform()) + (uniform() + uniform()));
}

std::vector<float> random_floats(Random& random, size_t count, Values kind) {
  std::vector<float> values(count);
  Values now = kind;
  for (size_t i = 0; i < count; ++i) {
    if (kind == Values::mixed && i % 32 == 0) now = static_cast<Values>(random.below(kValueKinds - 1));
    values[i] = random_value(random, now);
  }
  return values;
}

std::vector<std::byte> random_weights(Random& random, DType type, size_t n, size_t k) {
  const DTypeInfo& info = info_of(type);
  const size_t blocks = n * k / info.block_elements;
  std::vector<std::byte> rows(blocks * info.block_bytes);
  for (size_t b = 0; b < blocks; ++b) {
    std::byte* block = rows.data() + b * info.block_bytes;
    if (info.quantised)
      random_block(random, type, block);
    else
      random_float(random, type, block);
  }
  return rows;
}

}  // namespace headrace::ops_testing
