#include "models/transformer.h"

#include <cmath>

namespace headrace {
namespace {

Result<uint32_t> size_key(const GgufFile& file, const std::string& key, uint64_t most) {
  HEADRACE_TRY(const uint64_t value, file.uint(key));
  if (value == 0 || value > most) {
    return make_error(Errc::bad_model, "{}: {}: expected 1 to {}, found {}", file.name(), key, most, value);
  }
  return static_cast<uint32_t>(value);
}

Result<uint32_t> size_key_or(const GgufFile& file, const std::string& key, uint64_t otherwise,
                             uint64_t most) {
  if (file.has(key)) return size_key(file, key, most);
  if (otherwise == 0 || otherwise > most) {
    return make_error(Errc::bad_model, "{}: {} is missing and its default {} is not 1 to {}", file.name(),
                      key, otherwise, most);
  }
  return static_cast<uint32_t>(otherwise);
}

Result<float> positive_key_or(const GgufFile& file, const std::string& key, double otherwise) {
  HEADRACE_TRY(const double value, file.number_or(key, otherwise));
  const auto number = static_cast<float>(value);
  if (!(number > 0) || !std::isfinite(number)) {
    return make_error(Errc::bad_model, "{}: {}: expected a positive number, found {}", file.name(), key,
                      value);
  }
  return number;
}

// The one value of a key that some files give per layer.
Result<uint32_t> uniform_key(const GgufFile& file, const std::string& key, uint32_t otherwise,
                             uint64_t most) {
  const GgufValue* value = file.find(key);
  if (value == nullptr || !value->is_array) return size_key_or(file, key, otherwise, most);
  HEADRACE_TRY(const std::vector<int64_t> values, file.ints(key));
  for (const int64_t v : values) {
    if (v != values.front()) {
      return make_error(Errc::unsupported,
                        "{}: {}: layers with different values ({} and {}) are not supported", file.name(),
                        key, values.front(), v);
    }
  }
  if (values.empty() || values.front() < 1 || static_cast<uint64_t>(values.front()) > most) {
    return make_error(Errc::bad_model, "{}: {}: expected values of 1 to {}", file.name(), key, most);
  }
  return static_cast<uint32_t>(values.front());
}

Result<RopeSpec> read_rope(const GgufFile& file, const std::string& prefix, uint32_t d_head) {
  RopeSpec rope;
  HEADRACE_TRY(rope.d_rotary, size_key_or(file, prefix + "rope.dimension_count", d_head, d_head));
  if (rope.d_rotary % 2 != 0) {
    return make_error(Errc::bad_model, "{}: {}rope.dimension_count: expected an even number, found {}",
                      file.name(), prefix, rope.d_rotary);
  }
  HEADRACE_TRY(rope.base, positive_key_or(file, prefix + "rope.freq_base", 10000.0));
  HEADRACE_TRY(const std::string_view scaling, file.string_or(prefix + "rope.scaling.type", "none"));
  if (scaling == "linear") {
    HEADRACE_TRY(rope.linear_factor, positive_key_or(file, prefix + "rope.scaling.factor", 1.0));
  } else if (scaling != "none") {
    return make_error(Errc::unsupported,
                      "{}: {}rope.scaling.type: '{}' is not supported (none and linear are)", file.name(),
                      prefix, printable(scaling));
  }
  return rope;
}

}  // namespace

Result<TransformerConfig> read_transformer_config(const GgufFile& file, const std::string& architecture) {
  const std::string prefix = architecture + ".";
  TransformerConfig config;
  HEADRACE_TRY(config.n_layers, size_key(file, prefix + "block_count", kMaxLayers));
  HEADRACE_TRY(config.d_model, size_key(file, prefix + "embedding_length", kMaxWidth));
  HEADRACE_TRY(config.d_ff, uniform_key(file, prefix + "feed_forward_length", 0, kMaxWidth));
  HEADRACE_TRY(config.n_heads, uniform_key(file, prefix + "attention.head_count", 0, kMaxWidth));
  HEADRACE_TRY(config.n_kv_heads,
               uniform_key(file, prefix + "attention.head_count_kv", config.n_heads, config.n_heads));
  HEADRACE_TRY(config.context_length, size_key(file, prefix + "context_length", kMaxContext));
  HEADRACE_TRY(config.d_head, size_key_or(file, prefix + "attention.key_length",
                                          config.d_model / config.n_heads, kMaxHeadDim));
  HEADRACE_TRY(const uint32_t d_value,
               size_key_or(file, prefix + "attention.value_length", config.d_head, kMaxHeadDim));
  HEADRACE_TRY(config.norm_eps, positive_key_or(file, prefix + "attention.layer_norm_rms_epsilon", 0));
  HEADRACE_TRY(config.rope, read_rope(file, prefix, config.d_head));

  const GgufTensor* embeddings = file.find_tensor("token_embd.weight");
  if (embeddings == nullptr)
    return make_error(Errc::bad_model, "{}: tensor token_embd.weight is missing", file.name());
  if (embeddings->rows() > kMaxVocab) {
    return make_error(Errc::bad_model, "{}: tensor token_embd.weight: expected at most {} rows, found {}",
                      file.name(), kMaxVocab, embeddings->rows());
  }
  config.vocab_size = static_cast<uint32_t>(embeddings->rows());

  if (config.n_heads % config.n_kv_heads != 0) {
    return make_error(Errc::bad_model, "{}: {}attention.head_count {} is no multiple of head_count_kv {}",
                      file.name(), prefix, config.n_heads, config.n_kv_heads);
  }
  if (d_value != config.d_head) {
    return make_error(Errc::unsupported, "{}: {}attention.value_length {} differs from key_length {}",
                      file.name(), prefix, d_value, config.d_head);
  }
  if (uint64_t{config.n_heads} * config.d_head > kMaxWidth) {
    return make_error(Errc::bad_model, "{}: {} heads of {} are beyond the limit of {}", file.name(),
                      config.n_heads, config.d_head, kMaxWidth);
  }
  return config;
}

Status refuse_above(const GgufFile& file, const std::string& key, double most, std::string_view feature) {
  HEADRACE_TRY(const double value, file.number_or(key, 0));
  if (value <= most) return {};
  return make_error(Errc::unsupported, "{}: {} = {}: {} is not supported", file.name(), key, value, feature);
}

Result<std::vector<float>> checked_frequencies(const GgufFile& file, const RopeSpec& spec) {
  constexpr float kFastest = 4.0F;  // radians a position; 1 is what every known model begins with
  std::vector<float> frequencies = rope_frequencies(spec);
  for (const float f : frequencies) {
    if (f > 0 && f <= kFastest) continue;
    return make_error(Errc::bad_model,
                      "{}: rope.freq_base {} with its scaling gives a frequency of {}, expected 0 to {}",
                      file.name(), spec.base, f, kFastest);
  }
  return frequencies;
}

ModelInfo model_info(const GgufFile& file, const std::string& architecture, const TransformerConfig& config) {
  ModelInfo info;
  info.architecture = architecture;
  if (const auto name = file.string_or("general.name", ""); name) info.name = printable(*name);
  info.n_layers = config.n_layers;
  info.d_model = config.d_model;
  info.d_ff = config.d_ff;
  info.n_heads = config.n_heads;
  info.n_kv_heads = config.n_kv_heads;
  info.d_head = config.d_head;
  info.vocab_size = config.vocab_size;
  info.context_length = config.context_length;
  info.tied_output = file.find_tensor("output.weight") == nullptr;
  for (const GgufTensor& tensor : file.tensors()) {
    info.parameters += tensor.rows() * tensor.row_elements();
    info.weight_bytes += tensor.data.size();
  }
  return info;
}

}  // namespace headrace
