#include "models/llama.h"

#include <cmath>

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
    }
    Mat last = h.top(step.n_outputs);
    op.gather_rows(x, step.output_rows, last);
    op.rms_norm(last, final_norm_, cfg_.norm_eps, hidden);
  }

  void logits(const Ops& op, ConstMat hidden, Mat logits) const override {
    op.linear(hidden, {{&output_, logits}});
  }

  Status load(const GgufFile& file, WeightLoader& weights, TransformerConfig config) {
    cfg_ = std::move(config);
    info_ = model_info(file, "llama", cfg_);
    groups_ = {{"full", cfg_.n_layers, cfg_.n_kv_heads, cfg_.d_head, 0}};
    attention_scale_ = static_cast<float>(1.0 / std::sqrt(static_cast<double>(cfg_.d_head)));

    HEADRACE_TRY(embeddings_,
                 weights.linear("token_embd.weight", cfg_.vocab_size, cfg_.d_model, Split::none));
    if (weights.has("rope_freqs.weight")) {  // Llama 3.1's divisors of the frequencies
      HEADRACE_TRY(cfg_.rope.factors, weights.values("rope_freqs.weight", cfg_.rope.d_rotary / 2));
    }
    HEADRACE_TRY(const std::vector<float> frequencies, checked_frequencies(file, cfg_.rope));
    frequencies_ = weights.constant(frequencies);
    for (uint32_t l = 0; l < cfg_.n_layers; ++l) {
      HEADRACE_TRY(LlamaLayer layer, load_layer(weights, fmt::format("blk.{}.", l)));
      layers_.push_back(layer);
    }
    HEADRACE_TRY(final_norm_, weights.vector("output_norm.weight", cfg_.d_model));
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
    const auto linear = [&](Linear& out, const char* name, uint64_t n, uint64_t k, Split split) -> Status {
      const std::string full = prefix + name;
      HEADRACE_TRY(out, weights.linear(full, n, k, split));
      return weights.add_bias(out, full);
    };
    HEADRACE_TRY(w.attn_norm, weights.vector(prefix + "attn_norm.weight", cfg_.d_model));
    HEADRACE_RETURN_IF_ERROR(linear(w.q, "attn_q.weight", cfg_.q_width(), cfg_.d_model, Split::columns));
    HEADRACE_RETURN_IF_ERROR(linear(w.k, "attn_k.weight", cfg_.kv_width(), cfg_.d_model, Split::columns));
    HEADRACE_RETURN_IF_ERROR(linear(w.v, "attn_v.weight", cfg_.kv_width(), cfg_.d_model, Split::columns));
    HEADRACE_RETURN_IF_ERROR(linear(w.out, "attn_output.weight", cfg_.d_model, cfg_.q_width(), Split::rows));
    HEADRACE_TRY(w.mlp_norm, weights.vector(prefix + "ffn_norm.weight", cfg_.d_model));
    HEADRACE_RETURN_IF_ERROR(linear(w.gate, "ffn_gate.weight", cfg_.d_ff, cfg_.d_model, Split::columns));
    HEADRACE_RETURN_IF_ERROR(linear(w.up, "ffn_up.weight", cfg_.d_ff, cfg_.d_model, Split::columns));
    HEADRACE_RETURN_IF_ERROR(linear(w.down, "ffn_down.weight", cfg_.d_model, cfg_.d_ff, Split::rows));
    return w;
  }

  TransformerConfig cfg_;
  float attention_scale_ = 0;
  DeviceBuffer buffer_;
  Linear embeddings_;
  Linear output_;
  ConstVec frequencies_;
  ConstVec final_norm_;
  std::vector<LlamaLayer> layers_;
};

}  // namespace

Result<TransformerConfig> read_llama_config(const GgufFile& file) {
  HEADRACE_RETURN_IF_ERROR(refuse_above(file, "llama.expert_count", 1, "a mixture of experts"));
  HEADRACE_TRY(TransformerConfig config, read_transformer_config(file, "llama"));
  config.rope.style =
      RopeStyle::interleaved;  // GGUF files of this family permute query and key weights for it
  return config;
}

Result<std::unique_ptr<Model>> load_llama(const GgufFile& file, Backend& backend, MemoryLedger& ledger,
                                          const LoadOptions& options) {
  HEADRACE_TRY(const TransformerConfig config, read_llama_config(file));
  return load_checked<Llama>(file, backend, ledger, options, config);
}

}  // namespace headrace
