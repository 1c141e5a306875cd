#include "models/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "formats/testing/gguf_writer.h"
#include "ops/cpu/cpu_backend.h"

namespace headrace {
namespace {

using headrace::testing::as_bytes;
using headrace::testing::GgufWriter;

// A llama file of one layer with zero weights; tests change one thing and look at the answer.
struct TinyFile {
  uint32_t d_model = 32;
  uint32_t d_ff = 16;
  uint32_t vocab = 8;
  float rope_base = 10000.0F;
  std::vector<std::string> left_out = {};
  std::vector<std::pair<std::string, std::vector<uint64_t>>> reshaped = {};
  std::vector<std::pair<std::string, std::vector<uint64_t>>> extra = {};

  GgufWriter writer() const {
    GgufWriter file;
    file.add("general.architecture", std::string("llama"));
    file.add("llama.block_count", uint32_t{1});
    file.add("llama.embedding_length", d_model);
    file.add("llama.feed_forward_length", d_ff);
    file.add("llama.attention.head_count", d_model / 16);
    file.add("llama.context_length", uint32_t{128});
    file.add("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    file.add("llama.rope.freq_base", rope_base);
    std::vector<std::pair<std::string, std::vector<uint64_t>>> tensors = {
        {"token_embd.weight", {d_model, vocab}},     {"output_norm.weight", {d_model}},
        {"blk.0.attn_norm.weight", {d_model}},       {"blk.0.ffn_norm.weight", {d_model}},
        {"blk.0.attn_q.weight", {d_model, d_model}}, {"blk.0.attn_k.weight", {d_model, d_model}},
        {"blk.0.attn_v.weight", {d_model, d_model}}, {"blk.0.attn_output.weight", {d_model, d_model}},
        {"blk.0.ffn_gate.weight", {d_model, d_ff}},  {"blk.0.ffn_up.weight", {d_model, d_ff}},
        {"blk.0.ffn_down.weight", {d_ff, d_model}},
    };
    tensors.insert(tensors.end(), extra.begin(), extra.end());
    for (auto& [name, dims] : tensors) {
      if (std::ranges::find(left_out, name) != left_out.end()) continue;
      for (const auto& [other, shape] : reshaped) {
        if (other == name) dims = shape;
      }
      uint64_t elements = 1;
      for (const uint64_t dim : dims) elements *= dim;
      file.tensor(name, dims, std::vector<float>(elements, 0.0F));
    }
    return file;
  }

  Result<std::unique_ptr<Model>> load(MemoryLedger& ledger, Backend& backend) const {
    GgufWriter file = writer();
    const std::string bytes = file.bytes();
    HEADRACE_TRY(GgufFile gguf, GgufFile::parse("tiny.gguf", as_bytes(bytes)));
    const ModelFile parsed(std::move(gguf));
    return load_model(parsed, backend, ledger);
  }
  std::string refusal() const {
    MemoryLedger ledger(1 << 28);
    const auto backend = make_cpu_backend(cpu::Tier::portable, 1);
    const auto model = load(ledger, *backend);
    return model ? "" : model.error().message;
  }
};

TEST(LoadModel, TheUnchangedFileLoads) {
  EXPECT_EQ(TinyFile{}.refusal(), "");
}

TEST(LoadModel, AMissingTensorIsNamed) {
  EXPECT_EQ(TinyFile{.left_out = {"blk.0.ffn_up.weight"}}.refusal(),
            "tiny.gguf: tensor blk.0.ffn_up.weight is missing");
}

TEST(LoadModel, AWrongShapeNamesExpectedAndFound) {
  EXPECT_EQ((TinyFile{.reshaped = {{"blk.0.ffn_up.weight", {32, 17}}}}.refusal()),
            "tiny.gguf: tensor blk.0.ffn_up.weight: expected shape [32, 16], found [32, 17]");
}

TEST(LoadModel, ATensorThatWouldBeLeftOutOfTheComputationIsRefused) {
  EXPECT_NE((TinyFile{.extra = {{"blk.0.attn_gate.weight", {32, 32}}}}.refusal().find("attn_gate.weight")),
            std::string::npos);
}

TEST(LoadModel, ATensorsNameReachesAMessageOnlyInPrintableForm) {
  EXPECT_NE((TinyFile{.extra = {{"\x1b[2J\xff", {32}}}}.refusal().find("tensor \\x1b[2J\\xff [32]")),
            std::string::npos);
}

TEST(LoadModel, MatricesOfOneRowNeverOutgrowTheirMemory) {
  // A row of a panel layout takes more than its floats.
  EXPECT_EQ((TinyFile{.d_model = 2048, .d_ff = 1, .vocab = 1}.refusal()), "");
}

TEST(LoadModel, FrequenciesThatNoAngleFitsAreRefused) {
  for (const float base : {1e-30F, std::numeric_limits<float>::denorm_min()}) {
    EXPECT_NE(TinyFile{.rope_base = base}.refusal().find("rope.freq_base"), std::string::npos) << base;
  }
}

TEST(LoadModel, RefusesMoreThanTheBudgetBeforeItAllocates) {
  MemoryLedger ledger(1000);
  const auto backend = make_cpu_backend(cpu::Tier::portable, 1);
  const auto model = TinyFile{}.load(ledger, *backend);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Errc::out_of_budget);
  EXPECT_EQ(ledger.high_water(MemoryUse::weights), 0U);
}

TEST(LoadModel, AnUnknownArchitectureIsNamedWithTheKnownOnes) {
  GgufWriter file;
  file.add("general.architecture", std::string("mamba"));
  const std::string bytes = file.bytes();
  const ModelFile parsed = GgufFile::parse("m.gguf", as_bytes(bytes)).value();
  const auto info = describe_model(parsed);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Errc::unsupported);
  EXPECT_EQ(info.error().message,
            "m.gguf: general.architecture 'mamba' is not supported (supported: llama, qwen2, gemma3)");
}

TEST(LoadModel, AGemmaWithASoftCapOnLogitsIsRefused) {
  // A cap of 1 is no identity: it would be the strongest of all.
  for (const float cap : {1.0F, 30.0F}) {
    GgufWriter file;
    file.add("general.architecture", std::string("gemma3"));
    for (const char* key : {"block_count", "embedding_length", "feed_forward_length", "attention.head_count",
                            "context_length", "attention.sliding_window"}) {
      file.add(std::string("gemma3.") + key, uint32_t{8});
    }
    file.add("gemma3.attention.layer_norm_rms_epsilon", 1e-5F);
    file.add("gemma3.attention.key_length", uint32_t{4});
    file.add("gemma3.final_logit_softcapping", cap);
    file.tensor("token_embd.weight", {8, 4}, std::vector<float>(32, 0.0F));
    const std::string bytes = file.bytes();
    const ModelFile parsed = GgufFile::parse("g.gguf", as_bytes(bytes)).value();
    const auto info = describe_model(parsed);
    ASSERT_FALSE(info);
    EXPECT_NE(info.error().message.find("soft cap"), std::string::npos);
  }
}

}  // namespace
}  // namespace headrace
