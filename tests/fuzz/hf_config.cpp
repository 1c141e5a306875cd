// Hugging Face's config.json in front of weights that fit each family: the first byte says which weights, the
// rest is the configuration.
#include <array>
#include <cstring>

#include <nlohmann/json.hpp>

#include "models/model.h"
#include "ops/cpu/cpu_backend.h"
#include "refusal.h"

namespace headrace {
namespace {

constexpr std::string_view kName = "fuzz";
constexpr uint64_t kWeightBudget = uint64_t{1} << 24;
constexpr uint64_t kWidth = 8;

// A file of zeros: two layers, width, feed-forward width and vocabulary 8, heads of 4, two of them.
class Weights {
 public:
  Weights& add(const std::string& name, std::vector<uint64_t> shape) {
    uint64_t bytes = sizeof(float);
    for (const uint64_t dim : shape) bytes *= dim;
    header_[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {end_, end_ + bytes}}};
    end_ += bytes;
    return *this;
  }
  Weights& layers(const std::vector<std::pair<std::string, std::vector<uint64_t>>>& parts) {
    for (const char* layer : {"0", "1"}) {
      for (const auto& [part, shape] : parts) add(std::string("model.layers.") + layer + "." + part, shape);
    }
    return *this;
  }
  std::string bytes() const {
    const std::string text = header_.dump();
    std::string bytes(sizeof(uint64_t), '\0');
    const uint64_t length = text.size();
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes + text + std::string(end_, '\0');
  }

 private:
  nlohmann::json header_ = nlohmann::json::object();
  uint64_t end_ = 0;
};

Weights common() {
  Weights weights;
  weights.add("model.embed_tokens.weight", {kWidth, kWidth}).add("model.norm.weight", {kWidth});
  for (const char* part : {"q", "k", "v", "o"}) {
    weights.layers({{std::string("self_attn.") + part + "_proj.weight", {kWidth, kWidth}}});
  }
  for (const char* part : {"gate", "up", "down"}) {
    weights.layers({{std::string("mlp.") + part + "_proj.weight", {kWidth, kWidth}}});
  }
  return weights.layers(
      {{"input_layernorm.weight", {kWidth}}, {"post_attention_layernorm.weight", {kWidth}}});
}

const std::array<std::string, 4>& all_weights() {
  static const std::array<std::string, 4> all = {
      common().bytes(),
      common().add("lm_head.weight", {kWidth, kWidth}).bytes(),
      common()
          .layers({{"self_attn.q_proj.bias", {kWidth}},
                   {"self_attn.k_proj.bias", {kWidth}},
                   {"self_attn.v_proj.bias", {kWidth}}})
          .bytes(),
      common()
          .layers({{"self_attn.q_norm.weight", {4}},
                   {"self_attn.k_norm.weight", {4}},
                   {"pre_feedforward_layernorm.weight", {kWidth}},
                   {"post_feedforward_layernorm.weight", {kWidth}}})
          .bytes(),
  };
  return all;
}

void check_model(const ModelFile& file) {
  const auto info = describe_model(file);
  if (!info) {
    testing::check_refusal(info.error(), kName);
  } else {
    HEADRACE_CHECK(info->n_layers > 0 && info->vocab_size == kWidth && info->n_heads % info->n_kv_heads == 0);
    HEADRACE_CHECK(testing::is_printable_text(info->name));
  }
  static const std::unique_ptr<Backend> backend = make_cpu_backend(cpu::Tier::portable, 1);
  MemoryLedger ledger(kWeightBudget);
  const auto model = load_model(file, *backend, ledger);
  if (!model) {
    testing::check_refusal(model.error(), kName);
  } else {
    HEADRACE_CHECK(info && info->n_layers == 2 && info->d_model == kWidth);
  }
}

}  // namespace
}  // namespace headrace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headrace;
  if (size == 0) return 0;
  const std::string& weights = all_weights()[data[0] % all_weights().size()];
  const std::string_view config(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto folder = HfFolder::parse(std::string(kName), config, std::as_bytes(std::span(weights)));
  if (!folder) {
    testing::check_refusal(folder.error(), kName);
    return 0;
  }
  check_model(std::move(folder).value());
  return 0;
}
