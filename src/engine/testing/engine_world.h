// Engines on tiny models for tests: submit, run to the end, compare bits.
//
// Every test of the engine runs twice: on the best CPU tier, and on the fake device, whose memory faults when
// host code touches it (HEADRACE_TEST_FAKE_DEVICE).
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "engine/engine.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/fake_device.h"
#include "ops/reference/reference_backend.h"
#include "tiny_model.h"

namespace headrace::engine_testing {

enum class Family { llama, gemma3 };

inline std::string tiny_bytes(Family family, DType type) {
  const testing::TinyModelOptions options = {.type = type, .seed = 5};
  return (family == Family::llama ? testing::tiny_llama(options) : testing::tiny_gemma3(options)).bytes();
}

inline std::unique_ptr<Backend> test_device([[maybe_unused]] size_t threads = 1) {
#ifdef HEADRACE_TEST_FAKE_DEVICE
  return make_fake_device();
#else
  return make_cpu_backend(cpu::choose_tier("").value(), threads);
#endif
}

// What a choice brought: tokens with their logprobs, by position.
struct Answer {
  std::vector<int32_t> tokens;
  std::vector<double> logprobs;
  FinishReason finished = FinishReason::none;
  RequestReport report;
};
inline bool same_bits(const Answer& a, const Answer& b) {
  return a.tokens == b.tokens && a.logprobs.size() == b.logprobs.size() &&
         std::memcmp(a.logprobs.data(), b.logprobs.data(), a.logprobs.size() * sizeof(double)) == 0;
}

struct World {
  std::string bytes;
  MemoryLedger ledger{uint64_t{1} << 32};
  ModelFile file;
  std::unique_ptr<Engine> engine;
  std::map<std::pair<RequestId, uint32_t>, Answer> answers;  // by request and choice, of all that ended

  World(std::string model, std::unique_ptr<Backend> backend, const EngineOptions& options)
      : bytes(std::move(model)), file(GgufFile::parse("tiny", headrace::testing::as_bytes(bytes)).value()) {
    auto loaded = load_model(file, *backend, ledger).value();
    engine = Engine::create(std::move(backend), std::move(loaded), ledger, options).value();
  }

  RequestId submit(const Request& request) { return engine->submit(request).value(); }
  // One step; the books must add up after it.
  std::vector<Event> step() {
    std::vector<Event> events;
    engine->step(events);
    const Status books = engine->check_books();
    EXPECT_TRUE(books) << books.error().message;
    for (const Event& e : events) {
      Answer& answer = answers[{e.request, e.choice}];
      if (e.has_token) answer.tokens.push_back(e.draw.token);
      if (e.has_token) answer.logprobs.push_back(e.draw.logprob);
      if (e.finished != FinishReason::none) answer.finished = e.finished;
      if (e.finished != FinishReason::none) answer.report = e.report;
    }
    return events;
  }
  void finish() {
    while (!engine->idle()) step();
  }
  Answer answer(const Request& request) {
    const RequestId id = submit(request);
    finish();
    return answers[{id, 0}];
  }
  // As a fresh engine would answer.
  Answer cold_answer(const Request& request) {
    engine->clear_cache();
    return answer(request);
  }
};

inline EngineOptions options(uint32_t batch_rows, uint32_t sequences = 1) {
  return {.context = 512, .sequences = sequences, .batch_rows = batch_rows};
}

// Pages of 16 tokens, so that short prompts have several.
inline EngineOptions many(uint32_t sequences, uint64_t kv_tokens = 0) {
  EngineOptions o = options(64, sequences);
  o.context = 160;
  o.kv_tokens = kv_tokens;
  o.page_tokens = 16;
  return o;
}

inline Request random_request(uint32_t seed, size_t prompt_tokens, uint32_t new_tokens) {
  std::mt19937 random(seed);
  Request request;
  for (size_t i = 0; i < prompt_tokens; ++i)
    request.prompt.push_back(10 + static_cast<int32_t>(random() % 200));
  request.max_new_tokens = new_tokens;
  request.sampling.seed = seed;
  request.sampling.logprobs = true;
  // Random weights are sure of themselves; without this every seed draws the same tokens.
  request.sampling.temperature = 4.0F;
  request.sampling.top_k = 0;
  request.sampling.top_p = 1.0F;
  request.sampling.min_p = 0.0F;
  return request;
}

}  // namespace headrace::engine_testing
