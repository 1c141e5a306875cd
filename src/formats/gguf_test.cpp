#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <limits>

#include "formats/testing/gguf_writer.h"

namespace headrace {
namespace {

using testing::as_bytes;
using testing::bytes_of_values;
using testing::GgufWriter;

GgufFile parsed(std::string_view bytes) {
  auto file = GgufFile::parse("test.gguf", as_bytes(bytes));
  EXPECT_TRUE(file) << file.error().message;
  return std::move(file).value();
}

template <typename T>
void expect_error(const Result<T>& result, std::string_view part) {
  ASSERT_FALSE(result) << "expected an error with " << part;
  EXPECT_EQ(result.error().code, Errc::bad_model);
  EXPECT_EQ(result.error().message.rfind("test.gguf: ", 0), 0u) << result.error().message;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

std::vector<float> floats_of(const FileTensor& tensor) {
  std::vector<float> out(tensor.data.size() / sizeof(float));
  std::memcpy(out.data(), tensor.data.data(), tensor.data.size());
  return out;
}

// A file name that no other test uses; the file goes when the test ends.
class TemporaryFile {
 public:
  TemporaryFile()
      : path_(std::filesystem::temp_directory_path() /
              fmt::format("headrace-{}-{}.gguf", ::getpid(),
                          ::testing::UnitTest::GetInstance()->current_test_info()->name())) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(Gguf, EveryScalarTypeComesBackAsItWasWritten) {
  const std::string bytes = GgufWriter()
                                .add("u8", uint8_t{255})
                                .add("i8", int8_t{-128})
                                .add("u16", uint16_t{65535})
                                .add("i16", int16_t{-32768})
                                .add("u32", uint32_t{4294967295})
                                .add("i32", std::numeric_limits<int32_t>::min())
                                .add("u64", std::numeric_limits<uint64_t>::max())
                                .add("i64", std::numeric_limits<int64_t>::min())
                                .add("f32", 0.1f)
                                .add("f64", 0.1)
                                .add("yes", true)
                                .add("no", false)
                                .add("text", "gr\xc3\xbc\xc3\x9f dich")
                                .add("empty", "")
                                .bytes();
  const GgufFile file = parsed(bytes);
  EXPECT_EQ(*file.uint("u8"), 255u);
  EXPECT_EQ(file.find("i8")->int_at(0), -128);
  EXPECT_EQ(*file.uint("u16"), 65535u);
  EXPECT_EQ(file.find("i16")->int_at(0), -32768);
  EXPECT_EQ(*file.uint("u32"), 4294967295u);
  EXPECT_EQ(file.find("i32")->int_at(0), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(*file.uint("u64"), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(file.find("u64")->int_at(0), std::nullopt);
  EXPECT_EQ(file.find("i64")->int_at(0), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(*file.number("f32"), double{0.1f});
  EXPECT_EQ(*file.number("f64"), 0.1);
  EXPECT_EQ(*file.number("i8"), -128.0);
  EXPECT_TRUE(*file.boolean("yes"));
  EXPECT_FALSE(*file.boolean("no"));
  EXPECT_EQ(*file.string("text"), "gr\xc3\xbc\xc3\x9f dich");
  EXPECT_EQ(*file.string("empty"), "");
}

TEST(Gguf, EveryArrayTypeComesBackAsItWasWritten) {
  const std::string bytes =
      GgufWriter()
          .add("u8", std::vector<uint8_t>{0, 255})
          .add("i8", std::vector<int8_t>{-128, 127})
          .add("u16", std::vector<uint16_t>{0, 65535})
          .add("i16", std::vector<int16_t>{-32768, 32767})
          .add("u32", std::vector<uint32_t>{1, 4294967295})
          .add("i32", std::vector<int32_t>{-2, 3})
          .add("u64", std::vector<uint64_t>{1, uint64_t{1} << 62})
          .add("i64", std::vector<int64_t>{-(int64_t{1} << 62), 5})
          .add("f32", std::vector<float>{0.5f, -1e30f})
          .add("f64", std::vector<double>{0.25, -3})
          .add("bool", std::vector<bool>{true, false, true})
          .add("text", std::vector<std::string>{"a", "", "long enough to leave the small buffer"})
          .add("none", std::vector<std::string>{})
          .bytes();
  const GgufFile file = parsed(bytes);
  using Ints = std::vector<int64_t>;
  EXPECT_EQ(*file.ints("u8"), (Ints{0, 255}));
  EXPECT_EQ(*file.ints("i8"), (Ints{-128, 127}));
  EXPECT_EQ(*file.ints("u16"), (Ints{0, 65535}));
  EXPECT_EQ(*file.ints("i16"), (Ints{-32768, 32767}));
  EXPECT_EQ(*file.ints("u32"), (Ints{1, 4294967295}));
  EXPECT_EQ(*file.ints("i32"), (Ints{-2, 3}));
  EXPECT_EQ(*file.ints("u64"), (Ints{1, int64_t{1} << 62}));
  EXPECT_EQ(*file.ints("i64"), (Ints{-(int64_t{1} << 62), 5}));
  EXPECT_EQ(*file.floats("f32"), (std::vector<float>{0.5f, -1e30f}));
  EXPECT_EQ(*file.floats("f64"), (std::vector<float>{0.25f, -3.0f}));
  EXPECT_EQ(file.find("bool")->count, 3u);
  EXPECT_EQ(file.find("bool")->boolean_at(1), false);
  EXPECT_EQ(file.find("bool")->boolean_at(2), true);
  EXPECT_EQ(*file.strings("text"),
            (std::vector<std::string_view>{"a", "", "long enough to leave the small buffer"}));
  EXPECT_TRUE(file.strings("none")->empty());
}

TEST(Gguf, TensorsOfEveryTypeComeBackWithShapeAndBytes) {
  for (size_t i = 0; i < kDTypes; ++i) {
    const auto type = static_cast<DType>(i);
    const uint64_t k = info_of(type).block_elements * 2ull;
    std::string data(*bytes_of(type, k * 3), '\0');
    for (size_t b = 0; b < data.size(); ++b) data[b] = static_cast<char>(b * 7 + i);
    const std::string bytes =
        GgufWriter().tensor("first", {1}, {1.5f}).tensor("w", type, {k, 3}, data).bytes();
    const GgufFile file = parsed(bytes);
    ASSERT_EQ(file.tensors().size(), 2u);
    const FileTensor* tensor = file.find_tensor("w");
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->type, type);
    EXPECT_EQ(tensor->n_dims, 2u);
    EXPECT_EQ(tensor->dims, (std::array<uint64_t, 4>{k, 3, 1, 1}));
    EXPECT_EQ(tensor->row_elements(), k);
    EXPECT_EQ(tensor->rows(), 3u);
    EXPECT_EQ(shape_text(*tensor), fmt::format("[{}, 3]", k));
    EXPECT_EQ(std::memcmp(tensor->data.data(), data.data(), data.size()), 0);
    EXPECT_EQ(tensor->data.size(), data.size());
    EXPECT_EQ(bytes.compare(tensor->offset, data.size(), data), 0);
    EXPECT_EQ(floats_of(*file.find_tensor("first")), (std::vector<float>{1.5f}));
  }
}

TEST(Gguf, AMissingKeyIsAnErrorThatNamesItAndDefaultsStandInForIt) {
  const std::string bytes = GgufWriter().add("present", uint32_t{1}).bytes();
  const GgufFile file = parsed(bytes);
  EXPECT_FALSE(file.has("absent"));
  EXPECT_EQ(file.find_tensor("absent"), nullptr);
  expect_error(file.uint("absent"), "'absent' is missing");
  expect_error(file.string("absent"), "'absent' is missing");
  expect_error(file.number("absent"), "'absent' is missing");
  expect_error(file.boolean("absent"), "'absent' is missing");
  expect_error(file.strings("absent"), "'absent' is missing");
  expect_error(file.ints("absent"), "'absent' is missing");
  expect_error(file.floats("absent"), "'absent' is missing");
  EXPECT_EQ(*file.uint_or("absent", 7), 7u);
  EXPECT_EQ(*file.number_or("absent", 0.5), 0.5);
  EXPECT_EQ(*file.string_or("absent", "x"), "x");
  EXPECT_TRUE(*file.boolean_or("absent", true));
  EXPECT_EQ(*file.uint_or("present", 7), 1u);
}

TEST(Gguf, AValueOfTheWrongKindIsAnErrorThatSaysWhatWasFound) {
  const std::string bytes = GgufWriter()
                                .add("text", "seven")
                                .add("minus", int32_t{-3})
                                .add("float", 1.5f)
                                .add("nan", std::numeric_limits<double>::quiet_NaN())
                                .add("bool", true)
                                .add("array", std::vector<uint32_t>{7})
                                .add("huge", std::vector<uint64_t>{std::numeric_limits<uint64_t>::max()})
                                .bytes();
  const GgufFile file = parsed(bytes);
  expect_error(file.uint("text"), "'text': expected a non-negative integer, found string \"seven\"");
  expect_error(file.uint("minus"), "'minus': expected a non-negative integer, found i32 -3");
  expect_error(file.uint("float"), "'float': expected a non-negative integer, found f32 1.5");
  expect_error(file.uint("bool"), "found bool true");
  expect_error(file.uint("array"), "found array of u32");
  expect_error(file.number("text"), "'text': expected a finite number");
  expect_error(file.number("nan"), "'nan': expected a finite number");
  expect_error(file.number("bool"), "'bool': expected a finite number");
  expect_error(file.string("minus"), "'minus': expected a string");
  expect_error(file.string("array"), "'array': expected a string");
  expect_error(file.boolean("minus"), "'minus': expected a bool");
  expect_error(file.strings("text"), "'text': expected an array of strings, found string");
  expect_error(file.strings("array"), "'array': expected an array of strings, found array of u32");
  expect_error(file.ints("minus"), "'minus': expected an array of integers");
  expect_error(file.ints("huge"), "'huge': expected an array of signed 64-bit integers");
  expect_error(file.floats("array"), "'array': expected an array of floats, found array of u32");
  expect_error(file.uint_or("text", 1), "'text': expected a non-negative integer");
  expect_error(file.number_or("text", 1), "'text': expected a finite number");
  expect_error(file.string_or("minus", "x"), "'minus': expected a string");
  expect_error(file.boolean_or("minus", true), "'minus': expected a bool");
}

TEST(Gguf, AnEmptyArrayKeepsItsType) {
  const std::string bytes = GgufWriter()
                                .add("floats", std::vector<float>{})
                                .add("strings", std::vector<std::string>{})
                                .add("ints", std::vector<int32_t>{})
                                .bytes();
  const GgufFile file = parsed(bytes);
  EXPECT_TRUE(file.ints("ints")->empty());
  expect_error(file.ints("floats"), "'floats': expected an array of integers, found array of f32");
  expect_error(file.ints("strings"), "'strings': expected an array of integers, found array of string");
  expect_error(file.floats("ints"), "'ints': expected an array of floats, found array of i32");
}

TEST(Gguf, VersionAlignmentAndOrderDoNotChangeTheMeaning) {
  const std::vector<float> a = {1, 2, 3}, b = {4, 5};
  for (const uint32_t version : {2u, 3u}) {
    for (const uint32_t alignment : {8u, 16u, 32u, 64u, 4096u, 65536u}) {
      for (const bool swapped : {false, true}) {
        GgufWriter writer(version, alignment);
        if (swapped) {
          writer.add("unknown.key", std::vector<double>{1, 2}).add("y", "why").add("x", uint8_t{9});
          writer.tensor("b", {2, 1}, b).tensor("a", {3}, a);
        } else {
          writer.add("x", uint64_t{9}).add("y", "why");
          writer.tensor("a", {3}, a).tensor("b", {2, 1}, b);
        }
        const std::string bytes = writer.bytes();
        const GgufFile file = parsed(bytes);
        EXPECT_EQ(file.version(), version);
        EXPECT_EQ(*file.uint("x"), 9u);
        EXPECT_EQ(*file.string("y"), "why");
        EXPECT_EQ(floats_of(*file.find_tensor("a")), a);
        EXPECT_EQ(floats_of(*file.find_tensor("b")), b);
        EXPECT_EQ(file.find_tensor("b")->offset % alignment, 0u);
        EXPECT_EQ(file.tensors()[0].name, swapped ? "b" : "a");
      }
    }
  }
}

TEST(Gguf, AGapBetweenTensorsAndBytesBehindTheLastAreAllowed) {
  const std::string bytes = GgufWriter()
                                .tensor_raw("later", 0, {1}, bytes_of_values<float>({1}), 32)
                                .tensor_raw("padding", 0, {1}, std::string(64, 'x'), 96)
                                .bytes();
  EXPECT_EQ(parsed(bytes + std::string(32, '\0')).tensors().size(), 2u);
}

TEST(Gguf, AFileWithoutTensorsOrKeysIsValid) {
  const std::string bytes = GgufWriter().bytes();
  EXPECT_EQ(bytes.size(), 24u);
  EXPECT_TRUE(parsed(bytes).metadata().empty());
  EXPECT_TRUE(parsed(bytes).tensors().empty());
}

TEST(Gguf, MetadataIsListedInTheFilesOrderAsPrintableText) {
  const std::string bytes = GgufWriter()
                                .add("z", "a\nb\x1b[31m\xff")
                                .add("y", -0.5)
                                .add("x", std::vector<int16_t>{1, -2})
                                .add("w", std::vector<uint8_t>(1000, 8))
                                .add("v", std::vector<std::string>{"a", "b"})
                                .add("u", std::string(1000, 'u'))
                                .add("t", std::vector<bool>{true, false})
                                .add("s", std::vector<float>{})
                                .bytes();
  const GgufFile file = parsed(bytes);
  std::vector<std::string> lines;
  for (const GgufEntry& entry : file.metadata()) {
    lines.push_back(fmt::format("{} {} {}", entry.key, entry.value.type_text(), entry.value.text()));
  }
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines[0], "z string \"a\\x0ab\\x1b[31m\\xff\"");
  EXPECT_EQ(lines[1], "y f64 -0.5");
  EXPECT_EQ(lines[2], "x array of i16 [1, -2]");
  EXPECT_EQ(lines[3], "w array of u8 [8, 8, 8, 8, 8, 8, ... 1000 in all]");
  EXPECT_EQ(lines[4], "v array of string [\"a\", \"b\"]");
  EXPECT_LT(lines[5].size(), 120u);
  EXPECT_EQ(lines[6], "t array of bool [true, false]");
  EXPECT_EQ(lines[7], "s array of f32 []");
}

TEST(Gguf, AnOpenFileKeepsItsViewsWhenItIsMovedAndWhenPagesAreDropped) {
  const TemporaryFile temporary;
  std::vector<float> values(100000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  ASSERT_TRUE(GgufWriter().add("key", "value").tensor("w", {100, 1000}, values).write(temporary.path()));
  auto opened = GgufFile::open(temporary.path());
  ASSERT_TRUE(opened) << opened.error().message;
  const GgufFile file = std::move(opened).value();
  EXPECT_EQ(file.name(), temporary.path().string());
  EXPECT_EQ(file.file_bytes(), std::filesystem::file_size(temporary.path()));
  EXPECT_EQ(*file.string("key"), "value");
  file.drop(*file.find_tensor("w"));
  EXPECT_EQ(floats_of(*file.find_tensor("w")), values);
}

TEST(Gguf, OpeningWhatIsNoModelFileNamesThePathAndTheReason) {
  const TemporaryFile temporary;
  const auto absent = GgufFile::open(temporary.path());
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Errc::not_found);
  ASSERT_TRUE(GgufWriter(1).write(temporary.path()));
  const auto old = GgufFile::open(temporary.path());
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().message,
            temporary.path().string() + ": GGUF version 1 is not supported, expected 2 or 3");
  const auto directory = GgufFile::open(std::filesystem::temp_directory_path());
  ASSERT_FALSE(directory);
  EXPECT_NE(directory.error().message.find("is a directory"), std::string::npos);
}

TEST(Gguf, LookupFindsEachOfManyKeysAndTensors) {
  GgufWriter writer;
  for (uint32_t i = 0; i < 3000; ++i) {
    writer.add(fmt::format("key.{}", i * 7919 % 3000), i);
    writer.tensor(fmt::format("tensor.{}", i * 7919 % 3000), {1}, {static_cast<float>(i)});
  }
  const std::string bytes = writer.bytes();
  const GgufFile file = parsed(bytes);
  for (uint32_t i = 0; i < 3000; ++i) {
    ASSERT_EQ(*file.uint(fmt::format("key.{}", i * 7919 % 3000)), i);
    const FileTensor* tensor = file.find_tensor(fmt::format("tensor.{}", i * 7919 % 3000));
    ASSERT_NE(tensor, nullptr);
    ASSERT_EQ(floats_of(*tensor)[0], static_cast<float>(i));
  }
  EXPECT_FALSE(file.has("key."));
  EXPECT_FALSE(file.has("key.3000"));
  EXPECT_FALSE(file.has(""));
}

}  // namespace
}  // namespace headrace
