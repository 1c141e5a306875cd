#include "tiny_model.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/utf8.h"
#include "tiny_weights.h"

namespace headrace::testing {
namespace {

// Twice the usual spread, so that attention prefers some keys and logits some tokens.
constexpr double kSpread = 2.0;
constexpr uint32_t kHeads = 4;

enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

struct Vocab {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  void add(std::string token, int32_t type = kNormal) {
    tokens.push_back(std::move(token));
    types.push_back(type);
  }
};

struct Shape {
  std::string architecture;
  uint32_t n_layers;
  uint32_t n_kv_heads;
  uint32_t d_model;
  uint32_t d_ff;
  uint32_t d_head;
  uint32_t vocab_size;
};

// K-quants come in blocks of 256 along K.
uint32_t width_for(const TinyModelOptions& options) {
  return options.width != 0 ? options.width : std::max(64U, info_of(options.type).block_elements);
}

void add_sizes(GgufWriter& file, const Shape& shape, uint32_t context_length) {
  const std::string prefix = shape.architecture + ".";
  file.add("general.architecture", shape.architecture)
      .add("general.name", "Tiny " + shape.architecture)
      .add("general.license", "apache-2.0")
      .add(prefix + "block_count", shape.n_layers)
      .add(prefix + "context_length", context_length)
      .add(prefix + "embedding_length", shape.d_model)
      .add(prefix + "feed_forward_length", shape.d_ff)
      .add(prefix + "attention.head_count", kHeads)
      .add(prefix + "attention.head_count_kv", shape.n_kv_heads)
      .add(prefix + "attention.key_length", shape.d_head)
      .add(prefix + "attention.value_length", shape.d_head)
      .add(prefix + "attention.layer_norm_rms_epsilon", 1e-5F)
      .add(prefix + "vocab_size", shape.vocab_size);
}

class Weights {
 public:
  Weights(GgufWriter& file, const TinyModelOptions& options)
      : file_(file), type_(options.type), random_(options.seed) {}

  void matrix(const std::string& name, uint32_t n, uint32_t k) {
    const double deviation = kSpread / std::sqrt(static_cast<double>(k));
    file_.tensor(name, type_, {k, n}, random_tensor(random_, type_, n, k, deviation));
  }
  void gain(const std::string& name, uint32_t n) {
    std::vector<float> values;
    for (uint32_t i = 0; i < n; ++i) values.push_back(static_cast<float>(1.0 + 0.2 * random_.uniform()));
    file_.tensor(name, {n}, values);
  }
  void attention(const std::string& layer, const Shape& shape) {
    matrix(layer + "attn_q.weight", kHeads * shape.d_head, shape.d_model);
    matrix(layer + "attn_k.weight", shape.n_kv_heads * shape.d_head, shape.d_model);
    matrix(layer + "attn_v.weight", shape.n_kv_heads * shape.d_head, shape.d_model);
    matrix(layer + "attn_output.weight", shape.d_model, kHeads * shape.d_head);
  }
  void mlp(const std::string& layer, const Shape& shape) {
    matrix(layer + "ffn_gate.weight", shape.d_ff, shape.d_model);
    matrix(layer + "ffn_up.weight", shape.d_ff, shape.d_model);
    matrix(layer + "ffn_down.weight", shape.d_model, shape.d_ff);
  }

 private:
  GgufWriter& file_;
  DType type_;
  TinyRandom random_;
};

void add_sentencepiece_tokenizer(GgufWriter& file) {
  Vocab vocab;
  vocab.add("<pad>", kControl);
  vocab.add("<eos>", kControl);
  vocab.add("<bos>", kControl);
  vocab.add("<unk>", kUnknown);
  vocab.add("<start_of_turn>", kControl);
  vocab.add("<end_of_turn>", kControl);
  for (uint32_t byte = 0; byte < 256; ++byte) vocab.add(fmt::format("<0x{:02X}>", byte), kByte);
  const std::string space = "\xE2\x96\x81";
  for (const std::string& piece : std::vector<std::string>{space + "the", "the", "th", space + "a", "in"}) {
    vocab.add(piece);
  }
  vocab.add(space);
  for (char letter = 'a'; letter <= 'z'; ++letter) vocab.add(std::string(1, letter));
  HEADRACE_CHECK(vocab.tokens.size() == kTinyGemma3Vocab);
  std::vector<float> scores;
  for (size_t i = 0; i < vocab.tokens.size(); ++i) scores.push_back(-static_cast<float>(i));
  file.add("tokenizer.ggml.model", "llama")
      .add("tokenizer.ggml.pre", "default")
      .add("tokenizer.ggml.tokens", vocab.tokens)
      .add("tokenizer.ggml.token_type", vocab.types)
      .add("tokenizer.ggml.scores", scores)
      .add("tokenizer.ggml.bos_token_id", uint32_t{2})
      .add("tokenizer.ggml.eos_token_id", uint32_t{1})
      .add("tokenizer.ggml.unknown_token_id", uint32_t{3})
      .add("tokenizer.ggml.padding_token_id", uint32_t{0})
      .add("tokenizer.ggml.add_bos_token", true)
      .add("tokenizer.ggml.add_eos_token", false)
      .add("tokenizer.ggml.add_space_prefix", false);
}

}  // namespace

std::string byte_character(uint32_t byte) {
  const auto printable = [](uint32_t b) {
    return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
  };
  uint32_t code_point = byte;
  if (!printable(byte)) {
    code_point = 0x100;
    for (uint32_t b = 0; b < byte; ++b) code_point += printable(b) ? 0 : 1;
  }
  std::string out;
  append_utf8(out, code_point);
  return out;
}

void add_byte_level_tokenizer(GgufWriter& file, const std::vector<std::string>& merges) {
  Vocab vocab;
  for (const char* name : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) vocab.add(name, kControl);
  for (uint32_t byte = 0; byte < 256; ++byte) vocab.add(byte_character(byte));
  for (const std::string& merge : merges) {
    const size_t cut = merge.find(' ');
    vocab.add(merge.substr(0, cut) + merge.substr(cut + 1));
  }
  HEADRACE_CHECK(vocab.tokens.size() == kTokensBesidesMerges + merges.size());
  file.add("tokenizer.ggml.model", "gpt2")
      .add("tokenizer.ggml.pre", "smollm")
      .add("tokenizer.ggml.tokens", vocab.tokens)
      .add("tokenizer.ggml.token_type", vocab.types)
      .add("tokenizer.ggml.merges", merges)
      .add("tokenizer.ggml.bos_token_id", uint32_t{1})
      .add("tokenizer.ggml.eos_token_id", uint32_t{2})
      .add("tokenizer.ggml.add_bos_token", false)
      .add("tokenizer.chat_template",
           "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
           "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}");
}

GgufWriter tiny_llama(const TinyModelOptions& options) {
  const uint32_t width = width_for(options);
  const Shape shape{"llama", 2, 2, width, 2 * width, width / kHeads, kTinyLlamaVocab};
  GgufWriter file;
  add_sizes(file, shape, options.context_length);
  file.add("llama.rope.dimension_count", shape.d_head).add("llama.rope.freq_base", 10000.0F);
  add_byte_level_tokenizer(file, {"t h", "th e", byte_character(' ') + " the", "i n", "e r"});

  Weights weights(file, options);
  weights.matrix("token_embd.weight", shape.vocab_size, shape.d_model);
  for (uint32_t l = 0; l < shape.n_layers; ++l) {
    const std::string layer = fmt::format("blk.{}.", l);
    weights.gain(layer + "attn_norm.weight", shape.d_model);
    weights.attention(layer, shape);
    weights.gain(layer + "ffn_norm.weight", shape.d_model);
    weights.mlp(layer, shape);
  }
  weights.gain("output_norm.weight", shape.d_model);
  return file;
}

GgufWriter tiny_gemma3(const TinyModelOptions& options) {
  const uint32_t width = width_for(options);
  const Shape shape{"gemma3", 4, 1, width, 2 * width, width / 2, kTinyGemma3Vocab};
  GgufWriter file;
  add_sizes(file, shape, options.context_length);
  file.add("gemma3.rope.freq_base", 1000000.0F)
      .add("gemma3.attention.sliding_window", options.window)
      .add("gemma3.attention.sliding_window_pattern", uint32_t{2});
  add_sentencepiece_tokenizer(file);

  Weights weights(file, options);
  weights.matrix("token_embd.weight", shape.vocab_size, shape.d_model);
  for (uint32_t l = 0; l < shape.n_layers; ++l) {
    const std::string layer = fmt::format("blk.{}.", l);
    weights.gain(layer + "attn_norm.weight", shape.d_model);
    weights.attention(layer, shape);
    weights.gain(layer + "attn_q_norm.weight", shape.d_head);
    weights.gain(layer + "attn_k_norm.weight", shape.d_head);
    weights.gain(layer + "post_attention_norm.weight", shape.d_model);
    weights.gain(layer + "ffn_norm.weight", shape.d_model);
    weights.mlp(layer, shape);
    weights.gain(layer + "post_ffw_norm.weight", shape.d_model);
  }
  weights.gain("output_norm.weight", shape.d_model);
  return file;
}

}  // namespace headrace::testing
