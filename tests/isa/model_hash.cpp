// Whole models, as hashes of all logits: equal on every machine (compare.sh).
//
//   model_hash                      tiny models of both families, in every weight type
//   model_hash FILE.gguf TOKENS     a real model: TOKENS greedy tokens after a fixed prompt
#include <charconv>
#include <cstdio>
#include <string>

#include "core/system_memory.h"
#include "engine/engine.h"
#include "ops/testing/bits.h"
#include "program_backend.h"
#include "tiny_model.h"

namespace headrace::isa {
namespace {

// Greedy tokens after a fixed prompt, and a hash of every log-probability of the vocabulary at each of them.
void hash_answer(const std::string& name, const ModelFile& file, size_t prompt_tokens, uint32_t new_tokens) {
  MemoryLedger ledger(available_memory_bytes());
  auto backend = program_backend();
  auto model = load_model(file, *backend, ledger).value();
  const uint32_t vocab = model->info().vocab_size;
  const auto engine =
      Engine::create(std::move(backend), std::move(model), ledger, {.context = 256, .batch_rows = 16})
          .value();
  Request request;
  for (size_t i = 0; i < prompt_tokens; ++i)
    request.prompt.push_back(static_cast<int32_t>((10 + 37 * i) % vocab));
  request.max_new_tokens = new_tokens;
  request.sampling.temperature = 0;
  request.sampling.logprobs = true;
  request.sampling.n_top_logprobs = vocab;
  (void)engine->submit(request).value();
  uint64_t hash = ops_testing::kFnvStart;
  std::string tokens;
  while (!engine->idle()) {
    std::vector<Event> events;
    engine->step(events);
    for (const Event& event : events) {
      if (!event.has_token) continue;
      tokens += fmt::format(" {}", event.draw.token);
      for (const TokenLogprob& top : event.draw.top) {
        hash = ops_testing::fnv(std::span<const int32_t>(&top.token, 1), hash);
        hash = ops_testing::fnv(std::span<const double>(&top.logprob, 1), hash);
      }
    }
  }
  fmt::print("{:16} {:016x} tokens{}\n", name, hash, tokens);
}

void hash_tiny_models() {
  for (size_t i = 0; i < kDTypes; ++i) {
    const testing::TinyModelOptions options = {.type = static_cast<DType>(i), .seed = 11};
    const std::string llama = testing::tiny_llama(options).bytes();
    const std::string gemma = testing::tiny_gemma3(options).bytes();
    const std::string type(name_of(options.type));
    hash_answer("llama " + type, GgufFile::parse("llama", testing::as_bytes(llama)).value(), 40, 6);
    hash_answer("gemma3 " + type, GgufFile::parse("gemma3", testing::as_bytes(gemma)).value(), 40, 6);
  }
}

int run(int argc, char** argv) {
  if (argc == 1) {
    hash_tiny_models();
    return 0;
  }
  uint32_t new_tokens = 0;
  const std::string count = argc > 2 ? argv[2] : "";
  if (std::from_chars(count.data(), count.data() + count.size(), new_tokens).ec != std::errc() ||
      new_tokens == 0) {
    fmt::print(stderr, "usage: model_hash [FILE.gguf TOKENS]\n");
    return 2;
  }
  const auto file = ModelFile::open(argv[1]);
  if (!file) {
    fmt::print(stderr, "{}\n", file.error().message);
    return 1;
  }
  hash_answer("file", *file, 8, new_tokens);
  return 0;
}

}  // namespace
}  // namespace headrace::isa

int main(int argc, char** argv) {
  return headrace::isa::run(argc, argv);
}
