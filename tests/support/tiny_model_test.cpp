#include "tiny_model.h"

#include <cmath>

#include <gtest/gtest.h>

#include "formats/gguf.h"
#include "models/model.h"
#include "tensor/blocks.h"
#include "text/tokenizer_gguf.h"

namespace headrace::testing {
namespace {

constexpr DType kAllTypes[] = {DType::F32,  DType::F16,  DType::BF16, DType::Q8_0, DType::Q4_0,
                               DType::Q4_1, DType::Q5_0, DType::Q4_K, DType::Q5_K, DType::Q6_K};

TEST(TinyModel, WeightsOfEveryTypeHaveTheSpreadThatIsAskedFor) {
  for (const DType type : kAllTypes) {
    const std::string bytes = tiny_llama({.type = type}).bytes();
    const ModelFile file = GgufFile::parse("tiny", as_bytes(bytes)).value();
    const FileTensor* tensor = file.gguf()->find_tensor("blk.1.ffn_up.weight");
    ASSERT_NE(tensor, nullptr);
    ASSERT_EQ(tensor->type, type);
    const size_t k = tensor->row_elements();
    const size_t n = tensor->rows();
    std::vector<float> row(k);
    double sum = 0;
    double squares = 0;
    for (size_t r = 0; r < n; ++r) {
      dequantise_row(type, tensor->data.data() + r * *bytes_of(type, k), k, row.data());
      for (const float w : row) {
        sum += w;
        squares += static_cast<double>(w) * w;
      }
    }
    const double count = static_cast<double>(k * n);
    const double expected = 2.0 / std::sqrt(static_cast<double>(k));
    EXPECT_NEAR(std::sqrt(squares / count), expected, 0.1 * expected) << name_of(type);
    EXPECT_NEAR(sum / count, 0.0, 0.15 * expected) << name_of(type);
  }
}

TEST(TinyModel, BothFamiliesAreWhatTheirReadersExpect) {
  for (const DType type : kAllTypes) {
    for (const std::string& bytes :
         {tiny_llama({.type = type}).bytes(), tiny_gemma3({.type = type}).bytes()}) {
      const ModelFile file = GgufFile::parse("tiny", as_bytes(bytes)).value();
      const ModelInfo info = describe_model(file).value();
      EXPECT_EQ(load_tokenizer(*file.gguf()).value().vocab_size(), info.vocab_size);
    }
  }
}

TEST(TinyModel, ByteTokensAreWhereTheHeaderSays) {
  const std::string llama = tiny_llama().bytes();
  const std::string gemma = tiny_gemma3().bytes();
  const Tokenizer a = load_tokenizer(GgufFile::parse("llama", as_bytes(llama)).value()).value();
  const Tokenizer b = load_tokenizer(GgufFile::parse("gemma", as_bytes(gemma)).value()).value();
  for (int32_t byte = 0; byte < 256; ++byte) {
    const std::string expected(1, static_cast<char>(byte));
    EXPECT_EQ(a.piece(3 + byte), expected);
    EXPECT_EQ(b.piece(6 + byte), expected);
  }
  EXPECT_EQ(a.encode("the"), std::vector<TokenId>{260});
  EXPECT_EQ(b.encode("z"), (std::vector<TokenId>{2, 293}));
}

}  // namespace
}  // namespace headrace::testing
