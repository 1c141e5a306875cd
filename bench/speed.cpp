// Claim: decode runs at a large share of the memory's read stream; prefill is bound by compute.
//
//   bench_speed MODEL.gguf [THREADS [REPETITIONS]]
//
// Prints, as one JSON object: pp512 (a prompt of 512 tokens), tg128 (128 greedy tokens after one), tokens per
// second, mean and standard deviation; the read stream of this machine, measured in the same run; and the
// share of it that tg128 reaches (bytes of weights a token reads, times tokens per second). Load time apart.
#include "world.h"

namespace headrace::bench {
namespace {

double tokens_per_second(Engine& engine, size_t prompt_tokens, uint32_t new_tokens) {
  Request request;
  request.prompt = text(engine, prompt_tokens, 0);
  request.max_new_tokens = new_tokens;
  request.sampling.temperature = 0;
  const Clock::time_point begin = Clock::now();
  (void)engine.submit(request).value();
  std::vector<Event> events;
  while (!engine.idle()) engine.step(events);
  return static_cast<double>(std::max<size_t>(new_tokens, prompt_tokens)) / seconds_since(begin);
}

Status measure(const char* path, size_t threads, int repetitions) {
  const double stream = read_stream(threads);
  const Clock::time_point begin = Clock::now();
  HEADRACE_TRY(auto backend, best_backend(threads));
  // The same prompt again and again must be computed again and again.
  HEADRACE_TRY(World world, open(path, std::move(backend), {.context = 1024, .prefix_cache = false}));
  const std::unique_ptr<Engine>& engine = world.engine;
  const ModelInfo info = engine->model().info();
  const double load = seconds_since(begin);
  (void)tokens_per_second(*engine, 16, 1);  // warm-up
  std::vector<double> prefill;
  std::vector<double> decode;
  for (int i = 0; i < repetitions; ++i) {
    prefill.push_back(tokens_per_second(*engine, 512, 0));
    decode.push_back(tokens_per_second(*engine, 1, 128));
  }
  const Rate pp = rate_of(prefill);
  const Rate tg = rate_of(decode);
  fmt::print(
      "{{\"model\": \"{}\", \"weight_bytes\": {}, \"backend\": \"{}\", \"numerics\": \"exact\", \"threads\": "
      "{}, "
      "\"load_s\": {:.3f}, \"pp512\": {:.1f}, \"pp512_sd\": {:.1f}, \"tg128\": {:.1f}, \"tg128_sd\": {:.1f}, "
      "\"read_stream_gb_s\": {:.2f}, \"tg128_share_of_stream\": {:.2f}}}\n",
      printable(path), info.weight_bytes, engine->backend().name(), threads, load, pp.mean, pp.deviation,
      tg.mean, tg.deviation, stream / 1e9, static_cast<double>(info.weight_bytes) * tg.mean / stream);
  return {};
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_speed MODEL.gguf [THREADS [REPETITIONS]]\n");
    return 2;
  }
  const int repetitions = argc > 3 ? std::max(1, std::atoi(argv[3])) : 5;
  return headrace::bench::finish(
      "bench_speed",
      headrace::bench::measure(argv[1], headrace::bench::threads_from(argc, argv, 2), repetitions));
}
