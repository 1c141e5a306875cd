#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

namespace headrace {
namespace {

// A file of this header and this much data.
std::string file_of(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof length);
  bytes += header;
  for (size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

std::string refusal(const std::string& bytes) {
  const auto file = SafetensorsFile::parse("f", std::as_bytes(std::span(bytes)));
  return file ? "" : file.error().message;
}
std::string refusal_of(const std::string& header, size_t data_bytes) {
  return refusal(file_of(header, data_bytes));
}

constexpr const char* kA = R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})";

TEST(Safetensors, ATensorIsWhereTheHeaderSays) {
  const std::string bytes = file_of(std::string("{\"__metadata__\":{\"k\":\"v\"},") + kA +
                                        R"(,"b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}})",
                                    26);
  const SafetensorsFile file = SafetensorsFile::parse("f", std::as_bytes(std::span(bytes))).value();
  ASSERT_EQ(file.tensors().size(), 2U);
  const FileTensor* a = file.find_tensor("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->type, DType::F32);
  EXPECT_EQ(a->rows(), 2U);
  EXPECT_EQ(a->row_elements(), 3U);
  EXPECT_EQ(a->data.size(), 24U);
  EXPECT_EQ(static_cast<int>(a->data[1]), 1);
  const FileTensor* b = file.find_tensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->row_elements(), 1U);
  EXPECT_EQ(static_cast<int>(b->data[0]), 24);
  EXPECT_EQ(file.find_tensor("c"), nullptr);
  EXPECT_EQ(file.metadata().at("k"), "v");
}

TEST(Safetensors, ViewsLiveOnWhenTheFileIsMoved) {
  const std::string bytes = file_of(std::string("{") + kA + "}", 24);
  SafetensorsFile first = SafetensorsFile::parse("f", std::as_bytes(std::span(bytes))).value();
  const SafetensorsFile second = std::move(first);
  EXPECT_EQ(second.tensors()[0].name, "a");
  EXPECT_EQ(second.find_tensor("a")->name, "a");
}

TEST(Safetensors, EachTruncationIsRefused) {
  const std::string whole = file_of(std::string("{") + kA + "}", 24);
  ASSERT_EQ(refusal(whole), "");
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(refusal(whole.substr(0, length)), "") << length;
}

TEST(Safetensors, AHeaderBeyondTheFileOrTheLimitIsRefusedWithItsLength) {
  std::string bytes = file_of("{}", 0);
  bytes[4] = 1;  // 4 GiB
  EXPECT_NE(refusal(bytes).find("header of 4294967298 bytes, the limit is"), std::string::npos)
      << refusal(bytes);
  bytes[4] = 0;
  bytes[0] = 3;
  EXPECT_NE(refusal(bytes).find("does not end inside"), std::string::npos);
}

TEST(Safetensors, DataHasNoGapsOverlapsOrRest) {
  const auto two = [](const char* offsets, size_t bytes) {
    return refusal_of(
        std::string("{") + kA + R"(,"b":{"dtype":"F16","shape":[2],"data_offsets":)" + offsets + "}}", bytes);
  };
  EXPECT_EQ(two("[24,28]", 28), "");
  EXPECT_NE(two("[25,29]", 29).find("tensor b: its data begins at byte 25"), std::string::npos);
  EXPECT_NE(two("[20,24]", 24).find("tensor b"), std::string::npos);
  EXPECT_NE(two("[24,28]", 30).find("2 bytes behind the last tensor"), std::string::npos);
  EXPECT_NE(two("[24,28]", 27).find("tensor b: truncated"), std::string::npos);
}

TEST(Safetensors, EachWrongFieldIsNamed) {
  const auto with = [](const std::string& entry) { return refusal_of("{\"t\":" + entry + "}", 4); };
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"further":1})"), "");
  EXPECT_EQ(with(R"({"shape":[1],"data_offsets":[0,4]})"), "f: tensor t: dtype is missing");
  EXPECT_EQ(with(R"({"dtype":"F32","data_offsets":[0,4]})"), "f: tensor t: shape is missing");
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[1]})"), "f: tensor t: data_offsets is missing");
  EXPECT_NE(with(R"({"dtype":"I64","shape":[1],"data_offsets":[0,4]})").find("dtype 'I64' is not supported"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype":7,"shape":[1],"data_offsets":[0,4]})").find("dtype: expected a string"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})")
                .find("shape: expected a number of 0 or more"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})").find("shape: expected an array"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]})").find("5 dimensions"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})").find("expected [begin, end]"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})").find("don't hold shape [2] of F32"),
            std::string::npos);
  EXPECT_NE(with(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})").find("data_offsets [4, 0]"),
            std::string::npos);
  EXPECT_NE(
      with(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]})").find("don't hold"),
      std::string::npos);
  EXPECT_NE(with("3").find("expected an object, found the number 3"), std::string::npos);
}

TEST(Safetensors, AHeaderThatIsNoObjectOfUniqueKeysIsRefused) {
  EXPECT_NE(refusal_of("[]", 0).find("expected a JSON object, found an array of 0"), std::string::npos);
  EXPECT_NE(refusal_of("{", 0).find("f: header: "), std::string::npos);
  EXPECT_NE(refusal_of(std::string("{") + kA + "," + kA + "}", 24).find("the key \"a\" stands twice"),
            std::string::npos);
  EXPECT_NE(refusal_of(R"({"__metadata__":{"k":1}})", 0).find("__metadata__: k: expected a string"),
            std::string::npos);
  EXPECT_NE(refusal_of(R"({"__metadata__":[]})", 0).find("__metadata__: expected an object"),
            std::string::npos);
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "[";
  EXPECT_NE(refusal_of("{\"t\":" + deep, 0), "");
}

}  // namespace
}  // namespace headrace
