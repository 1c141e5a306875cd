#include "cli/bench_speed.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>

#include "cli/interrupt.h"

namespace headrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string time_text(std::time_t time) {
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%FT%TZ", &utc);
  return {text, size};
}

Status step(Engine& engine, std::vector<Event>& events) {
  events.clear();
  engine.step(events);
  if (interrupted()) return make_error(Errc::cancelled, "interrupted");
  return {};
}

// Computes the first `depth` tokens of the one prompt that there is, and no more.
Status fill(Engine& engine, StepLimits limits, uint32_t depth) {
  const uint32_t rows = limits.rows;
  std::vector<Event> events;
  while (depth > 0) {
    limits.rows = std::min(rows, depth);
    engine.set_limits(limits);
    HEADRACE_RETURN_IF_ERROR(step(engine, events));
    const uint32_t computed = engine.stats().last_step_rows;
    HEADRACE_CHECK(computed > 0 && computed <= depth);
    depth -= computed;
  }
  limits.rows = rows;
  engine.set_limits(limits);
  return {};
}

// One repetition. An answer of n tokens takes n steps: the first computes the prompt's last
// token, or the one that stands for it, and each draws one token.
Status time_once(Engine& engine, const SpeedTest& test, std::optional<int32_t> bos, uint64_t& ns) {
  StepLimits limits = engine.limits();
  limits.rows = test.rows();
  limits.decode_threads = test.n_threads;
  limits.batch_threads = test.n_threads;
  limits.prefix_cache = false;  // the same tokens shall be computed again
  engine.set_limits(limits);
  Request request;
  request.prompt = tokens_for_bench(engine, bos, size_t{test.n_depth} + std::max(test.n_prompt, 1U), 0);
  request.max_new_tokens = test.n_prompt == 0 ? test.n_gen : test.n_gen + 1;
  request.sampling.temperature = 0;
  Clock::time_point begin = Clock::now();
  HEADRACE_TRY([[maybe_unused]] const RequestId id, engine.submit(std::move(request)));
  if (test.n_depth > 0) {
    HEADRACE_RETURN_IF_ERROR(fill(engine, limits, test.n_depth));
    begin = Clock::now();
  }
  std::vector<Event> events;
  while (!engine.idle()) HEADRACE_RETURN_IF_ERROR(step(engine, events));
  ns = static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now() - begin).count());
  return {};
}

// All of the prompt, one token of the answer: as llama-bench.
Status warm_up(Engine& engine, const SpeedTest& test, std::optional<int32_t> bos) {
  uint64_t ignored = 0;
  SpeedTest part = test;
  part.n_depth = 0;
  part.n_gen = 0;
  if (part.n_prompt > 0) HEADRACE_RETURN_IF_ERROR(time_once(engine, part, bos, ignored));
  part.n_prompt = 0;
  part.n_gen = 1;
  return test.n_gen > 0 ? time_once(engine, part, bos, ignored) : Status();
}

}  // namespace

std::string SpeedTest::name() const {
  std::string name;
  if (n_prompt > 0 || n_gen == 0) name = fmt::format("pp{}", n_prompt);
  if (n_gen > 0) name += fmt::format("{}tg{}", name.empty() ? "" : "+", n_gen);
  return n_depth == 0 ? name : name + fmt::format(" @ d{}", n_depth);
}

uint32_t SpeedTest::rows() const {
  return std::min(n_batch, n_ubatch);
}

std::vector<double> SpeedResult::samples_ts() const {
  std::vector<double> speeds;
  const double tokens = static_cast<double>(test.n_prompt) + test.n_gen;
  for (const uint64_t ns : samples_ns) speeds.push_back(1e9 * tokens / static_cast<double>(ns));
  return speeds;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

double deviation_of(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

Status measure_speed(Engine& engine, const SpeedTest& test, const SpeedOptions& options,
                     SpeedResult& result) {
  const auto tell = [&](const std::string& news) {
    if (options.on_news) options.on_news(news);
  };
  result = {.test = test, .test_time = time_text(std::time(nullptr)), .samples_ns = {}};
  if (options.warm_up) {
    tell("warm-up");
    HEADRACE_RETURN_IF_ERROR(warm_up(engine, test, options.bos));
  }
  for (uint32_t i = 0; i < options.repetitions; ++i) {
    tell(fmt::format("repetition {}/{}", i + 1, options.repetitions));
    uint64_t ns = 0;
    HEADRACE_RETURN_IF_ERROR(time_once(engine, test, options.bos, ns));
    result.samples_ns.push_back(ns);
  }
  return {};
}

std::vector<int32_t> tokens_for_bench(const Engine& engine, std::optional<int32_t> bos, size_t count,
                                      uint32_t seed) {
  const uint32_t vocab = engine.model().info().vocab_size;
  std::vector<int32_t> tokens;
  tokens.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>((100 + 7919 * i + uint64_t{seed} * 104729 * (i + 1)) % vocab));
  }
  if (bos && !tokens.empty()) tokens.front() = *bos;
  return tokens;
}

}  // namespace headrace::cli
