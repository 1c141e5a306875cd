// ops/elementary.h's float functions in lanes: the same operations in the same order.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

static inline V16 exp(V16 x) {
  const V16 clamped = min(set1(88.0F), x);
  const V16 shifted = fma(clamped, set1(0x1.715476p+0F), set1(0x1.8p23F));
  const V16 n = sub(shifted, set1(0x1.8p23F));
  V16 r = fma(n, set1(-0x1.63p-1F), clamped);
  r = fma(n, set1(0x1.bd0106p-13F), r);
  V16 p = set1(0x1.a0d2cep-13F);
  p = fma(p, r, set1(0x1.6e879cp-10F));
  p = fma(p, r, set1(0x1.11121p-7F));
  p = fma(p, r, set1(0x1.555382p-5F));
  p = fma(p, r, set1(0x1.555554p-3F));
  p = fma(p, r, set1(0.5F));
  p = add(fma(p, mul(r, r), r), set1(1.0F));
  return zero_where_less(x, set1(-87.0F), mul(p, power_of_two(shifted)));
}

static inline float exp_one(float x) {
  float lanes_of_x[16];
  store(lanes_of_x, exp(set1(x)));
  return lanes_of_x[0];
}

static inline V16 negate(V16 x) {
  return sub(set1(-0.0F), x);
}

static inline V16 silu(V16 x) {
  return div(x, add(set1(1.0F), exp(negate(x))));
}

static inline V16 gelu_tanh(V16 x) {
  const V16 cubic = mul(mul(x, x), x);
  const V16 u2 = mul(set1(1.59576912160573F), fma(cubic, set1(0.044715F), x));
  return div(x, add(set1(1.0F), exp(negate(u2))));
}

}  // namespace headrace::cpu::HEADRACE_TIER
