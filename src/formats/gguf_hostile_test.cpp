// Files that are wrong in one way each, and files that are wrong in any way.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <limits>
#include <random>

#include "formats/gguf.h"
#include "formats/gguf_reader.h"
#include "formats/testing/gguf_writer.h"

namespace headrace {
namespace {

using testing::as_bytes;
using testing::bytes_of_values;
using testing::GgufWriter;

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
constexpr uint32_t kF32 = 0;

template <typename T>
std::string raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string raw_string(std::string_view text) {
  return raw<uint64_t>(text.size()) + std::string(text);
}

// Every part of the reader's work occurs in it; it ends with the last tensor's last byte.
std::string small_file() {
  return GgufWriter(3, 64)
      .add("general.architecture", "tiny")
      .add("count", uint16_t{3})
      .add("rate", 0.5f)
      .add("flags", std::vector<bool>{true, false})
      .add("words", std::vector<std::string>{"one", "two"})
      .add("ids", std::vector<int32_t>{-1, 2})
      .tensor("a.weight", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8})
      .tensor("b.weight", DType::Q4_0, {32, 2}, std::string(36, '\x12'))
      .bytes();
}

Error refusal(std::string_view bytes) {
  auto file = GgufFile::parse("test.gguf", as_bytes(bytes));
  if (file) return Error{Errc::usage, "accepted"};
  return std::move(file).error();
}

void expect_refused(std::string_view bytes, Errc code, std::string_view message) {
  const Error error = refusal(bytes);
  EXPECT_EQ(error.message, "test.gguf: " + std::string(message));
  EXPECT_EQ(error.code, code) << message;
}

void expect_bad(const GgufWriter& writer, std::string_view message) {
  expect_refused(writer.bytes(), Errc::bad_model, message);
}

TEST(GgufHostile, AFileCutAtAnyByteIsRefusedByName) {
  const std::string whole = small_file();
  ASSERT_EQ(refusal(whole).message, "accepted");
  for (size_t size = 0; size < whole.size(); ++size) {
    // A copy of exactly that size, so that a sanitizer sees the first byte read behind it.
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    const Error error = refusal(std::string_view(cut.data(), cut.size()));
    EXPECT_EQ(error.code, Errc::bad_model) << size;
    EXPECT_EQ(error.message.rfind("test.gguf: ", 0), 0u) << size << error.message;
    EXPECT_NE(error.message.find("truncated"), std::string::npos) << size << ": " << error.message;
  }
}

TEST(GgufHostile, ATruncationSaysWhereAndHowMuchIsMissing) {
  const std::string bytes = GgufWriter().add("x", uint64_t{1}).bytes();
  expect_refused(bytes.substr(0, bytes.size() - 5), Errc::bad_model,
                 "truncated: key 'x' at byte 37 needs 8 bytes, 3 are left");
  expect_refused("GGUF\3", Errc::bad_model, "truncated: header at byte 4 needs 4 bytes, 1 is left");
}

TEST(GgufHostile, WhatIsNoGgufFileIsRefusedWithItsFirstBytes) {
  const std::string rest(100, '\0');
  expect_refused("PK\3\4" + rest, Errc::bad_model,
                 "not a GGUF file: it begins with 'PK\\x03\\x04', expected 'GGUF'");
  expect_refused("<!DOCTYPE html>", Errc::bad_model,
                 "not a GGUF file: it begins with '<!DO', expected 'GGUF'");
}

TEST(GgufHostile, OtherVersionsAndByteOrdersAreRefusedByName) {
  expect_refused(GgufWriter(1).bytes(), Errc::unsupported,
                 "GGUF version 1 is not supported, expected 2 or 3");
  expect_refused(GgufWriter(4).bytes(), Errc::unsupported,
                 "GGUF version 4 is not supported, expected 2 or 3");
  expect_refused(GgufWriter(0).bytes(), Errc::unsupported,
                 "GGUF version 0 is not supported, expected 2 or 3");
  expect_refused(GgufWriter(3u << 24).bytes(), Errc::unsupported, "big-endian GGUF files are not supported");
  expect_refused("FUGG" + GgufWriter().bytes().substr(4), Errc::unsupported,
                 "big-endian GGUF files are not supported");
}

TEST(GgufHostile, HugeCountsAreRefusedBeforeAnythingIsAllocated) {
  expect_bad(GgufWriter().claim_keys(kHuge),
             "header: claims 18446744073709551615 metadata keys, at most 65536 are accepted");
  expect_bad(GgufWriter().claim_tensors(kHuge),
             "header: claims 18446744073709551615 tensors, at most 131072 are accepted");
  expect_bad(GgufWriter().claim_keys(kMaxMetadataKeys),
             "header: truncated: claims 65536 metadata keys, the 0 bytes behind it cannot hold them");
  expect_bad(GgufWriter().claim_tensors(kMaxTensors),
             "header: truncated: claims 131072 tensors, the 0 bytes behind it cannot hold them");
  const auto u64 = static_cast<uint32_t>(GgufType::u64);
  expect_bad(GgufWriter().add_array_raw("a", u64, kHuge, ""),
             "key 'a': claims 18446744073709551615 array elements, at most 16777216 are accepted");
  expect_bad(GgufWriter().add_array_raw("a", u64, kMaxArrayElements, ""),
             "key 'a': truncated: claims 16777216 array elements, the 0 bytes behind it cannot hold them");
  const auto string = static_cast<uint32_t>(GgufType::string);
  expect_bad(GgufWriter().add_array_raw("a", string, kMaxArrayElements, raw_string("x")),
             "key 'a': truncated: claims 16777216 array elements, the 9 bytes behind it cannot hold them");
}

TEST(GgufHostile, HugeStringLengthsAreRefused) {
  const auto string = static_cast<uint32_t>(GgufType::string);
  expect_bad(
      GgufWriter().add_raw("s", string, raw(kHuge)),
      "key 's': the string at byte 37 is 18446744073709551615 bytes long, at most 67108864 are accepted");
  expect_bad(GgufWriter().add_raw("s", string, raw(kMaxStringBytes)),
             "truncated: key 's' at byte 45 needs 67108864 bytes, 0 are left");
  std::string bytes = GgufWriter().add("s", uint64_t{0}).bytes();
  bytes.replace(24, 8, raw(kHuge));
  expect_refused(
      bytes, Errc::bad_model,
      "key number 1: the name at byte 24 is 18446744073709551615 bytes long, at most 65536 are accepted");
  std::string tensor = GgufWriter().tensor("t", {1}, {1}).bytes();
  tensor.replace(24, 8, raw(kMaxNameBytes + 1));
  expect_refused(tensor, Errc::bad_model,
                 "tensor number 1: the name at byte 24 is 65537 bytes long, at most 65536 are accepted");
}

TEST(GgufHostile, UnknownAndNestedValueTypesAreRefused) {
  expect_bad(GgufWriter().add_raw("v", 13, raw(kHuge)),
             "key 'v': the value's type is number 13, expected less than 13");
  expect_bad(GgufWriter().add_raw("v", 0xFFFFFFFF, raw(kHuge)),
             "key 'v': the value's type is number 4294967295, expected less than 13");
  expect_bad(GgufWriter().add_array_raw("v", 13, 1, raw(kHuge)),
             "key 'v': the elements' type is number 13, expected less than 13");
  const auto array = static_cast<uint32_t>(GgufType::array);
  expect_refused(GgufWriter().add_array_raw("v", array, 1, raw(kHuge)).bytes(), Errc::unsupported,
                 "key 'v': arrays of arrays are not supported");
}

TEST(GgufHostile, ABoolThatIsNeitherTrueNorFalseIsRefused) {
  const auto boolean = static_cast<uint32_t>(GgufType::boolean);
  expect_bad(GgufWriter().add_raw("b", boolean, "\x02"), "key 'b': a bool is stored as 2, expected 0 or 1");
  expect_bad(GgufWriter().add_array_raw("b", boolean, 2, "\x01\xff"),
             "key 'b': a bool is stored as 255, expected 0 or 1");
}

TEST(GgufHostile, AlignmentsOtherThanSmallPowersOfTwoAreRefused) {
  const std::string begin = "key 'general.alignment': expected a power of two from 8 to 65536, found ";
  expect_bad(GgufWriter().add("general.alignment", uint32_t{0}), begin + "u32 0");
  expect_bad(GgufWriter().add("general.alignment", uint32_t{4}), begin + "u32 4");
  expect_bad(GgufWriter().add("general.alignment", uint32_t{48}), begin + "u32 48");
  expect_bad(GgufWriter().add("general.alignment", uint32_t{131072}), begin + "u32 131072");
  expect_bad(GgufWriter().add("general.alignment", uint64_t{1} << 63), begin + "u64 9223372036854775808");
  expect_bad(GgufWriter().add("general.alignment", int32_t{-32}), begin + "i32 -32");
  expect_bad(GgufWriter().add("general.alignment", "32"), begin + "string \"32\"");
  expect_bad(GgufWriter().add("general.alignment", std::vector<uint32_t>{32}), begin + "array of u32 [32]");
}

TEST(GgufHostile, NamesThatStandTwiceAreRefused) {
  expect_bad(GgufWriter().add("k", uint8_t{1}).add("other", true).add("k", uint8_t{1}),
             "key 'k' stands twice in the file");
  expect_bad(GgufWriter().tensor("t", {1}, {1}).tensor("other", {1}, {1}).tensor("t", {1}, {1}),
             "tensor t stands twice in the file");
}

TEST(GgufHostile, OnePartOfASplitModelIsRefused) {
  expect_refused(GgufWriter().add("split.count", uint16_t{3}).bytes(), Errc::unsupported,
                 "is one of 3 parts of a split model: merge them into one file");
  EXPECT_EQ(refusal(GgufWriter().add("split.count", uint16_t{1}).bytes()).message, "accepted");
}

TEST(GgufHostile, TensorTypesThatWeDoNotReadAreRefusedByNumberAndName) {
  const auto with_type = [](uint32_t type) {
    return GgufWriter().tensor_raw("blk.3.ffn_up.weight", type, {256}, std::string(256, 'x')).bytes();
  };
  expect_refused(with_type(41), Errc::unsupported, "tensor blk.3.ffn_up.weight: type 41 is not supported");
  expect_refused(with_type(10), Errc::unsupported,
                 "tensor blk.3.ffn_up.weight: type 10 (Q2_K) is not supported");
  expect_refused(with_type(0xFFFFFFFF), Errc::unsupported,
                 "tensor blk.3.ffn_up.weight: type 4294967295 is not supported");
}

TEST(GgufHostile, ImpossibleShapesAreRefused) {
  const std::string one = bytes_of_values<float>({1});
  expect_bad(GgufWriter().tensor_raw("t", kF32, {}, one), "tensor t: has 0 dimensions, expected 1 to 4");
  expect_bad(GgufWriter().tensor_raw("t", kF32, {1, 1, 1, 1, 1}, one),
             "tensor t: has 5 dimensions, expected 1 to 4");
  expect_bad(GgufWriter().tensor_raw("t", kF32, {4, 0}, one), "tensor t: dimension 1 is 0");
  expect_bad(GgufWriter().tensor_raw("t", kF32, {1ull << 32, 1ull << 32}, one),
             "tensor t: shape [4294967296, 4294967296]: 2^64 elements or more");
  // 2^62 elements of four bytes: the product fits, the number of bytes does not.
  expect_bad(
      GgufWriter().tensor_raw("t", kF32, {1ull << 31, 1ull << 31}, one),
      "tensor t: truncated: F32 [2147483648, 2147483648] at offset 0 of the data, which begins at byte 96, "
      "does not end inside the file's 100 bytes");
  expect_bad(GgufWriter().tensor("t", DType::Q4_0, {48}, std::string(27, 'x')),
             "tensor t: shape [48]: a row must be a multiple of Q4_0's block of 32 elements");
  // 512 elements are two whole blocks, but no row is.
  expect_bad(GgufWriter().tensor("t", DType::Q4_K, {128, 4}, std::string(288, 'x')),
             "tensor t: shape [128, 4]: a row must be a multiple of Q4_K's block of 256 elements");
}

TEST(GgufHostile, OffsetsOutsideTheFileOrTheAlignmentAreRefused) {
  const std::string one = bytes_of_values<float>({1});
  expect_bad(GgufWriter().tensor_raw("t", kF32, {1}, one, 4),
             "tensor t: offset 4: expected a multiple of the alignment 32");
  expect_bad(GgufWriter(3, 64).tensor_raw("t", kF32, {1}, one, 32),
             "tensor t: offset 32: expected a multiple of the alignment 64");
  const std::string end = " of the data, which begins at byte 64, does not end inside the file's 68 bytes";
  expect_bad(GgufWriter().tensor_raw("t", kF32, {1}, one, 32),
             "tensor t: truncated: F32 [1] at offset 32" + end);
  expect_bad(GgufWriter().tensor_raw("t", kF32, {2}, one, 0),
             "tensor t: truncated: F32 [2] at offset 0" + end);
  expect_bad(GgufWriter().tensor_raw("t", kF32, {1}, one, kHuge - 31),
             "tensor t: truncated: F32 [1] at offset 18446744073709551584" + end);
  // The beginning fits in 64 bits, the end does not.
  expect_bad(GgufWriter().tensor_raw("t", kF32, {1ull << 61}, one, 1ull << 63),
             "tensor t: truncated: F32 [2305843009213693952] at offset 9223372036854775808 of the data, "
             "which begins "
             "at byte 64, does not end inside the file's 68 bytes");
}

TEST(GgufHostile, TensorsThatShareAByteAreRefused) {
  const std::string nine = std::string(36, 'x');
  expect_bad(GgufWriter().tensor_raw("a", kF32, {9}, nine, 0).tensor_raw("b", kF32, {1}, nine, 32),
             "tensors a and b overlap at byte 128");
  expect_bad(GgufWriter().tensor_raw("a", kF32, {1}, nine, 0).tensor_raw("b", kF32, {1}, nine, 0),
             "tensors a and b overlap at byte 96");
  EXPECT_EQ(
      refusal(GgufWriter().tensor_raw("a", kF32, {8}, nine, 32).tensor_raw("b", kF32, {8}, nine, 0).bytes())
          .message,
      "accepted");
}

TEST(GgufHostile, NamesReachMessagesWithoutTheirControlCharacters) {
  const auto boolean = static_cast<uint32_t>(GgufType::boolean);
  expect_bad(GgufWriter().add_raw("\x1b[2J\xff", boolean, "\x02"),
             "key '\\x1b[2J\\xff': a bool is stored as 2, expected 0 or 1");
  const Error error = refusal(GgufWriter().add_raw(std::string(60000, 'k'), boolean, "\x02").bytes());
  EXPECT_LT(error.message.size(), 250u);
}

// Reads all that a caller could read, so that a sanitizer sees every view that leads astray.
uint64_t touch_everything(const GgufFile& file) {
  uint64_t sum = 0;
  for (const GgufEntry& entry : file.metadata()) {
    sum += entry.value.text().size() + entry.value.type_text().size();
    if (const auto texts = file.strings(entry.key)) {
      for (const std::string_view text : *texts) sum += text.size() + (text.empty() ? 0 : text.back() & 1);
    }
    if (const auto ints = file.ints(entry.key)) sum += ints->size();
    if (const auto floats = file.floats(entry.key)) sum += floats->size();
  }
  for (const FileTensor& tensor : file.tensors()) {
    for (const std::byte byte : tensor.data) sum += std::to_integer<uint64_t>(byte);
    sum += file.find_tensor(tensor.name) == &tensor ? 1 : 0;
  }
  return sum;
}

TEST(GgufHostile, RandomDamageIsReadInBoundsOrRefusedQuickly) {
  const std::string whole = small_file();
  std::mt19937 random(20);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  size_t refused = 0;
  uint64_t sum = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < 4000; ++round) {
    std::vector<char> bytes(whole.begin(), whole.end());
    for (size_t changes = 1 + below(4); changes > 0; --changes) {
      // Most bytes of the file are data, where a change is no damage: prefer the entries before them.
      const size_t at = below(below(8) == 0 ? bytes.size() : bytes.size() - 100);
      const char interesting[] = {0, 1, 2, 7, 8, 9, 13, 0x7f, -128, -1};
      bytes[at] = below(2) == 0 ? interesting[below(std::size(interesting))] : static_cast<char>(below(256));
    }
    if (below(8) == 0) bytes.resize(below(bytes.size()));
    const auto file = GgufFile::parse("test.gguf", as_bytes(std::string_view(bytes.data(), bytes.size())));
    if (file) {
      sum += touch_everything(*file);
    } else {
      ++refused;
      EXPECT_EQ(file.error().message.rfind("test.gguf: ", 0), 0u) << file.error().message;
      EXPECT_LT(file.error().message.size(), 1000u);
    }
  }
  EXPECT_GT(refused, 1000u);
  EXPECT_LT(refused, 4000u);
  EXPECT_GT(sum, 0u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace headrace
