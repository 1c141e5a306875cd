// What the families of decoder-only transformers share: the sizes in a model file, and checks on them.
#pragma once

#include "core/result.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "ops/rope.h"

namespace headrace {

struct TransformerConfig {
  uint32_t n_layers = 0;
  uint32_t d_model = 0;
  uint32_t d_ff = 0;
  uint32_t n_heads = 0;
  uint32_t n_kv_heads = 0;
  uint32_t d_head = 0;
  uint32_t vocab_size = 0;
  uint32_t context_length = 0;
  float norm_eps = 0;
  RopeSpec rope;
  float rope_length = 1;  // that YaRN multiplies queries and keys by

  /// What scores are multiplied by: both lengths are in it, so that cached keys keep theirs.
  float attention_scale(double divisor) const;
  uint32_t q_width() const { return n_heads * d_head; }
  uint32_t kv_width() const { return n_kv_heads * d_head; }
};

/// Limits on what a file may claim, far above any model that runs on one machine.
inline constexpr uint64_t kMaxLayers = 1024;
inline constexpr uint64_t kMaxWidth = 1 << 18;  // d_model, d_ff, heads * d_head
inline constexpr uint64_t kMaxHeadDim = 512;
inline constexpr uint64_t kMaxVocab = 1 << 22;

/// Reads and checks the facts that the families have in common. RoPE style is the caller's.
Result<TransformerConfig> read_transformer_config(const Checkpoint& checkpoint);

/// A positive finite number (as a float, too); `otherwise` for a missing key.
Result<double> positive(const Checkpoint& checkpoint, std::string_view key, double otherwise);

/// Refuses a checkpoint whose `key`, if it has one, is above `most`: it asks for what this architecture can't
/// do.
Status refuse_above(const Checkpoint& checkpoint, std::string_view key, double most,
                    std::string_view feature);

/// The frequencies of `spec` if every position times each of them is an angle, or bad_model naming the keys.
Result<std::vector<float>> checked_frequencies(const Checkpoint& checkpoint, const RopeSpec& spec);

/// The facts of `config` for info(); tensors give parameters.
ModelInfo model_info(const Checkpoint& checkpoint, const TransformerConfig& config);

}  // namespace headrace
