// The negative control of parity_test.cpp: each constant that a checkpoint states, changed a little, must
// move the logits so far that parity fails, or be refused by name. A constant that moves nothing would be
// tested by nothing.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include <nlohmann/json.hpp>

#include "formats/file_tensor.h"
#include "logits.h"
#include "tensor/half.h"

namespace headrace::golden {
namespace {

using Json = nlohmann::json;

constexpr double kLeastMove = 1e-2;  // of one logit; a hundred times parity's tolerance

// The bytes of a checkpoint's folder, to be changed before they are read.
struct Files {
  Json config;
  std::string weights;

  explicit Files(const std::string& checkpoint)
      : config(Json::parse(slurp(checkpoints_folder() / checkpoint / "config.json"))),
        weights(slurp(checkpoints_folder() / checkpoint / "model.safetensors")) {}
  Result<HfFolder> parse(std::string& text) const {
    text = config.dump();
    return HfFolder::parse("changed", text, std::as_bytes(std::span(weights)));
  }
};

// Writes `value` over every element of a tensor at `offset`.
void fill(std::string& bytes, const FileTensor& tensor, float value) {
  const uint32_t size = info_of(tensor.type).block_bytes;
  uint32_t bits = 0;
  if (tensor.type == DType::F32) std::memcpy(&bits, &value, sizeof bits);
  if (tensor.type == DType::F16) bits = f32_to_f16(value);
  if (tensor.type == DType::BF16) bits = f32_to_bf16(value);
  for (size_t at = 0; at < tensor.data.size(); at += size)
    std::memcpy(bytes.data() + tensor.offset + at, &bits, size);
}

// What came of a changed checkpoint: a refusal, or how far it is from the golden logits.
struct Outcome {
  std::string refusal;
  double moved = 0;
};

Outcome outcome_of(const std::string& checkpoint, const ModelFile& file) {
  const Golden golden = read_golden(checkpoint);
  const Result<std::vector<float>> logits = all_logits(file, golden.tokens, 64);
  if (!logits) return {logits.error().message, 0};
  return {"", largest_difference(*logits, golden.logits)};
}

void expect_moved(const std::string& checkpoint, const std::string& what, const Outcome& outcome) {
  EXPECT_EQ(outcome.refusal, "") << checkpoint << ": " << what;
  EXPECT_GE(outcome.moved, kLeastMove)
      << checkpoint << ": " << what << " could be wrong and parity would hold";
  fmt::print("{:<24} {:<52} moves a logit by {:.3f}\n", checkpoint, what, outcome.moved);
}

void expect_refused(const std::string& checkpoint, const std::string& what, const std::string& named,
                    const Outcome& outcome) {
  EXPECT_NE(outcome.refusal.find(named), std::string::npos)
      << checkpoint << ": " << what << " should name " << named << ": '" << outcome.refusal << "'";
}

struct FieldChange {
  const char* checkpoint;
  const char* pointer;       // into config.json
  Json value;                // null: the field is removed
  const char* refusal = "";  // what a refusal names; "": it must move
};

const std::vector<FieldChange>& field_changes() {
  static const std::vector<FieldChange> changes = {
      {"llama-gqa-untied-bias", "/rope_theta", 5500.0},
      {"llama-gqa-untied-bias", "/rms_norm_eps", 2e-3},
      {"llama-gqa-untied-bias", "/rms_norm_eps", nullptr},
      {"llama-gqa-untied-bias", "/tie_word_embeddings", true},
      {"llama-gqa-untied-bias", "/attention_bias", false, "bias"},
      {"llama-gqa-untied-bias", "/mlp_bias", false, "bias"},
      {"llama-gqa-untied-bias", "/num_attention_heads", 8, "self_attn.q_proj.weight"},
      {"llama-gqa-untied-bias", "/num_key_value_heads", 4, "self_attn.k_proj.weight"},
      {"llama-gqa-untied-bias", "/num_key_value_heads", 3, "num_key_value_heads"},
      {"llama-gqa-untied-bias", "/head_dim", 16, "self_attn.q_proj.weight"},
      {"llama-gqa-untied-bias", "/hidden_size", 64, "model.embed_tokens.weight"},
      {"llama-gqa-untied-bias", "/intermediate_size", 64, "mlp.gate_proj.weight"},
      {"llama-gqa-untied-bias", "/num_hidden_layers", 1, "model.layers.1."},
      {"llama-gqa-untied-bias", "/num_hidden_layers", 3, "model.layers.2."},
      {"llama-gqa-untied-bias", "/vocab_size", 289, "vocab_size"},
      {"llama-gqa-untied-bias", "/hidden_act", "gelu", "hidden_act"},
      {"llama-gqa-untied-bias", "/sliding_window", 16, "sliding_window"},
      {"llama-gqa-untied-bias", "/model_type", "falcon", "model_type"},
      {"llama-gqa-untied-bias", "/quantization_config", {{"bits", 4}}, "quantization_config"},
      {"llama-mha-tied-llama3", "/rope_parameters/rope_theta", 11000.0},
      {"llama-mha-tied-llama3", "/rope_parameters/factor", 10.0},
      {"llama-mha-tied-llama3", "/rope_parameters/low_freq_factor", 1.5},
      {"llama-mha-tied-llama3", "/rope_parameters/high_freq_factor", 5.0},
      {"llama-mha-tied-llama3", "/rope_parameters/original_max_position_embeddings", 80},
      {"llama-mha-tied-llama3", "/rope_parameters/rope_type", "default"},
      {"llama-mha-tied-llama3", "/rope_parameters/rope_type", "dynamic", "rope_type"},
      {"llama-mha-tied-llama3", "/rope_parameters/high_freq_factor", nullptr, "high_freq_factor"},
      {"llama-mha-tied-llama3", "/rope_parameters/short_factor", 1.0, "short_factor"},
      {"llama-mha-tied-llama3", "/rms_norm_eps", 2e-3},
      {"llama-mha-tied-llama3", "/tie_word_embeddings", false, "lm_head.weight"},
      {"llama-mqa-linear", "/rope_scaling/factor", 3.3},
      {"llama-mqa-linear", "/rope_scaling", nullptr},
      {"llama-mqa-linear", "/rope_theta", 11000.0},
      {"llama-mqa-linear", "/rope_theta", 0, "rope_theta"},
      {"llama-mqa-linear", "/rope_scaling/factor", "three", "factor"},
      {"llama-mqa-linear", "/rms_norm_eps", 2e-3},
      {"qwen2-gqa-tied", "/rope_theta", 22000.0},
      {"qwen2-gqa-tied", "/rms_norm_eps", 2e-3},
      {"qwen2-gqa-tied", "/use_sliding_window", true, "use_sliding_window"},
      {"qwen2-gqa-tied", "/layer_types/1", "sliding_attention", "layer_types"},
      {"qwen2-untied-yarn", "/rope_parameters/rope_theta", 11000.0},
      {"qwen2-untied-yarn", "/rope_parameters/factor", 5.0},
      {"qwen2-untied-yarn", "/rope_parameters/original_max_position_embeddings", 200},
      {"qwen2-untied-yarn", "/rope_parameters/beta_fast", 2.0},
      {"qwen2-untied-yarn", "/rope_parameters/beta_slow", 4.0},
      {"qwen2-untied-yarn", "/rope_parameters/attention_factor", 1.0},
      {"qwen2-untied-yarn", "/rope_parameters/rope_type", "linear"},
      {"qwen2-untied-yarn", "/rope_parameters/mscale", 1.0, "mscale"},
      {"qwen2-untied-yarn", "/rms_norm_eps", 2e-3},
      {"gemma3-window", "/rope_parameters/full_attention/rope_theta", 110000.0},
      {"gemma3-window", "/rope_parameters/sliding_attention/rope_theta", 3300.0},
      {"gemma3-window", "/rope_parameters/sliding_attention/rope_type", "linear", "rope_type"},
      {"gemma3-window", "/sliding_window", 23},
      {"gemma3-window", "/sliding_window", 25},
      {"gemma3-window", "/layer_types/5", "sliding_attention"},
      {"gemma3-window", "/layer_types/2", "full_attention"},
      {"gemma3-window", "/layer_types/2", "chunked_attention", "layer_types"},
      {"gemma3-window", "/query_pre_attn_scalar", 18},
      {"gemma3-window", "/rms_norm_eps", 2e-3},
      {"gemma3-window", "/hidden_activation", "gelu", "hidden_activation"},
      {"gemma3-window", "/final_logit_softcapping", 30.0, "final_logit_softcapping"},
      {"gemma3-window", "/attn_logit_softcapping", 50.0, "attn_logit_softcapping"},
      {"gemma3-window", "/use_bidirectional_attention", true, "use_bidirectional_attention"},
      {"gemma3-linear", "/rope_scaling/factor", 9.0},
      {"gemma3-linear", "/rope_theta", 110000.0},
      {"gemma3-linear", "/rope_local_base_freq", 11000.0},
      {"gemma3-linear", "/sliding_window", 39},
      {"gemma3-linear", "/query_pre_attn_scalar", 18},
  };
  return changes;
}

TEST(Perturbation, EachFieldOfConfigJsonMovesTheLogitsOrIsRefusedByName) {
  for (const FieldChange& change : field_changes()) {
    Files files(change.checkpoint);
    const Json::json_pointer pointer(change.pointer);
    if (change.value.is_null()) {
      files.config.at(pointer.parent_pointer()).erase(pointer.back());
    } else {
      files.config[pointer] = change.value;
    }
    const std::string what = fmt::format("{} = {}", change.pointer, change.value.dump());
    std::string text;
    Result<HfFolder> folder = files.parse(text);
    ASSERT_TRUE(folder);
    const Outcome outcome = outcome_of(change.checkpoint, ModelFile(std::move(folder).value()));
    if (*change.refusal == '\0') {
      expect_moved(change.checkpoint, what, outcome);
    } else {
      expect_refused(change.checkpoint, what, change.refusal, outcome);
    }
  }
}

struct TensorChange {
  const char* checkpoint;
  const char* tensor;  // of model.safetensors
  float value;         // what its elements become: what a reader that forgets the tensor would use
};

constexpr TensorChange kTensorChanges[] = {
    {"llama-gqa-untied-bias", "model.layers.0.self_attn.q_proj.bias", 0},
    {"llama-gqa-untied-bias", "model.layers.0.self_attn.k_proj.bias", 0},
    {"llama-gqa-untied-bias", "model.layers.0.self_attn.v_proj.bias", 0},
    {"llama-gqa-untied-bias", "model.layers.1.self_attn.o_proj.bias", 0},
    {"llama-gqa-untied-bias", "model.layers.1.mlp.gate_proj.bias", 0},
    {"llama-gqa-untied-bias", "model.layers.1.mlp.up_proj.bias", 0},
    {"llama-gqa-untied-bias", "model.layers.1.mlp.down_proj.bias", 0},
    {"llama-gqa-untied-bias", "model.layers.1.input_layernorm.weight", 1},
    {"llama-gqa-untied-bias", "model.layers.1.post_attention_layernorm.weight", 1},
    {"llama-gqa-untied-bias", "model.norm.weight", 1},
    {"qwen2-gqa-tied", "model.layers.0.self_attn.q_proj.bias", 0},
    {"qwen2-gqa-tied", "model.layers.1.self_attn.k_proj.bias", 0},
    {"qwen2-gqa-tied", "model.layers.1.self_attn.v_proj.bias", 0},
    {"gemma3-window", "model.layers.0.self_attn.q_norm.weight", 0},
    {"gemma3-window", "model.layers.5.self_attn.k_norm.weight", 0},
    {"gemma3-window", "model.layers.3.input_layernorm.weight", 0},
    {"gemma3-window", "model.layers.3.post_attention_layernorm.weight", 0},
    {"gemma3-window", "model.layers.3.pre_feedforward_layernorm.weight", 0},
    {"gemma3-window", "model.layers.3.post_feedforward_layernorm.weight", 0},
    {"gemma3-window", "model.norm.weight", 0},
};

TEST(Perturbation, EachBiasAndNormMovesTheLogits) {
  for (const TensorChange& change : kTensorChanges) {
    Files files(change.checkpoint);
    const SafetensorsFile good =
        SafetensorsFile::parse("good", std::as_bytes(std::span(files.weights))).value();
    const FileTensor* tensor = good.find_tensor(change.tensor);
    ASSERT_NE(tensor, nullptr) << change.tensor;
    fill(files.weights, *tensor, change.value);
    std::string text;
    const Outcome outcome = outcome_of(change.checkpoint, ModelFile(files.parse(text).value()));
    expect_moved(change.checkpoint, fmt::format("{} = {}", change.tensor, change.value), outcome);
  }
}

// A metadata value of a GGUF file, written over in place: behind the key stand its type (4 bytes) and its
// value.
template <typename T>
void overwrite(std::string& bytes, const std::string& key, T value) {
  const size_t at = bytes.find(key);
  HEADRACE_CHECK(at != std::string::npos);
  std::memcpy(bytes.data() + at + key.size() + sizeof(uint32_t), &value, sizeof value);
}

struct GgufChange {
  const char* checkpoint;
  const char* key;  // or a tensor, filled
  std::variant<float, uint32_t> value;
  bool is_tensor = false;
};

const GgufChange kGgufChanges[] = {
    {"llama-gqa-untied-bias", "llama.rope.freq_base", 5500.0F},
    {"llama-gqa-untied-bias", "llama.attention.layer_norm_rms_epsilon", 2e-3F},
    {"llama-gqa-untied-bias", "blk.0.attn_q.bias", 0.0F, true},
    {"llama-gqa-untied-bias", "blk.0.attn_output.bias", 0.0F, true},
    {"llama-gqa-untied-bias", "blk.0.ffn_down.bias", 0.0F, true},
    {"llama-mha-tied-llama3", "rope_freqs.weight", 1.0F, true},
    {"llama-mqa-linear", "llama.rope.scaling.factor", 3.3F},
    {"qwen2-gqa-tied", "qwen2.rope.freq_base", 22000.0F},
    {"qwen2-gqa-tied", "blk.1.attn_v.bias", 0.0F, true},
    {"qwen2-untied-yarn", "qwen2.rope.scaling.factor", 5.0F},
    {"qwen2-untied-yarn", "qwen2.rope.scaling.original_context_length", uint32_t{200}},
    {"gemma3-window", "gemma3.rope.freq_base", 110000.0F},
    {"gemma3-window", "gemma3.rope.freq_base_swa", 3300.0F},
    {"gemma3-window", "gemma3.attention.sliding_window", uint32_t{23}},
    {"gemma3-window", "gemma3.attention.layer_norm_rms_epsilon", 2e-3F},
    {"gemma3-window", "blk.5.attn_q_norm.weight", 1.0F, true},
    {"gemma3-linear", "gemma3.rope.scaling.factor", 9.0F},
};

TEST(Perturbation, EachKeyOfTheGgufFileMovesTheLogits) {
  for (const GgufChange& change : kGgufChanges) {
    std::string bytes = slurp(checkpoints_folder() / change.checkpoint / "model.gguf");
    if (change.is_tensor) {
      const GgufFile good = GgufFile::parse("good", std::as_bytes(std::span(bytes))).value();
      const FileTensor* tensor = good.find_tensor(change.key);
      ASSERT_NE(tensor, nullptr) << change.key;
      fill(bytes, *tensor, std::get<float>(change.value));
    } else {
      std::visit([&](auto value) { overwrite(bytes, change.key, value); }, change.value);
    }
    const ModelFile file = GgufFile::parse("changed", std::as_bytes(std::span(bytes))).value();
    expect_moved(change.checkpoint, change.key, outcome_of(change.checkpoint, file));
  }
}

}  // namespace
}  // namespace headrace::golden
