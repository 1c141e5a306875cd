// headrace bench on tiny models: what is measured and printed, never how fast it was.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "program.h"
#include "sanitized.h"

namespace headrace::testing {
namespace {

using Json = nlohmann::json;

// Without ceilings, whose buffers take longer than a tiny model.
Outcome bench(std::vector<std::string> extra, const Surroundings& surroundings = {}) {
  std::vector<std::string> arguments = {"bench", "-m", llama_file(), "--no-ceilings", "--quiet", "-r", "2"};
  arguments.insert(arguments.end(), extra.begin(), extra.end());
  return headrace(arguments, surroundings);
}

std::vector<Json> lines_of(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  std::vector<Json> lines;
  std::istringstream stream(outcome.out);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line, nullptr, false));
  return lines;
}

std::string names_of(const std::vector<Json>& lines) {
  std::string names;
  for (const Json& line : lines) {
    names += std::to_string(line["n_threads"].get<int>()) + ":" + std::to_string(line["n_depth"].get<int>()) +
             ":" + std::to_string(line["n_prompt"].get<int>()) + "+" +
             std::to_string(line["n_gen"].get<int>()) + " ";
  }
  return names;
}

TEST(Bench, TestsComeInLlamaBenchsOrder) {
  const std::vector<Json> lines = lines_of(
      bench({"-p", "8,16", "-n", "4", "-pg", "8,4", "-d", "0,6", "-t", "1,2", "-b", "5", "-o", "jsonl"}));
  EXPECT_EQ(names_of(lines),
            "1:0:8+0 1:0:16+0 1:0:0+4 1:0:8+4 1:6:8+0 1:6:16+0 1:6:0+4 1:6:8+4 "
            "2:0:8+0 2:0:16+0 2:0:0+4 2:0:8+4 2:6:8+0 2:6:16+0 2:6:0+4 2:6:8+4 ");
  for (const Json& line : lines) {
    EXPECT_EQ(line["samples_ns"].size(), 2U);
    EXPECT_GT(line["avg_ts"], 0.0);
    EXPECT_EQ(line["n_batch"], 5);
    EXPECT_EQ(line["model_filename"], llama_file());
    EXPECT_TRUE(line["share_of_read_stream"].is_null());
  }
}

TEST(Bench, AListIsARangeOrFlagsThatAreRepeatedAndZeroIsLeftOut) {
  EXPECT_EQ(names_of(lines_of(bench({"-p", "4-8+2", "-p", "9", "-n", "0", "-t", "1", "-o", "jsonl"}))),
            "1:0:4+0 1:0:6+0 1:0:8+0 1:0:9+0 ");
  EXPECT_EQ(names_of(lines_of(bench({"-p", "0", "-n", "1-4*2", "-t", "1", "-o", "jsonl"}))),
            "1:0:0+1 1:0:0+2 1:0:0+4 ");
}

TEST(Bench, EveryFormatHoldsTheSameTests) {
  const std::vector<std::string> tests = {"-p", "8", "-n", "2", "-t", "1", "-ctk", "f32"};
  const auto in = [&](const char* format) {
    std::vector<std::string> arguments = tests;
    arguments.insert(arguments.end(), {"-o", format});
    return bench(arguments);
  };
  const Json json = Json::parse(in("json").out, nullptr, false);
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(json[0]["type_k"], "f32");
  EXPECT_EQ(json[0]["type_v"], "f16");
  const Outcome csv = in("csv");
  EXPECT_TRUE(csv.out.starts_with("build_commit,build_number,cpu_info,")) << csv.out;
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 3);
  const Outcome md = in("md");
  for (const char* part :
       {"| model ", "| type_k |", "|             pp8 |", "|             tg2 |", " ± ", "build: "})
    EXPECT_TRUE(contains(md.out, part)) << part;
  EXPECT_EQ(md.err, "");
}

TEST(Bench, CeilingsAreMeasuredWithinTheMemoryThatIsAllowed) {
  const Outcome outcome = headrace({"bench", "-m", gemma3_file(), "-p", "4", "-n", "2", "-r", "1", "-t", "2",
                                    "--memory", kSanitized ? "96M" : "16M", "-o", "jsonl"});
  const std::vector<Json> lines = lines_of(outcome);
  ASSERT_EQ(lines.size(), 2U);
  for (const char* name : {"read_stream_gb_s", "read_stream_64m_gb_s", "int8_gop_s", "f32_gflop_s"})
    EXPECT_GT(lines[0][name], 0.0) << name;
  EXPECT_TRUE(lines[0]["share_of_read_stream"].is_null());
  EXPECT_GT(lines[1]["share_of_read_stream"], 0.0);
}

TEST(Bench, DraftsOnPromptsByBothRules) {
  const std::string prompts =
      file_with("prompts.jsonl", R"({"prompt": "a b a b a b a b", "category": "loops"})");
  for (const std::string rule : {"coupled", "rejection"}) {
    for (const std::string temperature : {"0", "1"}) {
      const Outcome outcome = headrace({"bench",
                                        "-m",
                                        llama_file(),
                                        "--prompts",
                                        prompts,
                                        "--spec-type",
                                        "model",
                                        "-md",
                                        llama_file(),
                                        "--draft-fixed",
                                        "--spec-rule",
                                        rule,
                                        "--temp",
                                        temperature,
                                        "-n",
                                        "8",
                                        "-r",
                                        "1",
                                        "--prompt-context",
                                        "64",
                                        "--no-ceilings"});
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      EXPECT_TRUE(contains(outcome.out, "| loops | 1 | 1 |")) << outcome.out;
    }
  }
  EXPECT_TRUE(contains(headrace({"bench", "-m", llama_file(), "--temp", "1"}).err, "--prompts"));
}

TEST(Bench, CtrlCInTheMiddleOfAnAnswerIsNoDifferenceBetweenAnswers) {
  const std::string prompts = file_with("prompts.jsonl", R"({"prompt": "a b a b a b a b"})");
  const std::vector<std::string> drafts;
  const std::vector<std::string> schedules = {"--spec-sched", "static", "--draft-fixed"};
  for (const auto& way : {drafts, drafts, drafts, schedules, schedules, schedules}) {
    std::vector<std::string> arguments = {
        "bench", "-m", llama_file(), "--prompts",        prompts, "--spec-type",  "ngram", "-n",
        "200",   "-r", "1000000",    "--prompt-context", "256",   "--no-ceilings"};
    arguments.insert(arguments.end(), way.begin(), way.end());
    const auto begun = std::chrono::steady_clock::now();
    const Outcome outcome =
        headrace(arguments, {.interrupt_when = [&](const std::string& out, const std::string&) {
                   return contains(out, "|---") &&
                          std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(800);
                 }});
    EXPECT_EQ(outcome.exit_code, 130);
    EXPECT_FALSE(contains(outcome.err, "differs")) << outcome.err;
  }
}

TEST(Bench, WrongValuesNameTheFlag) {
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string part;
  };
  const Case cases[] = {
      {{"-o", "sql"}, 2, "md, csv, json or jsonl"},
      {{"-p", "8,"}, 2, "--n-prompt"},
      {{"-p", "many"}, 2, "'many'"},
      {{"-n", "99999999999"}, 2, "--n-gen"},
      {{"-n", "1-999999"}, 2, "at most 1024 numbers"},
      {{"-d", "-1"}, 2, "--n-depth"},
      {{"-pg", "8"}, 2, "512,128"},
      {{"-r", "0"}, 2, "--repetitions"},
      {{"-t", "1025"}, 2, "--threads"},
      {{"-b", "0"}, 2, "--batch-size"},
      {{"-p", "0", "-n", "0"}, 2, "nothing to measure"},
      {{"-p", "1-1024", "-t", "1-5"}, 2, "more than 4096 tests"},
      {{"-p", "16777216"}, 2, "limit of 16777216"},
      {{"-p", "1000000", "--memory", "8M"}, 4, "bytes"},
      {{"-ngl", "1"}, 2, "-ngl"},
  };
  for (const Case& wrong : cases) {
    const Outcome outcome = bench(wrong.arguments);
    EXPECT_EQ(outcome.exit_code, wrong.exit_code) << wrong.part << outcome.err;
    EXPECT_EQ(outcome.out, "") << wrong.part;
    EXPECT_TRUE(contains(outcome.err, wrong.part)) << outcome.err;
  }
  EXPECT_EQ(headrace({"bench", "-m", "/nowhere"}).exit_code, 5);
}

TEST(BenchBatched, ALineForEachCaseThatFits) {
  const auto batched = [](std::vector<std::string> extra) {
    std::vector<std::string> arguments = {"bench",   "-m",        gemma3_file(), "--no-ceilings",
                                          "--quiet", "--batched", "-npp",        "8,70",
                                          "-ntg",    "3",         "-npl",        "1-4*2"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    return headrace(arguments);
  };
  for (const bool shared : {false, true}) {
    std::vector<std::string> extra = {"-o", "jsonl", "-c", "200", "-t", "1"};
    if (shared) extra.push_back("-pps");
    std::string cases;
    for (const Json& line : lines_of(batched(extra))) {
      cases += line["pp"].dump() + "," + line["tg"].dump() + "," + line["pl"].dump() + ":" +
               line["n_kv"].dump() + " ";
      EXPECT_EQ(line["is_pp_shared"], shared ? 1 : 0);
      EXPECT_EQ(line["n_kv_max"], 200);
      EXPECT_GT(line["speed"], 0.0);
    }
    EXPECT_EQ(cases, shared ? "8,3,1:11 8,3,2:14 8,3,4:20 70,3,1:73 70,3,2:76 70,3,4:82 "
                            : "8,3,1:11 8,3,2:22 8,3,4:44 70,3,1:73 70,3,2:146 ");
  }
  const Outcome table = batched({});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_TRUE(contains(table.out, "|    PP |     TG |    B |   N_KV |")) << table.out;
  EXPECT_EQ(batched({"-o", "csv"}).exit_code, 2);
  EXPECT_EQ(batched({"-p", "4"}).exit_code, 2);
  EXPECT_EQ(batched({"-t", "1,2"}).exit_code, 2);
  EXPECT_EQ(batched({"-c", "5"}).exit_code, 2);
  EXPECT_EQ(bench({"-npp", "4"}).exit_code, 2);
  EXPECT_EQ(batched({"--memory", "2M"}).exit_code, 4);
}

TEST(Bench, CtrlCPrintsWhatWasMeasured) {
  const Outcome outcome = bench({"-p", "4", "-n", "4", "-t", "1", "-r", "1000000", "-o", "json", "-v"},
                                {.interrupt_when = [](const std::string&, const std::string& err) {
                                  return contains(err, "repetition 3/");
                                }});
  EXPECT_EQ(outcome.exit_code, 130);
  const Json json = Json::parse(outcome.out, nullptr, false);
  ASSERT_EQ(json.size(), 1U) << outcome.out;
  EXPECT_GE(json[0]["samples_ns"].size(), 2U);
  EXPECT_TRUE(contains(outcome.err, "interrupted"));
}

TEST(Bench, AReaderThatLeavesEndsItQuietlyAndAFullDiskIsAnError) {
  const Outcome gone = bench({"-p", "4", "-n", "0"}, {.reader_gone = true});
  EXPECT_EQ(gone.exit_code, 0) << gone.err;
  EXPECT_EQ(gone.err, "");
  EXPECT_EQ(bench({"-p", "4", "-n", "0"}, {.stdout_path = "/dev/full"}).exit_code, 1);
}

// --- the trace --------------------------------------------------------------------------------------------

struct Span {
  std::string name;
  std::string kind;
  double begin = 0;  // microseconds
  double end = 0;
  Json args;

  bool holds(const Span& other) const { return begin <= other.begin && other.end <= end; }
};

std::vector<Span> spans_of(const Json& trace, const std::string& kind) {
  std::vector<Span> spans;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] != "X" || event["cat"] != kind) continue;
    const double begin = event["ts"];
    spans.push_back({event["name"], event["cat"], begin, begin + event["dur"].get<double>(), event["args"]});
  }
  return spans;
}

size_t holders(const std::vector<Span>& spans, const Span& inner) {
  // Times are written in thousandths of a microsecond.
  const Span shorter = {inner.name, inner.kind, inner.begin + 0.002, inner.end - 0.002, {}};
  return std::ranges::count_if(spans, [&](const Span& span) { return span.holds(shorter); });
}

TEST(BenchTrace, StepsHoldPhasesAndPhasesHoldOps) {
  const std::string path = (test_folder() / "trace.json").string();
  const Outcome outcome =
      bench({"-p", "12", "-n", "3", "-r", "1", "-t", "2", "--no-warmup", "--trace", path});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json trace = Json::parse(content_of(path), nullptr, false);
  ASSERT_TRUE(trace.is_object());
  EXPECT_EQ(trace["otherData"]["dropped"], 0);
  EXPECT_EQ(trace["traceEvents"][0]["name"], "process_name");
  EXPECT_EQ(trace["traceEvents"][1]["name"], "thread_name");

  const std::vector<Span> steps = spans_of(trace, "step");
  const std::vector<Span> phases = spans_of(trace, "phase");
  const std::vector<Span> ops = spans_of(trace, "op");
  ASSERT_EQ(steps.size(), 4U);
  EXPECT_EQ(steps[0].args, Json({{"rows", 12}, {"decode_rows", 0}, {"prefill_rows", 12}}));
  EXPECT_EQ(steps[1].args, Json({{"rows", 1}, {"decode_rows", 0}, {"prefill_rows", 1}}));
  EXPECT_EQ(steps[3].args, Json({{"rows", 1}, {"decode_rows", 1}, {"prefill_rows", 0}}));
  EXPECT_EQ(phases.size(), 4U * 7);
  for (const Span& phase : phases) EXPECT_EQ(holders(steps, phase), 1U) << phase.name;
  for (const Span& op : ops) {
    EXPECT_EQ(holders(phases, op), 1U) << op.name;
    EXPECT_EQ(holders(ops, op), 1U) << op.name;
  }
  const auto linear = std::ranges::find(ops, "linear", &Span::name);
  ASSERT_NE(linear, ops.end());
  EXPECT_EQ(linear->args["rows"], 12);
  EXPECT_EQ(linear->args["type"], "F32");
}

TEST(BenchTrace, TheSummaryGoesToStandardErrorAndAnswersStayTheSame) {
  const std::string path = (test_folder() / "run.json").string();
  const std::vector<std::string> run = {"run", "-m", gemma3_file(), "-p", "thing", "-n", "8", "-s", "3"};
  std::vector<std::string> traced = run;
  traced.insert(traced.end(), {"--trace", path});
  const Outcome plain = headrace(run);
  const Outcome outcome = headrace(traced);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, plain.out);
  for (const char* part : {"op     linear", "phase  draw", "% of it outside ops", "trace of "})
    EXPECT_TRUE(contains(outcome.err, part)) << outcome.err;
  EXPECT_TRUE(Json::parse(content_of(path), nullptr, false).is_object());
  traced.push_back("--quiet");
  EXPECT_EQ(headrace(traced).err, "");
}

TEST(BenchTrace, AFileThatCannotBeWrittenIsAnErrorBeforeTheWork) {
  const Outcome outcome = bench({"--trace", "/nowhere/trace.json"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, "/nowhere/trace.json")) << outcome.err;
}

}  // namespace
}  // namespace headrace::testing
