#include "models/llama.h"

#include "models/weight_loader.h"

namespace headrace {
namespace {

struct LlamaLayer {
  ConstVec attn_norm;
  Linear q, k, v, out;
  ConstVec mlp_norm;
  Linear gate, up, down;
};

class Llama final : public Model {
 public:
  size_t workspace_floats(size_t rows) const override {
    const size_t per_row =
        2 * cfg_.d_model + 2 * cfg_.q_width() + 2 * cfg_.kv_width() + 2 * cfg_.d_ff + cfg_.rope.d_rotary;
    return rows * per_row;
  }

  void forward(const Ops& op, const Step& step, Workspace& ws, Mat hidden) const override {
    const size_t rows = step.rows;
    Mat x = ws.mat(rows, cfg_.d_model);
    Mat h = ws.mat(rows, cfg_.d_model);
    Mat q = ws.mat(rows, cfg_.q_width());
    Mat k = ws.mat(rows, cfg_.kv_width());
    Mat v = ws.mat(rows, cfg_.kv_width());
    Mat attended = ws.mat(rows, cfg_.q_width());
    Mat gate = ws.mat(rows, cfg_.d_ff);
    Mat up = ws.mat(rows, cfg_.d_ff);
    Mat angles = ws.mat(rows, cfg_.rope.d_rotary);

    const GroupStep& group = step.groups[0];
    op.rope_angles(step.positions, frequencies_, angles);
    op.embed(step.tokens, embeddings_.weight, 1.0F, x);
    for (size_t l = 0; l < layers_.size(); ++l) {
      if (step.interrupted()) return;
      if (!step.runs(l)) continue;
      const LlamaLayer& w = layers_[l];
      const KvView kv = group.layer(l, {cfg_.rope.style, frequencies_});

      op.rms_norm(x, w.attn_norm, cfg_.norm_eps, h);
      op.linear(h, {{&w.q, q}, {&w.k, k}, {&w.v, v}});
      op.rope(cfg_.rope.style, angles, cfg_.d_head, q);
      op.store_kv(angles, step.positions, k, v, group.slots, kv);
      op.attend(q, kv, group.plan, attention_scale_, attended);
      op.linear(attended, {{&w.out, h}});
      op.add(x, h);

      op.rms_norm(x, w.mlp_norm, cfg_.norm_eps, h);
      op.linear(h, {{&w.gate, gate}, {&w.up, up}});
      op.gated(Activation::silu, gate, up, gate);
      op.linear(gate, {{&w.down, h}});
      op.add(x, h);
      step.layer_done(l, x);
    }
    Mat last = h.top(step.n_outputs);
    op.gather_rows(x, step.output_rows, last);
    op.rms_norm(last, final_norm_, cfg_.norm_eps, hidden);
  }

  void logits(const Ops& op, ConstMat hidden, Mat logits) const override {
    op.linear(hidden, {{&output_, logits}});
  }

  Status load(const Checkpoint& checkpoint, WeightLoader& weights, LlamaConfig config) {
    cfg_ = std::move(config);
    info_ = model_info(checkpoint, cfg_);
    groups_ = {{"full", cfg_.n_layers, cfg_.n_kv_heads, cfg_.d_head, 0}};
    groups_[0].n_heads = cfg_.n_heads;
    attention_scale_ = cfg_.attention_scale(cfg_.d_head);

    HEADRACE_TRY(embeddings_,
                 weights.linear("token_embd.weight", cfg_.vocab_size, cfg_.d_model, Split::none));
    if (weights.has("rope_freqs.weight")) {  // Llama 3.1's divisors of the frequencies
      HEADRACE_TRY(cfg_.rope.factors, weights.values("rope_freqs.weight", cfg_.rope.d_rotary / 2));
    }
    HEADRACE_TRY(const std::vector<float> frequencies, checked_frequencies(checkpoint, cfg_.rope));
    frequencies_ = weights.constant(frequencies);
    for (uint32_t l = 0; l < cfg_.n_layers; ++l) {
      HEADRACE_TRY(LlamaLayer layer, load_layer(weights, fmt::format("blk.{}.", l)));
      layers_.push_back(layer);
    }
    HEADRACE_TRY(final_norm_, weights.norm("output_norm.weight", cfg_.d_model));
    output_ = embeddings_;
    if (!info_.tied_output) {
      HEADRACE_TRY(output_, weights.linear("output.weight", cfg_.vocab_size, cfg_.d_model, Split::columns));
    }
    HEADRACE_RETURN_IF_ERROR(weights.finish());
    info_.weight_bytes = weights.bytes();
    buffer_ = weights.take_buffer();
    return {};
  }

 private:
  Result<LlamaLayer> load_layer(WeightLoader& weights, const std::string& prefix) const {
    LlamaLayer w;
    const auto linear = [&](Linear& out, const char* name, uint64_t n, uint64_t k, Split split,
                            Biases biases) -> Status {
      const std::string full = prefix + name;
      HEADRACE_TRY(out, weights.linear(full, n, k, split));
      if (biases == Biases::none) return {};
      return biases == Biases::required ? weights.add_bias(out, full) : weights.add_bias_if_any(out, full);
    };
    const Biases qkv = cfg_.qkv_biases;
    const Biases mlp = cfg_.mlp_biases;
    HEADRACE_TRY(w.attn_norm, weights.norm(prefix + "attn_norm.weight", cfg_.d_model));
    HEADRACE_RETURN_IF_ERROR(linear(w.q, "attn_q.weight", cfg_.q_width(), cfg_.d_model, Split::columns, qkv));
    HEADRACE_RETURN_IF_ERROR(
        linear(w.k, "attn_k.weight", cfg_.kv_width(), cfg_.d_model, Split::columns, qkv));
    HEADRACE_RETURN_IF_ERROR(
        linear(w.v, "attn_v.weight", cfg_.kv_width(), cfg_.d_model, Split::columns, qkv));
    HEADRACE_RETURN_IF_ERROR(
        linear(w.out, "attn_output.weight", cfg_.d_model, cfg_.q_width(), Split::rows, cfg_.out_biases));
    HEADRACE_TRY(w.mlp_norm, weights.norm(prefix + "ffn_norm.weight", cfg_.d_model));
    HEADRACE_RETURN_IF_ERROR(linear(w.gate, "ffn_gate.weight", cfg_.d_ff, cfg_.d_model, Split::columns, mlp));
    HEADRACE_RETURN_IF_ERROR(linear(w.up, "ffn_up.weight", cfg_.d_ff, cfg_.d_model, Split::columns, mlp));
    HEADRACE_RETURN_IF_ERROR(linear(w.down, "ffn_down.weight", cfg_.d_model, cfg_.d_ff, Split::rows, mlp));
    return w;
  }

  LlamaConfig cfg_;
  float attention_scale_ = 0;
  DeviceBuffer buffer_;
  Linear embeddings_;
  Linear output_;
  ConstVec frequencies_;
  ConstVec final_norm_;
  std::vector<LlamaLayer> layers_;
};

Result<Biases> biases_of(const Checkpoint& checkpoint, std::string_view key) {
  if (!checkpoint.has(key)) return Biases::as_found;
  HEADRACE_TRY(const bool wanted, checkpoint.boolean(key));
  return wanted ? Biases::required : Biases::none;
}

// These families have variants with windows, which their files announce in two ways.
Status refuse_windows(const Checkpoint& checkpoint) {
  HEADRACE_TRY(const bool window, checkpoint.boolean_or("attention.use_sliding_window", false));
  std::string_view key = window ? "attention.use_sliding_window" : "";
  if (checkpoint.has("attention.sliding_window")) key = "attention.sliding_window";
  if (checkpoint.has("attention.layer_types")) {
    HEADRACE_TRY(const std::vector<std::string> types, checkpoint.strings("attention.layer_types"));
    for (const std::string& type : types) {
      if (type != "full_attention") key = "attention.layer_types";
    }
  }
  if (key.empty()) return {};
  return make_error(Errc::unsupported, "{}: {}: a sliding window is not supported in this architecture",
                    checkpoint.name(), checkpoint.label(key));
}

}  // namespace

Result<LlamaConfig> read_llama_config(const Checkpoint& checkpoint) {
  HEADRACE_RETURN_IF_ERROR(refuse_above(checkpoint, "expert_count", 1, "a mixture of experts"));
  HEADRACE_RETURN_IF_ERROR(refuse_windows(checkpoint));
  LlamaConfig config;
  HEADRACE_TRY(static_cast<TransformerConfig&>(config), read_transformer_config(checkpoint));
  config.rope.style = checkpoint.rope_neighbours() ? RopeStyle::interleaved : RopeStyle::halves;
  if (checkpoint.architecture() == "qwen2") {
    config.qkv_biases = Biases::required;
    config.out_biases = config.mlp_biases = Biases::none;
    return config;
  }
  HEADRACE_TRY(config.qkv_biases, biases_of(checkpoint, "attention.bias"));
  config.out_biases = config.qkv_biases;
  HEADRACE_TRY(config.mlp_biases, biases_of(checkpoint, "ffn.bias"));
  return config;
}

Result<std::unique_ptr<Model>> load_llama(const Checkpoint& checkpoint, Backend& backend,
                                          MemoryLedger& ledger, const LoadOptions& options) {
  HEADRACE_TRY(const LlamaConfig config, read_llama_config(checkpoint));
  return load_checked<Llama>(checkpoint, backend, ledger, options, config);
}

}  // namespace headrace
