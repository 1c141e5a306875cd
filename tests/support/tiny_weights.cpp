#include "tiny_weights.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "core/result.h"
#include "tensor/half.h"

namespace headrace::testing {
namespace {

// What a block of random bits decodes to when its scale is 1, and where the scales lie in it.
struct RandomBlock {
  size_t scale_at;
  std::optional<size_t> minimum_at;
  double minimum_per_scale;  // the minimum that brings the mean to 0
  double deviation;
};

RandomBlock random_block_of(DType type) {
  switch (type) {
    case DType::Q8_0:
      return {0, std::nullopt, 0, 73.9};
    case DType::Q4_0:
      return {0, std::nullopt, 0, 4.6};
    case DType::Q4_1:
      return {0, 2, -7.5, 4.6};
    case DType::Q5_0:
      return {0, std::nullopt, 0, 9.2};
    case DType::Q4_K:
      return {0, 2, 7.5, 258};
    case DType::Q5_K:
      return {0, 2, 15.5, 526};
    case DType::Q6_K:
      return {208, std::nullopt, 0, 1367};
    default:
      break;
  }
  panic("not a quantised type", __FILE__, __LINE__);
}

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_float(std::string& out, DType type, float value) {
  if (type == DType::F32) return append(out, value);
  append(out, type == DType::F16 ? f32_to_f16(value) : f32_to_bf16(value));
}

void put_half(std::string& block, size_t at, double value) {
  const uint16_t half = f32_to_f16(static_cast<float>(value));
  std::memcpy(block.data() + at, &half, sizeof half);
}

}  // namespace

// SplitMix64.
uint64_t TinyRandom::bits() {
  state_ += 0x9E3779B97F4A7C15U;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

double TinyRandom::uniform() {
  return static_cast<double>(bits() >> 11) * 0x1p-52 - 1.0;
}

std::string random_tensor(TinyRandom& random, DType type, size_t rows, size_t k, double deviation) {
  const DTypeInfo& info = info_of(type);
  HEADRACE_CHECK(k % info.block_elements == 0);
  std::string out;
  if (!info.quantised) {
    const double most = deviation * std::sqrt(3.0);  // of a uniform distribution
    for (size_t i = 0; i < rows * k; ++i)
      append_float(out, type, static_cast<float>(random.uniform() * most));
    return out;
  }
  const RandomBlock layout = random_block_of(type);
  std::string block(info.block_bytes, '\0');
  for (size_t b = 0; b < rows * k / info.block_elements; ++b) {
    for (char& byte : block) byte = static_cast<char>(random.bits() & 0xFF);
    const double scale = deviation / layout.deviation;
    put_half(block, layout.scale_at, scale);
    if (layout.minimum_at) put_half(block, *layout.minimum_at, layout.minimum_per_scale * scale);
    out += block;
  }
  return out;
}

}  // namespace headrace::testing
