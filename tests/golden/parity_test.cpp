// Logits of Hugging Face's transformers, float32, on tiny checkpoints of each family (models/make.py).
#include <gtest/gtest.h>

#include <cstring>

#include "logits.h"

namespace headrace::golden {
namespace {

constexpr double kTolerance = 1e-4;  // of the logits' standard deviation

class Parity : public ::testing::TestWithParam<std::string> {
 protected:
  void expect_equal_to_transformers(const ModelFile& file, const char* form) {
    const Golden golden = read_golden(GetParam());
    ASSERT_EQ(golden.tokens.size(), 256U);
    const std::vector<float> prefill = all_logits(file, golden.tokens, golden.tokens.size()).value();
    const std::vector<float> steps = all_logits(file, golden.tokens, 1).value();
    ASSERT_EQ(prefill.size(), golden.logits.size());
    const double of_prefill = largest_difference(prefill, golden.logits) / golden.deviation;
    const double of_steps = largest_difference(steps, golden.logits) / golden.deviation;
    EXPECT_LE(of_prefill, kTolerance);
    EXPECT_LE(of_steps, kTolerance);
    EXPECT_EQ(std::memcmp(prefill.data(), steps.data(), prefill.size() * sizeof(float)), 0);
    RecordProperty(std::string(form) + "_difference", fmt::format("{:.2e}", of_prefill));
    fmt::print("{:<24} {:<12} max |difference| / deviation {:.2e}, deviation {:.2f}\n", GetParam(), form,
               of_prefill, golden.deviation);
  }
};

TEST_P(Parity, SafetensorsGiveTheLogitsOfTransformers) {
  expect_equal_to_transformers(ModelFile::open(checkpoints_folder() / GetParam()).value(), "safetensors");
}

TEST_P(Parity, GgufOfLlamaCppsConverterGivesTheLogitsOfTransformers) {
  expect_equal_to_transformers(ModelFile::open(checkpoints_folder() / GetParam() / "model.gguf").value(),
                               "gguf");
}

std::string test_name(const ::testing::TestParamInfo<std::string>& checkpoint) {
  std::string name = checkpoint.param;
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Parity, ::testing::ValuesIn(checkpoint_names()), test_name);

}  // namespace
}  // namespace headrace::golden
