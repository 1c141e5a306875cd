// Our own exp, log, sin, cos and pow. libm's results change with the C library and the processor; these are
// IEEE operations in a fixed order and give the same bits everywhere (docs/numerics.md, "Elementary
// functions"). In double where they run on the host, in float where vector kernels repeat them lane by lane.
#pragma once

namespace headrace {

/// e^x in float: the scalar form of what every kernel tier computes in its lanes. Below -87 the result is +0,
/// above 88 it stays at e^88; NaN gives NaN. Relative error below 2e-7.
float exp_f32(float x);

/// x / (1 + e^-x).
float silu_f32(float x);

/// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), computed as x / (1 + e^-2u).
float gelu_tanh_f32(float x);

/// In double, relative error below 1e-15 over the range that floats use. exp saturates to 0 and infinity.
double exp_f64(double x);
/// Natural logarithm of x > 0 (normal doubles); infinity and NaN give themselves.
double log_f64(double x);
/// base^exponent for base > 0: relative error below 5e-15 while the result stays within 1e-7 .. 1e7.
double pow_f64(double base, double exponent);

struct SinCos {
  double sin;
  double cos;
};
/// Error below 1e-15 for |x| < 2^22, so for contexts of up to 4 million tokens; below 1e-8 up to 2^26.
SinCos sincos_f64(double x);

}  // namespace headrace
