#include "text/tokenizer_gguf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "formats/gguf.h"
#include "formats/testing/gguf_writer.h"

namespace headrace {
namespace {

using testing::GgufWriter;
using Ids = std::vector<TokenId>;

const std::string kMark = "\xE2\x96\x81";

Result<Tokenizer> load(const GgufWriter& writer) {
  const std::string bytes = writer.bytes();
  const GgufFile file = GgufFile::parse("small.gguf", testing::as_bytes(bytes)).value();
  return load_tokenizer(file);  // the file and its bytes are gone when the tokenizer is used
}

GgufWriter byte_level() {
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "gpt2")
      .add("tokenizer.ggml.pre", "smollm")
      .add("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab", "<|im_end|>"})
      .add("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1, 3})
      .add("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
  return writer;
}

GgufWriter sentencepiece() {
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "llama")
      .add("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "<s>", "</s>", kMark, "a", kMark + "a"})
      .add("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 1, 1, 1})
      .add("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, -2, -3, -1});
  return writer;
}

TEST(TokenizerGguf, AByteLevelTokenizerIsRead) {
  GgufWriter writer = byte_level();
  writer.add("tokenizer.ggml.eos_token_id", uint32_t{3}).add("tokenizer.chat_template", "{{ messages }}");
  const Tokenizer tokenizer = load(writer).value();
  EXPECT_EQ(tokenizer.vocab_size(), 4u);
  EXPECT_EQ(tokenizer.encode("aba<|im_end|>"), (Ids{2, 0, 3}));
  EXPECT_EQ(tokenizer.eos(), 3);
  EXPECT_EQ(tokenizer.bos(), std::nullopt);
  EXPECT_TRUE(tokenizer.is_end_of_generation(3));
  EXPECT_EQ(tokenizer.chat_template(), "{{ messages }}");
}

TEST(TokenizerGguf, Qwen2NormalisesAlthoughTheFileDoesNotSaySo) {
  const auto ids = [](const char* pre) {
    GgufWriter writer;
    writer.add("tokenizer.ggml.model", "gpt2")
        .add("tokenizer.ggml.pre", pre)
        .add("tokenizer.ggml.tokens",
             std::vector<std::string>{"e", "\xC3\x83", "\xC2\xA9", "\xC3\x8C", "\xC4\xA3"})
        .add("tokenizer.ggml.merges", std::vector<std::string>{});
    return load(writer).value().encode("e\xCC\x81");  // and the bytes of U+00E9 and U+0301 are tokens 1 to 4
  };
  EXPECT_EQ(ids("qwen2"), (Ids{1, 2}));
  EXPECT_EQ(ids("gpt-2"), (Ids{0, 3, 4}));
}

TEST(TokenizerGguf, ASentencePieceFileThatSaysNothingMeansLlama2sRules) {
  const Tokenizer tokenizer = load(sentencepiece()).value();
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_EQ(tokenizer.encode("a?a"), (Ids{1, 5, 0, 4}));
  EXPECT_EQ(tokenizer.chat_template(), "");
}

TEST(TokenizerGguf, FlagsOfTheFileOverrideTheDefaults) {
  GgufWriter writer = sentencepiece();
  writer.add("tokenizer.ggml.add_bos_token", false)
      .add("tokenizer.ggml.add_eos_token", true)
      .add("tokenizer.ggml.add_space_prefix", false);
  EXPECT_EQ(load(writer).value().encode("a"), (Ids{4, 2}));
}

TEST(TokenizerGguf, BrokenFilesAreRefusedByFileAndKey) {
  struct Case {
    std::string key;
    Errc code;
    GgufWriter writer;
  };
  const std::vector<Case> cases = {
      {"tokenizer.ggml.model", Errc::bad_model, GgufWriter()},
      {"tokenizer.ggml.model", Errc::unsupported, GgufWriter().add("tokenizer.ggml.model", "t5")},
      {"tokenizer.ggml.tokens", Errc::bad_model, GgufWriter().add("tokenizer.ggml.model", "gpt2")},
      {"tokenizer.ggml.merges", Errc::bad_model,
       GgufWriter()
           .add("tokenizer.ggml.model", "gpt2")
           .add("tokenizer.ggml.tokens", std::vector<std::string>{"a"})},
      {"tokenizer.ggml.scores", Errc::bad_model,
       GgufWriter()
           .add("tokenizer.ggml.model", "llama")
           .add("tokenizer.ggml.tokens", std::vector<std::string>{"a"})},
      {"tokenizer.ggml.eos_token_id", Errc::bad_model,
       byte_level().add("tokenizer.ggml.eos_token_id", uint32_t{4})},
      {"tokenizer.ggml.eos_token_id", Errc::bad_model,
       byte_level().add("tokenizer.ggml.eos_token_id", uint32_t{0xFFFFFFFF})},
      {"tokenizer.ggml.bos_token_id", Errc::bad_model,
       byte_level().add("tokenizer.ggml.bos_token_id", "<s>")},
      {"tokenizer.ggml.add_bos_token", Errc::bad_model,
       byte_level().add("tokenizer.ggml.add_bos_token", true)},
      {"tokenizer.chat_template", Errc::bad_model, byte_level().add("tokenizer.chat_template", uint32_t{1})},
  };
  for (const Case& broken : cases) {
    const auto refused = load(broken.writer);
    ASSERT_FALSE(refused) << broken.key;
    EXPECT_EQ(refused.error().code, broken.code) << refused.error().message;
    EXPECT_TRUE(refused.error().message.starts_with("small.gguf: ")) << refused.error().message;
    EXPECT_NE(refused.error().message.find(broken.key), std::string::npos) << refused.error().message;
  }
}

TEST(TokenizerGguf, KindsOutsideTheFormatAreRefused) {
  for (const int32_t kind : {0, 7, -1}) {
    GgufWriter writer;
    writer.add("tokenizer.ggml.model", "gpt2")
        .add("tokenizer.ggml.tokens", std::vector<std::string>{"a"})
        .add("tokenizer.ggml.merges", std::vector<std::string>{})
        .add("tokenizer.ggml.token_type", std::vector<int32_t>{kind});
    const auto refused = load(writer);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("tokenizer.ggml.token_type"), std::string::npos);
  }
}

TEST(TokenizerGguf, AnUnknownPreTokenizerIsRefusedByName) {
  GgufWriter writer;
  writer.add("tokenizer.ggml.model", "gpt2")
      .add("tokenizer.ggml.pre", "klingon")
      .add("tokenizer.ggml.tokens", std::vector<std::string>{"a"})
      .add("tokenizer.ggml.merges", std::vector<std::string>{});
  const auto refused = load(writer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unsupported);
  EXPECT_NE(refused.error().message.find("klingon"), std::string::npos);
}

}  // namespace
}  // namespace headrace
