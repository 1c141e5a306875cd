// What tools/check-kernel-symbols must refuse in a kernel tier. Compiled once per LEAK_..., never linked.
#if defined(LEAK_LIBM)
#include <cmath>
float leak(float x) {
  return std::exp(x);
}
#elif defined(LEAK_INLINE)
template <typename T>
[[gnu::noinline]] T twice(T x) {
  return x + x;
}
float leak(float x) {
  return twice(x);
}
#elif defined(LEAK_REGISTERS)
void leak(float* x) {
  for (int i = 0; i < 8; ++i) x[i] *= x[i];
}
#elif defined(LEAK_APPROXIMATION)
#include <xmmintrin.h>
float leak(float x) {
  return _mm_cvtss_f32(_mm_rsqrt_ss(_mm_set_ss(x)));
}
#endif
