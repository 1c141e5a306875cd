// The last header of a tier: its table.
#pragma once

namespace headrace::cpu::HEADRACE_TIER {

static constexpr KernelTable kTable = {
    .tier = kTier,
    .row_block_bytes = kRowBlockBytes,
    .tile_rows = kTileRows,
    .keeps_segments = kKeepsSegments,
    .quantise_row = quantise_row,
    .linear_quantised = kLinearQuantised,
    .linear_float = linear_float,
    .decode_panel = decode_panel,
    .rms_norm_row = rms_norm_row,
    .silu_row = silu_row,
    .gelu_tanh_row = gelu_tanh_row,
    .add_row = add_row,
    .rope_halves = rope_halves,
    .rope_interleaved = rope_interleaved,
    .store_floats = store_floats,
    .attend = attend,
    .reduce = reduce,
    .max_row = max_row,
    .sum_exp_row = sum_exp_row,
    .top_k_row = top_k_row,
    .peak_int8 = peak_int8,
    .peak_int8_ops = kPeakInt8Ops,
    .peak_f32 = peak_f32,
    .peak_f32_ops = kPeakF32Ops,
    .read_floats = read_floats,
};

}  // namespace headrace::cpu::HEADRACE_TIER
