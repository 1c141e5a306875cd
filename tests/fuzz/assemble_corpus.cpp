// Writes the beginnings of the corpus that no fuzzer would stumble upon: whole models, as small as they get.
#include <cstdio>
#include <filesystem>
#include <limits>

#include "formats/testing/gguf_writer.h"

namespace headrace {
namespace {

using testing::GgufWriter;

constexpr uint32_t kWidth = 8;
constexpr uint32_t kHeads = 2;
constexpr uint32_t kVocab = 4;

// Every type of value and of tensor.
GgufWriter all_types() {
  GgufWriter file(2, 64);
  file.add("u8", uint8_t{1}).add("i8", int8_t{-1}).add("u16", uint16_t{2}).add("i16", int16_t{-2});
  file.add("u32", uint32_t{3}).add("i32", int32_t{-3}).add("u64", uint64_t{4}).add("i64", int64_t{-4});
  file.add("f32", 0.5F)
      .add("f64", std::numeric_limits<double>::infinity())
      .add("bool", true)
      .add("string", "s");
  file.add("u8s", std::vector<uint8_t>{1, 2}).add("i8s", std::vector<int8_t>{-1, 2});
  file.add("u16s", std::vector<uint16_t>{1, 2}).add("i16s", std::vector<int16_t>{-1, 2});
  file.add("u32s", std::vector<uint32_t>{1, 2}).add("i32s", std::vector<int32_t>{-1, 2});
  file.add("u64s", std::vector<uint64_t>{1, 1ULL << 63}).add("i64s", std::vector<int64_t>{-1, 2});
  file.add("f32s", std::vector<float>{1, 2}).add("f64s", std::vector<double>{1, 2, 3, 4, 5, 6, 7});
  file.add("bools", std::vector<bool>{true, false}).add("strings", std::vector<std::string>{"a", "\n\xFF"});
  for (size_t i = 0; i < kDTypes; ++i) {
    const auto type = static_cast<DType>(i);
    const DTypeInfo& info = info_of(type);
    file.tensor(info.name, type, {info.block_elements, 1, 1, 1}, std::string(info.block_bytes, '\x3C'));
  }
  return file;
}

class Model {
 public:
  explicit Model(const std::string& architecture) : architecture_(architecture) {
    file_.add("general.architecture", architecture).add("general.name", "m");
    key("block_count", uint32_t{1});
    key("embedding_length", kWidth);
    key("context_length", uint32_t{16});
    key("attention.head_count", kHeads);
    key("attention.layer_norm_rms_epsilon", 1e-5F);
    weights("token_embd.weight", {kWidth, kVocab});
    weights("output_norm.weight", {kWidth});
    layer("attn_norm.weight", {kWidth});
    layer("attn_q.weight", {kWidth, kWidth});
    layer("attn_output.weight", {kWidth, kWidth});
    layer("ffn_norm.weight", {kWidth});
    layer("ffn_gate.weight", {kWidth, kWidth});
    layer("ffn_up.weight", {kWidth, kWidth});
    layer("ffn_down.weight", {kWidth, kWidth});
  }

  template <typename T>
  void key(const std::string& name, const T& value) {
    file_.add(architecture_ + "." + name, value);
  }
  void weights(const std::string& name, const std::vector<uint64_t>& dims) {
    uint64_t elements = 1;
    for (const uint64_t dim : dims) elements *= dim;
    file_.tensor(name, DType::F16, dims, std::string(2 * elements, '\x2C'));
  }
  void layer(const std::string& name, const std::vector<uint64_t>& dims) { weights("blk.0." + name, dims); }
  const GgufWriter& file() const { return file_; }

 private:
  std::string architecture_;
  GgufWriter file_;
};

GgufWriter llama() {
  Model model("llama");
  model.key("feed_forward_length", std::vector<int32_t>{kWidth});
  model.key("attention.head_count_kv", std::vector<uint32_t>{1});
  model.key("rope.dimension_count", uint32_t{4});
  model.key("rope.freq_base", 5e5F);
  model.key("rope.scaling.type", "linear");
  model.key("rope.scaling.factor", 2.0F);
  model.layer("attn_q.bias", {kWidth});
  model.layer("attn_k.weight", {kWidth, kWidth / 2});
  model.layer("attn_v.weight", {kWidth, kWidth / 2});
  model.weights("output.weight", {kWidth, kVocab});
  model.weights("rope_freqs.weight", {2});
  return model.file();
}

GgufWriter gemma3() {
  Model model("gemma3");
  model.key("feed_forward_length", kWidth);
  model.key("attention.key_length", uint32_t{4});
  model.key("attention.value_length", uint32_t{4});
  model.key("attention.sliding_window", uint32_t{2});
  model.key("attention.sliding_window_pattern", uint32_t{2});
  model.key("rope.freq_base_swa", 1e4F);
  model.layer("attn_k.weight", {kWidth, kWidth});
  model.layer("attn_v.weight", {kWidth, kWidth});
  model.layer("attn_q_norm.weight", {4});
  model.layer("attn_k_norm.weight", {4});
  model.layer("post_attention_norm.weight", {kWidth});
  model.layer("post_ffw_norm.weight", {kWidth});
  return model.file();
}

GgufWriter part_of_a_split_model() {
  GgufWriter file;
  return file.add("split.count", uint16_t{3});
}

}  // namespace
}  // namespace headrace

int main(int argc, char** argv) {
  using namespace headrace;
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const std::filesystem::path folder = std::filesystem::path(argv[1]) / "gguf";
  std::filesystem::create_directories(folder);
  const std::pair<const char*, GgufWriter> seeds[] = {
      {"types", all_types()}, {"llama", llama()}, {"gemma3", gemma3()}, {"split", part_of_a_split_model()}};
  for (const auto& [name, file] : seeds) {
    if (const Status written = file.write(folder / name); !written) {
      std::fprintf(stderr, "%s\n", written.error().message.c_str());
      return 1;
    }
  }
  return 0;
}
