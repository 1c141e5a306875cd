#include "models/hf_names.h"

#include <fmt/format.h>

namespace headrace {
namespace {

// Values for missing fields are transformers' own.
constexpr HfField kCommonFields[] = {
    {"block_count", "num_hidden_layers"},
    {"embedding_length", "hidden_size"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", "1e-6"},
    {"attention.layer_types", "layer_types"},
    {"vocab_size", "vocab_size"},
};

constexpr HfField kLlamaFields[] = {
    {"attention.key_length", "head_dim"},      {"context_length", "max_position_embeddings", "2048"},
    {"rope.freq_base", "rope_theta", "10000"}, {"attention.bias", "attention_bias", "false"},
    {"ffn.bias", "mlp_bias", "false"},         {"attention.sliding_window", "sliding_window"},
};

constexpr HfField kQwen2Fields[] = {
    {"attention.key_length", "head_dim"},
    {"context_length", "max_position_embeddings", "32768"},
    {"rope.freq_base", "rope_theta", "10000"},
    {"attention.use_sliding_window", "use_sliding_window", "false"},
};

constexpr HfField kGemma3Fields[] = {
    {"attention.key_length", "head_dim", "256"},
    {"context_length", "max_position_embeddings", "131072"},
    {"rope.freq_base", "rope_theta", "1000000"},
    {"rope.freq_base_swa", "rope_local_base_freq", "10000"},
    {"attention.sliding_window", "sliding_window", "4096"},
    {"attention.sliding_window_pattern", "sliding_window_pattern"},
    {"attention.query_pre_attn_scalar", "query_pre_attn_scalar", "256"},
    {"attention.bias", "attention_bias", "false"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"attention.bidirectional", "use_bidirectional_attention", "false"},
};

constexpr HfPart kLlamaParts[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

constexpr HfPart kGemma3Parts[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_output", "self_attn.o_proj"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"ffn_norm", "pre_feedforward_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
};

constexpr HfFamily kFamilies[] = {
    {"llama", "llama", kLlamaFields, kLlamaParts, "hidden_act", "silu", false, 0},
    {"mistral", "llama", kLlamaFields, kLlamaParts, "hidden_act", "silu", false, 0},
    {"qwen2", "qwen2", kQwen2Fields, kLlamaParts, "hidden_act", "silu", false, 0},
    {"gemma3_text", "gemma3", kGemma3Fields, kGemma3Parts, "hidden_activation", "gelu_pytorch_tanh", true, 1},
};

}  // namespace

std::span<const HfField> common_hf_fields() {
  return kCommonFields;
}

const HfFamily* find_hf_family(std::string_view model_type) {
  for (const HfFamily& family : kFamilies) {
    if (family.model_type == model_type) return &family;
  }
  return nullptr;
}

std::string known_hf_families() {
  std::string known;
  for (const HfFamily& family : kFamilies)
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.model_type);
  return known;
}

std::optional<std::string> hf_tensor_name(const HfFamily& family, std::string_view name) {
  if (name == "token_embd.weight") return "model.embed_tokens.weight";
  if (name == "output_norm.weight") return "model.norm.weight";
  if (name == "output.weight") return "lm_head.weight";
  // blk.<layer>.<part>.<weight or bias>
  constexpr std::string_view kLayer = "blk.";
  if (!name.starts_with(kLayer)) return std::nullopt;
  const std::string_view rest = name.substr(kLayer.size());
  const size_t part_begin = rest.find('.') + 1;
  const size_t part_end = rest.rfind('.');
  if (part_begin == 0 || part_end < part_begin) return std::nullopt;
  const std::string_view wanted = rest.substr(part_begin, part_end - part_begin);
  for (const HfPart& part : family.parts) {
    if (part.name != wanted) continue;
    return fmt::format("model.layers.{}{}{}", rest.substr(0, part_begin), part.part, rest.substr(part_end));
  }
  return std::nullopt;
}

}  // namespace headrace
