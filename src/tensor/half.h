// 16-bit floats in software: the same bits as the processor's conversions, on every machine.
#pragma once

#include <cstdint>

namespace headrace {

/// IEEE half to float; exact, NaNs become quiet.
float f16_to_f32(uint16_t half);
/// Float to IEEE half, to nearest even; overflow becomes infinity, NaNs become quiet.
uint16_t f32_to_f16(float value);
/// BF16 to float; exact.
float bf16_to_f32(uint16_t bits);
/// Float to BF16, to nearest even, subnormals kept, NaNs become quiet.
uint16_t f32_to_bf16(float value);

}  // namespace headrace
