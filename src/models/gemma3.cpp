#include "models/gemma3.h"

#include <cmath>

#include "core/file.h"
#include "models/weight_loader.h"

namespace headrace {
namespace {

struct Gemma3Layer {
  ConstVec attn_norm, q_norm, k_norm, post_attn_norm;
  Linear q, k, v, out;
  ConstVec mlp_norm, post_mlp_norm;
  Linear gate, up, down;
  size_t group = 0;  // kFull or kWindow
  size_t index_in_group = 0;
};

enum : size_t { kFull = 0, kWindow = 1 };

class Gemma3 final : public Model {
 public:
  size_t workspace_floats(size_t rows) const override {
    const size_t per_row = 2 * cfg_.d_model + 2 * cfg_.q_width() + 2 * cfg_.kv_width() + 2 * cfg_.d_ff +
                           cfg_.rope.d_rotary + cfg_.window_rope.d_rotary;
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
    const Mat angles[] = {ws.mat(rows, cfg_.rope.d_rotary), ws.mat(rows, cfg_.window_rope.d_rotary)};

    op.rope_angles(step.positions, frequencies_[kFull], angles[kFull]);
    op.rope_angles(step.positions, frequencies_[kWindow], angles[kWindow]);
    op.embed(step.tokens, embeddings_.weight, embedding_scale_, x);
    for (size_t l = 0; l < layers_.size(); ++l) {
      if (step.interrupted()) return;
      if (!step.runs(l)) continue;
      const Gemma3Layer& w = layers_[l];
      const GroupStep& group = step.groups[w.group];
      const KvView kv = group.layer(w.index_in_group, {cfg_.rope.style, frequencies_[w.group]});

      op.rms_norm(x, w.attn_norm, cfg_.norm_eps, h);
      op.linear(h, {{&w.q, q}, {&w.k, k}, {&w.v, v}});
      op.rms_norm(q.split(cfg_.d_head), w.q_norm, cfg_.norm_eps, q.split(cfg_.d_head));
      op.rms_norm(k.split(cfg_.d_head), w.k_norm, cfg_.norm_eps, k.split(cfg_.d_head));
      op.rope(cfg_.rope.style, angles[w.group], cfg_.d_head, q);
      op.store_kv(angles[w.group], step.positions, k, v, group.slots, kv);
      op.attend(q, kv, group.plan, cfg_.score_scale, attended);
      op.linear(attended, {{&w.out, h}});
      op.rms_norm(h, w.post_attn_norm, cfg_.norm_eps, h);
      op.add(x, h);

      op.rms_norm(x, w.mlp_norm, cfg_.norm_eps, h);
      op.linear(h, {{&w.gate, gate}, {&w.up, up}});
      op.gated(Activation::gelu_tanh, gate, up, gate);
      op.linear(gate, {{&w.down, h}});
      op.rms_norm(h, w.post_mlp_norm, cfg_.norm_eps, h);
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

  Status load(const Checkpoint& checkpoint, WeightLoader& weights, Gemma3Config config) {
    cfg_ = std::move(config);
    info_ = model_info(checkpoint, cfg_);
    embedding_scale_ = std::sqrt(static_cast<float>(cfg_.d_model));
    groups_ = {{"full", 0, cfg_.n_kv_heads, cfg_.d_head, 0},
               {"window", 0, cfg_.n_kv_heads, cfg_.d_head, cfg_.window}};
    for (LayerGroup& group : groups_) group.n_heads = cfg_.n_heads;

    HEADRACE_TRY(embeddings_,
                 weights.linear("token_embd.weight", cfg_.vocab_size, cfg_.d_model, Split::none));
    HEADRACE_TRY(const std::vector<float> full, checked_frequencies(checkpoint, cfg_.rope));
    HEADRACE_TRY(const std::vector<float> window, checked_frequencies(checkpoint, cfg_.window_rope));
    frequencies_[kFull] = weights.constant(full);
    frequencies_[kWindow] = weights.constant(window);
    for (uint32_t l = 0; l < cfg_.n_layers; ++l) {
      HEADRACE_TRY(Gemma3Layer layer, load_layer(weights, fmt::format("blk.{}.", l)));
      layer.group = cfg_.full_layers[l] ? kFull : kWindow;
      layer.index_in_group = groups_[layer.group].n_layers++;
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
  Result<Gemma3Layer> load_layer(WeightLoader& weights, const std::string& prefix) const {
    Gemma3Layer w;
    const auto linear = [&](const char* name, uint64_t n, uint64_t k, Split split) {
      return weights.linear(prefix + name, n, k, split);
    };
    const auto norm = [&](const char* name, uint64_t n) { return weights.norm(prefix + name, n); };
    HEADRACE_TRY(w.attn_norm, norm("attn_norm.weight", cfg_.d_model));
    HEADRACE_TRY(w.q, linear("attn_q.weight", cfg_.q_width(), cfg_.d_model, Split::columns));
    HEADRACE_TRY(w.k, linear("attn_k.weight", cfg_.kv_width(), cfg_.d_model, Split::columns));
    HEADRACE_TRY(w.v, linear("attn_v.weight", cfg_.kv_width(), cfg_.d_model, Split::columns));
    HEADRACE_TRY(w.q_norm, norm("attn_q_norm.weight", cfg_.d_head));
    HEADRACE_TRY(w.k_norm, norm("attn_k_norm.weight", cfg_.d_head));
    HEADRACE_TRY(w.out, linear("attn_output.weight", cfg_.d_model, cfg_.q_width(), Split::rows));
    HEADRACE_TRY(w.post_attn_norm, norm("post_attention_norm.weight", cfg_.d_model));
    HEADRACE_TRY(w.mlp_norm, norm("ffn_norm.weight", cfg_.d_model));
    HEADRACE_TRY(w.gate, linear("ffn_gate.weight", cfg_.d_ff, cfg_.d_model, Split::columns));
    HEADRACE_TRY(w.up, linear("ffn_up.weight", cfg_.d_ff, cfg_.d_model, Split::columns));
    HEADRACE_TRY(w.down, linear("ffn_down.weight", cfg_.d_model, cfg_.d_ff, Split::rows));
    HEADRACE_TRY(w.post_mlp_norm, norm("post_ffw_norm.weight", cfg_.d_model));
    return w;
  }

  Gemma3Config cfg_;
  float embedding_scale_ = 0;
  DeviceBuffer buffer_;
  Linear embeddings_;
  Linear output_;
  ConstVec frequencies_[2];
  ConstVec final_norm_;
  std::vector<Gemma3Layer> layers_;
};

// Which layers see everything: listed, or each pattern-th.
Result<std::vector<bool>> read_full_layers(const Checkpoint& checkpoint, uint32_t n_layers) {
  constexpr std::string_view kTypes = "attention.layer_types";
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  std::vector<bool> full;
  if (checkpoint.has(kTypes)) {
    HEADRACE_TRY(const std::vector<std::string> types, checkpoint.strings(kTypes));
    for (const std::string& type : types) {
      if (type != "full_attention" && type != "sliding_attention") {
        return make_error(Errc::unsupported, "{}: {}: '{}' is not supported", checkpoint.name(),
                          checkpoint.label(kTypes), printable(type));
      }
      full.push_back(type == "full_attention");
    }
    if (full.size() == n_layers) return full;
    return make_error(Errc::bad_model, "{}: {}: expected {} entries, found {}", checkpoint.name(),
                      checkpoint.label(kTypes), n_layers, full.size());
  }
  HEADRACE_TRY(const uint64_t pattern, checkpoint.uint_or(kPattern, 6));
  if (pattern == 0 || pattern > kMaxLayers) {
    return make_error(Errc::bad_model, "{}: {}: expected 1 to {}, found {}", checkpoint.name(),
                      checkpoint.label(kPattern), kMaxLayers, pattern);
  }
  for (uint32_t l = 0; l < n_layers; ++l) full.push_back((l + 1) % pattern == 0);
  return full;
}

Status refuse_variants(const Checkpoint& checkpoint) {
  HEADRACE_RETURN_IF_ERROR(refuse_above(checkpoint, "final_logit_softcapping", 0, "a soft cap on logits"));
  HEADRACE_RETURN_IF_ERROR(refuse_above(checkpoint, "attn_logit_softcapping", 0, "a soft cap on scores"));
  for (const char* key : {"attention.bias", "attention.bidirectional"}) {
    HEADRACE_TRY(const bool wanted, checkpoint.boolean_or(key, false));
    if (wanted) {
      return make_error(Errc::unsupported, "{}: {} is not supported in this architecture", checkpoint.name(),
                        checkpoint.label(key));
    }
  }
  return {};
}

// GGUF files don't store the divisor: it is the head's width, but for the 27B model (62 layers) d_model /
// heads.
double customary_divisor(const TransformerConfig& config) {
  constexpr uint32_t kLayersOf27B = 62;
  return config.n_layers == kLayersOf27B ? static_cast<double>(config.d_model) / config.n_heads
                                         : config.d_head;
}

}  // namespace

Result<Gemma3Config> read_gemma3_config(const Checkpoint& checkpoint) {
  Gemma3Config config;
  HEADRACE_TRY(static_cast<TransformerConfig&>(config), read_transformer_config(checkpoint));
  config.rope.style = RopeStyle::halves;
  HEADRACE_RETURN_IF_ERROR(refuse_variants(checkpoint));

  // The window's layers keep their own base, and no scaling.
  config.window_rope = config.rope;
  config.window_rope.linear_factor = 1.0F;
  config.window_rope.factors.clear();
  HEADRACE_TRY(const double base, positive(checkpoint, "rope.freq_base_swa", 10000));
  HEADRACE_TRY(const double local, positive(checkpoint, "rope.local_freq_base", base));
  config.window_rope.base = static_cast<float>(local);
  if (config.rope_length != 1) {
    return make_error(Errc::unsupported, "{}: {}: YaRN is not supported in this architecture",
                      checkpoint.name(), checkpoint.label("rope.scaling.type"));
  }

  constexpr std::string_view kWindow = "attention.sliding_window";
  HEADRACE_TRY(const uint64_t window, checkpoint.uint(kWindow));
  if (window == 0 || window > kMaxContext) {
    return make_error(Errc::bad_model, "{}: {}: expected 1 to {}, found {}", checkpoint.name(),
                      checkpoint.label(kWindow), kMaxContext, window);
  }
  config.window = static_cast<uint32_t>(window);
  HEADRACE_TRY(config.full_layers, read_full_layers(checkpoint, config.n_layers));
  HEADRACE_TRY(const double divisor,
               positive(checkpoint, "attention.query_pre_attn_scalar", customary_divisor(config)));
  config.score_scale = config.attention_scale(divisor);
  return config;
}

Result<std::unique_ptr<Model>> load_gemma3(const Checkpoint& checkpoint, Backend& backend,
                                           MemoryLedger& ledger, const LoadOptions& options) {
  HEADRACE_TRY(const Gemma3Config config, read_gemma3_config(checkpoint));
  return load_checked<Gemma3>(checkpoint, backend, ledger, options, config);
}

}  // namespace headrace
