#include "models/llama.h"

#include "models/weight_loader.h"
#include "ops/elementary.h"
#include "tensor/blocks.h"

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
      const LlamaLayer& w = layers_[l];
      const KvView kv = group.layer(l);

      op.rms_norm(x, w.attn_norm, cfg_.norm_eps, h);
      op.linear(h, {{&w.q, q}, {&w.k, k}, {&w.v, v}});
      op.rope(cfg_.rope.style, angles, cfg_.d_head, q);
      op.store_kv(cfg_.rope.style, angles, k, v, group.slots, kv);
      op.attend(q, kv, group.plan, attention_scale_, {}, attended);
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
    attention_scale_ = static_cast<float>(1.0 / pow_f64(cfg_.d_head, 0.5));

    HEADRACE_TRY(embeddings_,
                 weights.linear("token_embd.weight", cfg_.vocab_size, cfg_.d_model, Split::none));
    if (weights.has("rope_freqs.weight")) {  // Llama 3.1's divisors of the frequencies
      HEADRACE_RETURN_IF_ERROR(load_rope_factors(file));
      HEADRACE_TRY([[maybe_unused]] const ConstVec unused,
                   weights.vector("rope_freqs.weight", cfg_.rope.d_rotary / 2));
    }
    frequencies_ = weights.constant(rope_frequencies(cfg_.rope));
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
  Status load_rope_factors(const GgufFile& file) {
    const GgufTensor* tensor = file.find_tensor("rope_freqs.weight");
    if (tensor->type != DType::F32 || tensor->rows() != 1 ||
        tensor->row_elements() != cfg_.rope.d_rotary / 2) {
      return make_error(Errc::bad_model, "{}: tensor rope_freqs.weight: expected F32 [{}], found {} {}",
                        file.name(), cfg_.rope.d_rotary / 2, name_of(tensor->type), shape_text(*tensor));
    }
    cfg_.rope.factors.resize(cfg_.rope.d_rotary / 2);
    dequantise_row(tensor->type, tensor->data.data(), cfg_.rope.factors.size(), cfg_.rope.factors.data());
    return {};
  }

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
  HEADRACE_RETURN_IF_ERROR(refuse_unless_trivial(file, "llama.expert_count", "a mixture of experts"));
  HEADRACE_TRY(TransformerConfig config, read_transformer_config(file, "llama"));
  config.rope.style =
      RopeStyle::interleaved;  // GGUF files of this family permute query and key weights for it
  return config;
}

Result<std::unique_ptr<Model>> load_llama(const GgufFile& file, Backend& backend, MemoryLedger& ledger,
                                          const LoadOptions& options) {
  HEADRACE_TRY(TransformerConfig config, read_llama_config(file));
  HEADRACE_TRY(WeightLoader weights, WeightLoader::create(file, backend, ledger, options));
  auto model = std::make_unique<Llama>();
  HEADRACE_RETURN_IF_ERROR(model->load(file, weights, std::move(config)));
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace headrace
