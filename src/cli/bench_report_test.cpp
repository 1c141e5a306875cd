#include "cli/bench_report.h"

#include <gtest/gtest.h>

#include <sstream>

namespace headrace::cli {
namespace {

BenchFacts facts() {
  return {.version = "0.1.0",
          .processor = "A \"processor\"",
          .model_filename = "/models/tiny.gguf",
          .model_type = "llama 135M Q4_1",
          .model_size = 96576768,
          .model_parameters = 134515008,
          .weights_per_token = 100'000'000,
          .kernels = "avx512",
          .ceilings = {{.threads = 2,
                        .stream_bytes = cpu::kStreamBytes,
                        .read_stream = 20e9,
                        .read_stream_small = 50e9,
                        .int8_ops = 1000e9,
                        .f32_ops = 250e9}}};
}

SpeedResult prompt() {
  return {.test = {.n_prompt = 512, .n_threads = 2},
          .test_time = "2026-01-31T12:00:00Z",
          .samples_ns = {500'000'000, 520'000'000}};
}

SpeedResult answer() {
  return {.test = {.n_gen = 128, .n_depth = 4096, .n_threads = 2},
          .test_time = "2026-01-31T12:00:01Z",
          .samples_ns = {1'000'000'000}};
}

std::string table(BenchFormat format, BenchFacts with = facts()) {
  SpeedReport report(format, std::move(with));
  std::string out = report.begin();
  out += report.line(prompt());
  out += report.line(answer());
  return out + report.end();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// In its order, from llama-bench's own output.
const std::vector<std::string> kLlamaBenchFields = {"build_commit",   "build_number",
                                                    "cpu_info",       "gpu_info",
                                                    "backends",       "model_filename",
                                                    "model_type",     "model_size",
                                                    "model_n_params", "n_batch",
                                                    "n_ubatch",       "n_threads",
                                                    "cpu_mask",       "cpu_strict",
                                                    "poll",           "type_k",
                                                    "type_v",         "n_gpu_layers",
                                                    "n_cpu_moe",      "split_mode",
                                                    "main_gpu",       "no_kv_offload",
                                                    "flash_attn",     "devices",
                                                    "tensor_split",   "tensor_buft_overrides",
                                                    "load_mode",      "lazy_mode",
                                                    "embeddings",     "no_op_offload",
                                                    "no_host",        "repack",
                                                    "fit_target",     "fit_min_ctx",
                                                    "n_prompt",       "n_gen",
                                                    "n_depth",        "test_time",
                                                    "avg_ns",         "stddev_ns",
                                                    "avg_ts",         "stddev_ts"};

// clang-format off
constexpr const char* kTable =
R"(| model                          |       size |     params | backend    | threads |            test |                  t/s |
| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | -------------------: |
| llama 135M Q4_1                |  92.10 MiB |   134.52 M | CPU        |       2 |           pp512 |      1004.31 ± 27.85 |
| llama 135M Q4_1                |  92.10 MiB |   134.52 M | CPU        |       2 |   tg128 @ d4096 |        128.00 ± 0.00 |

build: 0.1.0 (0)
numerics exact, kernels avx512, A "processor"
ceilings with 2 threads: read stream 20.0 GB/s (1.00 GiB), 50.0 GB/s (64.0 MiB) | int8 1000 GOP/s | f32 250 GFLOP/s
tg128 @ d4096: 64 % of the read stream (95.4 MiB of weights a token)
)";
// clang-format on

TEST(SpeedTest, NamesAreLlamaBenchs) {
  EXPECT_EQ((SpeedTest{.n_prompt = 512}).name(), "pp512");
  EXPECT_EQ((SpeedTest{.n_gen = 128}).name(), "tg128");
  EXPECT_EQ((SpeedTest{.n_prompt = 512, .n_gen = 128}).name(), "pp512+tg128");
  EXPECT_EQ((SpeedTest{.n_prompt = 512, .n_depth = 4096}).name(), "pp512 @ d4096");
}

TEST(BenchReport, DeviationIsOfASample) {
  EXPECT_DOUBLE_EQ(mean_of({1, 2, 6}), 3);
  EXPECT_DOUBLE_EQ(deviation_of({1, 2, 6}), std::sqrt(7.0));
  EXPECT_EQ(deviation_of({5}), 0);
  EXPECT_EQ(mean_of({}), 0);
}

TEST(BenchReport, TheTableLooksLikeLlamaBenchs) {
  EXPECT_EQ(table(BenchFormat::md), kTable);
}

TEST(BenchReport, ColumnsThatAreNotAsAlwaysAreShown) {
  BenchFacts more = facts();
  more.show_batch = more.show_ubatch = more.show_type_k = more.show_type_v = true;
  const std::string header = lines_of(table(BenchFormat::md, more))[0];
  EXPECT_NE(header.find("| threads | n_batch | n_ubatch | type_k | type_v |            test |"),
            std::string::npos)
      << header;
}

TEST(BenchReport, CsvHasLlamaBenchsColumnsAndThenOurs) {
  const std::vector<std::string> lines = lines_of(table(BenchFormat::csv));
  ASSERT_EQ(lines.size(), 3U);
  std::string header;
  for (const std::string& field : kLlamaBenchFields) header += field + ",";
  EXPECT_EQ(lines[0], header +
                          "numerics,kernels,weight_bytes_per_token,read_stream_gb_s,read_stream_64m_gb_s,"
                          "int8_gop_s,f32_gflop_s,share_of_read_stream");
  EXPECT_EQ(
      lines[1],
      "\"0.1.0\",\"0\",\"A \"\"processor\"\"\",\"\",\"CPU\",\"/models/tiny.gguf\",\"llama 135M Q4_1\","
      "\"96576768\",\"134515008\",\"2048\",\"512\",\"2\",\"0x0\",\"0\",\"50\",\"f16\",\"f16\",\"-1\",\"0\","
      "\"layer\",\"0\",\"0\",\"-1\",\"auto\",\"0.00\",\"none\",\"auto\",\"auto\",\"0\",\"0\",\"0\",\"1\","
      "\"0\",\"0\",\"512\",\"0\",\"0\",\"2026-01-31T12:00:00Z\",\"510000000\",\"14142136\","
      "\"1004.307692\",\"27.849129\",\"exact\",\"avx512\",\"100000000\",\"20.000000\",\"50.000000\","
      "\"1000.000000\",\"250.000000\",\"\"");
}

TEST(BenchReport, JsonHasLlamaBenchsFieldsInItsOrder) {
  const Json list = Json::parse(table(BenchFormat::json));
  ASSERT_EQ(list.size(), 2U);
  std::vector<std::string> expected = kLlamaBenchFields;
  expected.insert(expected.end(), {"samples_ns", "samples_ts"});
  for (const Json& line : list) {
    std::vector<std::string> names;
    for (const auto& [name, value] : line.items()) names.push_back(name);
    ASSERT_GT(names.size(), expected.size());
    names.resize(expected.size());
    EXPECT_EQ(names, expected);
  }
  EXPECT_EQ(list[0]["n_prompt"], 512);
  EXPECT_EQ(list[0]["samples_ns"], Json::array({500'000'000, 520'000'000}));
  EXPECT_DOUBLE_EQ(list[0]["samples_ts"][0].get<double>(), 1024);
  EXPECT_TRUE(list[0]["share_of_read_stream"].is_null());
  EXPECT_DOUBLE_EQ(list[1]["share_of_read_stream"].get<double>(), 0.64);
  EXPECT_EQ(list[1]["stddev_ns"], 0);
  EXPECT_EQ(list[1]["cpu_info"], "A \"processor\"");
}

TEST(BenchReport, JsonLinesAreTheSameObjects) {
  const Json list = Json::parse(table(BenchFormat::json));
  const std::vector<std::string> lines = lines_of(table(BenchFormat::jsonl));
  ASSERT_EQ(lines.size(), 2U);
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(Json::parse(lines[i]), list[i]);
  // Scripts without a JSON reader look for this.
  EXPECT_NE(lines[1].find("\"avg_ts\": 128.000000, "), std::string::npos) << lines[1];
}

TEST(BenchReport, NothingMeasuredIsStillATable) {
  const SpeedReport report(BenchFormat::json, facts());
  EXPECT_EQ(Json::parse(report.begin() + report.end()), Json::array());
}

TEST(BenchReport, WithoutCeilingsTheirFieldsAreNull) {
  BenchFacts bare = facts();
  bare.ceilings.clear();
  for (const Json& line : Json::parse(table(BenchFormat::json, bare))) {
    for (const char* name : {"read_stream_gb_s", "int8_gop_s", "f32_gflop_s", "share_of_read_stream"}) {
      EXPECT_TRUE(line.at(name).is_null()) << name;
    }
  }
  EXPECT_EQ(table(BenchFormat::md, bare).find("ceilings"), std::string::npos);
}

}  // namespace
}  // namespace headrace::cli
