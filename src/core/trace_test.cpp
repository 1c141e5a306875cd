#include "core/trace.h"

#include <gtest/gtest.h>

#include "core/file.h"

namespace headrace {
namespace {

void record(Trace& trace, TraceKind kind, const char* name, int64_t begin_us, int64_t end_us) {
  trace.record({.name = name, .kind = kind, .begin_ns = begin_us * 1000, .end_ns = end_us * 1000});
}

// Two steps; spans come in order of their ends.
void record_steps(Trace& trace) {
  record(trace, TraceKind::phase, "schedule", 0, 10);
  record(trace, TraceKind::op, "linear", 12, 42);
  record(trace, TraceKind::op, "add", 42, 43);
  record(trace, TraceKind::phase, "forward", 11, 45);
  record(trace, TraceKind::step, "step", 0, 50);
  record(trace, TraceKind::op, "linear", 60, 70);
  record(trace, TraceKind::phase, "forward", 58, 70);
  record(trace, TraceKind::step, "step", 55, 71);
}

TEST(Trace, TheSummaryTellsOpsFromWhatIsAroundThem) {
  Trace trace(100);
  record_steps(trace);
  const TraceSummary summary = summary_of(trace);
  EXPECT_EQ(summary.steps, 2U);
  EXPECT_EQ(summary.step_ns, 66'000);
  EXPECT_EQ(summary.op_ns, 41'000);
  ASSERT_EQ(summary.ops.size(), 2U);
  EXPECT_STREQ(summary.ops[0].name, "linear");
  EXPECT_EQ(summary.ops[0].calls, 2U);
  EXPECT_EQ(summary.ops[0].ns, 40'000);
  ASSERT_EQ(summary.phases.size(), 2U);
  EXPECT_STREQ(summary.phases[0].name, "schedule");
  EXPECT_EQ(summary.phases[0].ns, 10'000);
  EXPECT_EQ(summary.phases[1].ns, 5'000);  // 34 + 12 less 31 + 10 of ops
}

TEST(Trace, AFullOneKeepsWhatItHasAndCountsTheRest) {
  Trace trace(6);
  record_steps(trace);
  EXPECT_EQ(trace.events().size(), 6U);
  EXPECT_EQ(trace.dropped(), 2U);
  const TraceSummary summary = summary_of(trace);
  EXPECT_EQ(summary.steps, 1U);
  EXPECT_EQ(summary.op_ns, 31'000);  // not the op of the step that found no room
  trace.clear();
  EXPECT_EQ(trace.dropped(), 0U);
  EXPECT_EQ(summary_of(trace).steps, 0U);
}

TEST(Trace, ASpanLastsAsLongAsItsScopeAndWithoutATraceIsNothing) {
  Trace trace(2);
  {
    TraceSpan outer(&trace, TraceKind::step, "step");
    { const TraceSpan inner(&trace, TraceKind::op, "add", {{{"rows", 3}}}, "F32"); }
    outer.set_sizes({{{"rows", 7}}});
    const TraceSpan nothing(nullptr, TraceKind::op, "nothing");
  }
  ASSERT_EQ(trace.events().size(), 2U);
  const TraceEvent& inner = trace.events()[0];
  const TraceEvent& outer = trace.events()[1];
  EXPECT_STREQ(inner.name, "add");
  EXPECT_EQ(inner.type, "F32");
  EXPECT_LE(outer.begin_ns, inner.begin_ns);
  EXPECT_LE(inner.begin_ns, inner.end_ns);
  EXPECT_LE(inner.end_ns, outer.end_ns);
  EXPECT_EQ(outer.sizes[0].value, 7U);
}

TEST(Trace, IsWrittenInChromesFormat) {
  Trace trace(1);
  trace.record({.name = "linear",
                .type = "Q4_1",
                .kind = TraceKind::op,
                .begin_ns = 1500,
                .end_ns = 4000,
                .sizes = {{{"rows", 2}, {"n", 64}}}});
  record(trace, TraceKind::op, "add", 4, 5);
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "headrace_trace_test.json";
  ASSERT_TRUE(trace.write(path));
  EXPECT_EQ(read_text(path, 1 << 20).value(),
            "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
            "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"headrace\"}},\n"
            "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"engine\"}},\n"
            "{\"name\":\"linear\",\"cat\":\"op\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":1.500,\"dur\":2.500,"
            "\"args\":{\"rows\":2,\"n\":64,\"type\":\"Q4_1\"}}\n"
            "],\"otherData\":{\"dropped\":1}}\n");
  std::filesystem::remove(path);
  EXPECT_EQ(trace.write("/nowhere/trace.json").error().code, Errc::io);
  EXPECT_FALSE(trace.write("/dev/full"));
}

}  // namespace
}  // namespace headrace
