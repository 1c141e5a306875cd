// What Hugging Face's files call things, per family: fields of config.json, tensors of model.safetensors.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace headrace {

/// A fact under its name in a Checkpoint, and where config.json has it.
struct HfField {
  std::string_view key;         // "attention.head_count"
  std::string_view field;       // "num_attention_heads"
  std::string_view value = {};  // what it is without the field, as JSON; "": there is no such fact then
};

/// A part of a layer: "attn_q" is "self_attn.q_proj" in "model.layers.N.".
struct HfPart {
  std::string_view name;
  std::string_view part;
};

struct HfFamily {
  std::string_view model_type;      // config.json's
  std::string_view architecture;    // GGUF's
  std::span<const HfField> fields;  // besides the common ones
  std::span<const HfPart> parts;
  std::string_view activation_field;
  std::string_view activation;  // the one that this family computes
  bool tied_by_default;
  float norm_offset;
};

/// What all families call the same.
std::span<const HfField> common_hf_fields();

/// nullptr if no family has this model_type.
const HfFamily* find_hf_family(std::string_view model_type);

/// "llama, mistral, ...": for messages.
std::string known_hf_families();

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nothing for what has no such name.
std::optional<std::string> hf_tensor_name(const HfFamily& family, std::string_view name);

}  // namespace headrace
