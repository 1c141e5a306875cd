#include "models/transformer.h"

#include <cmath>

#include "core/file.h"
#include "models/rope_scaling.h"

namespace headrace {
namespace {

Result<uint32_t> size_key(const Checkpoint& checkpoint, std::string_view key, uint64_t most) {
  HEADRACE_TRY(const uint64_t value, checkpoint.uint(key));
  if (value == 0 || value > most) {
    return make_error(Errc::bad_model, "{}: {}: expected 1 to {}, found {}", checkpoint.name(),
                      checkpoint.label(key), most, value);
  }
  return static_cast<uint32_t>(value);
}

Result<uint32_t> size_key_or(const Checkpoint& checkpoint, std::string_view key, uint64_t otherwise,
                             uint64_t most) {
  if (checkpoint.has(key)) return size_key(checkpoint, key, most);
  if (otherwise == 0 || otherwise > most) {
    return make_error(Errc::bad_model, "{}: {} is missing and its default {} is not 1 to {}",
                      checkpoint.name(), checkpoint.label(key), otherwise, most);
  }
  return static_cast<uint32_t>(otherwise);
}

// The one value of a key that some files give per layer.
Result<uint32_t> uniform_key(const Checkpoint& checkpoint, std::string_view key, uint32_t otherwise,
                             uint64_t most) {
  if (!checkpoint.is_array(key)) return size_key_or(checkpoint, key, otherwise, most);
  HEADRACE_TRY(const std::vector<int64_t> values, checkpoint.ints(key));
  for (const int64_t v : values) {
    if (v != values.front()) {
      return make_error(Errc::unsupported,
                        "{}: {}: layers with different values ({} and {}) are not supported",
                        checkpoint.name(), checkpoint.label(key), values.front(), v);
    }
  }
  if (values.empty() || values.front() < 1 || static_cast<uint64_t>(values.front()) > most) {
    return make_error(Errc::bad_model, "{}: {}: expected values of 1 to {}", checkpoint.name(),
                      checkpoint.label(key), most);
  }
  return static_cast<uint32_t>(values.front());
}

Status read_rope(const Checkpoint& checkpoint, TransformerConfig& config) {
  constexpr std::string_view kWidth = "rope.dimension_count";
  RopeSpec& rope = config.rope;
  HEADRACE_TRY(rope.d_rotary, size_key_or(checkpoint, kWidth, config.d_head, config.d_head));
  if (rope.d_rotary % 2 != 0) {
    return make_error(Errc::bad_model, "{}: {}: expected an even number, found {}", checkpoint.name(),
                      checkpoint.label(kWidth), rope.d_rotary);
  }
  HEADRACE_TRY(config.rope_length, read_rope_scaling(checkpoint, config.context_length, rope));
  if (config.rope_length != 1 && rope.d_rotary != config.d_head) {
    return make_error(Errc::unsupported, "{}: {}: {} of a head's {} dimensions with YaRN are not supported",
                      checkpoint.name(), checkpoint.label(kWidth), rope.d_rotary, config.d_head);
  }
  return {};
}

Status check_vocabulary(const Checkpoint& checkpoint, TransformerConfig& config) {
  constexpr std::string_view kTable = "token_embd.weight";
  const FileTensor* embeddings = checkpoint.find_tensor(kTable);
  if (embeddings == nullptr) {
    return make_error(Errc::bad_model, "{}: tensor {} is missing", checkpoint.name(),
                      checkpoint.tensor_label(kTable));
  }
  if (embeddings->rows() > kMaxVocab) {
    return make_error(Errc::bad_model, "{}: tensor {}: expected at most {} rows, found {}", checkpoint.name(),
                      checkpoint.tensor_label(kTable), kMaxVocab, embeddings->rows());
  }
  HEADRACE_TRY(const uint64_t stated, checkpoint.uint_or("vocab_size", embeddings->rows()));
  if (stated != embeddings->rows()) {
    return make_error(Errc::bad_model, "{}: {} is {}, tensor {} has {} rows", checkpoint.name(),
                      checkpoint.label("vocab_size"), stated, checkpoint.tensor_label(kTable),
                      embeddings->rows());
  }
  config.vocab_size = static_cast<uint32_t>(embeddings->rows());
  return {};
}

}  // namespace

float TransformerConfig::attention_scale(double divisor) const {
  return static_cast<float>(static_cast<double>(rope_length) * static_cast<double>(rope_length) /
                            std::sqrt(divisor));
}

Result<double> positive(const Checkpoint& checkpoint, std::string_view key, double otherwise) {
  HEADRACE_TRY(const double value, checkpoint.number_or(key, otherwise));
  const auto number = static_cast<float>(value);
  if (!(number > 0) || !std::isfinite(number)) {
    return make_error(Errc::bad_model, "{}: {}: expected a positive number, found {}", checkpoint.name(),
                      checkpoint.label(key), value);
  }
  return value;
}

Result<TransformerConfig> read_transformer_config(const Checkpoint& checkpoint) {
  TransformerConfig config;
  HEADRACE_TRY(config.n_layers, size_key(checkpoint, "block_count", kMaxLayers));
  HEADRACE_TRY(config.d_model, size_key(checkpoint, "embedding_length", kMaxWidth));
  HEADRACE_TRY(config.d_ff, uniform_key(checkpoint, "feed_forward_length", 0, kMaxWidth));
  HEADRACE_TRY(config.n_heads, uniform_key(checkpoint, "attention.head_count", 0, kMaxWidth));
  HEADRACE_TRY(config.n_kv_heads,
               uniform_key(checkpoint, "attention.head_count_kv", config.n_heads, config.n_heads));
  HEADRACE_TRY(config.context_length, size_key(checkpoint, "context_length", kMaxContext));
  HEADRACE_TRY(config.d_head,
               size_key_or(checkpoint, "attention.key_length", config.d_model / config.n_heads, kMaxHeadDim));
  HEADRACE_TRY(const uint32_t d_value,
               size_key_or(checkpoint, "attention.value_length", config.d_head, kMaxHeadDim));
  HEADRACE_TRY(const double eps, positive(checkpoint, "attention.layer_norm_rms_epsilon", 0));
  config.norm_eps = static_cast<float>(eps);
  HEADRACE_RETURN_IF_ERROR(check_vocabulary(checkpoint, config));

  if (config.n_heads % config.n_kv_heads != 0) {
    return make_error(Errc::bad_model, "{}: {} {} is no multiple of {} {}", checkpoint.name(),
                      checkpoint.label("attention.head_count"), config.n_heads,
                      checkpoint.label("attention.head_count_kv"), config.n_kv_heads);
  }
  if (d_value != config.d_head) {
    return make_error(Errc::unsupported, "{}: {} {} differs from {} {}", checkpoint.name(),
                      checkpoint.label("attention.value_length"), d_value,
                      checkpoint.label("attention.key_length"), config.d_head);
  }
  if (uint64_t{config.n_heads} * config.d_head > kMaxWidth) {
    return make_error(Errc::bad_model, "{}: {} heads of {} are beyond the limit of {}", checkpoint.name(),
                      config.n_heads, config.d_head, kMaxWidth);
  }
  HEADRACE_RETURN_IF_ERROR(read_rope(checkpoint, config));
  return config;
}

Status refuse_above(const Checkpoint& checkpoint, std::string_view key, double most,
                    std::string_view feature) {
  HEADRACE_TRY(const double value, checkpoint.number_or(key, 0));
  if (value <= most) return {};
  return make_error(Errc::unsupported, "{}: {} = {}: {} is not supported", checkpoint.name(),
                    checkpoint.label(key), value, feature);
}

Result<std::vector<float>> checked_frequencies(const Checkpoint& checkpoint, const RopeSpec& spec) {
  constexpr float kFastest = 4.0F;  // radians a position; 1 is what every known model begins with
  std::vector<float> frequencies = rope_frequencies(spec);
  for (const float f : frequencies) {
    if (f > 0 && f <= kFastest) continue;
    return make_error(Errc::bad_model, "{}: {} {} with its scaling gives a frequency of {}, expected 0 to {}",
                      checkpoint.name(), checkpoint.label("rope.freq_base"), spec.base, f, kFastest);
  }
  return frequencies;
}

ModelInfo model_info(const Checkpoint& checkpoint, const TransformerConfig& config) {
  ModelInfo info;
  info.architecture = checkpoint.architecture();
  info.name = printable(checkpoint.title());
  info.n_layers = config.n_layers;
  info.d_model = config.d_model;
  info.d_ff = config.d_ff;
  info.n_heads = config.n_heads;
  info.n_kv_heads = config.n_kv_heads;
  info.d_head = config.d_head;
  info.vocab_size = config.vocab_size;
  info.context_length = config.context_length;
  info.tied_output = checkpoint.tied_output();
  for (const FileTensor& tensor : checkpoint.tensors()) {
    if (checkpoint.is_ignored(tensor)) continue;
    info.parameters += tensor.rows() * tensor.row_elements();
    info.weight_bytes += tensor.data.size();
  }
  return info;
}

}  // namespace headrace
