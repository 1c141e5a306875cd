// What tests of drafts share: requests whose texts repeat themselves, and draft models.
#pragma once

#include "engine/model_drafter.h"
#include "engine/testing/engine_world.h"

namespace headrace::engine_testing {

// Every prompt ends as it began, so that the text has something to repeat. Greedy and drawn ones, with
// reports and without.
inline std::vector<Request> repeating_requests(size_t count, uint32_t new_tokens) {
  std::vector<Request> requests;
  for (uint32_t i = 0; i < count; ++i) {
    Request request = random_request(40 + i, 9 + 7 * i % 31, new_tokens - i % 5);
    const std::vector<int32_t> begin(request.prompt.begin(), request.prompt.begin() + 6);
    request.prompt.insert(request.prompt.end(), begin.begin(), begin.end());
    if (i % 3 == 0) request.sampling.temperature = 0;
    if (i % 3 == 1) request.sampling.n_top_logprobs = 3;
    if (i % 4 == 2) {
      request.sampling.top_k = 40;
      request.sampling.presence_penalty = 0.5F;
    }
    if (i % 6 == 0) request.sampling.logprobs = false;
    requests.push_back(request);
  }
  return requests;
}

// A model of the family; seed 5 of type Q8_0 is that of tiny_bytes().
inline DrafterMaker draft_model(Family family, uint64_t seed, DType type = DType::Q8_0) {
  const testing::TinyModelOptions tiny = {.type = type, .seed = seed};
  const auto bytes = std::make_shared<const std::string>(
      (family == Family::llama ? testing::tiny_llama(tiny) : testing::tiny_gemma3(tiny)).bytes());
  const auto file = std::make_shared<const ModelFile>(
      GgufFile::parse("draft", headrace::testing::as_bytes(*bytes)).value());
  return [bytes, file](const DrafterWorld& world) { return make_model_drafter(*file, world); };
}

}  // namespace headrace::engine_testing
