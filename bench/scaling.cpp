// Claim: decode goes faster with every sequence in the batch, until arithmetic and not memory is the bound.
//
//   bench_scaling MODEL [THREADS [PROMPT_TOKENS [NEW_TOKENS]]]
//
// For 1, 2, 4 ... 64 sequences, each with a prompt of its own: greedy tokens per second of all together,
// counted once every prompt has been read (as llama-batched-bench counts S_TG). One line of JSON a batch
// size.
#include "world.h"

namespace headrace::bench {
namespace {

Result<double> decode_rate(Engine& engine, uint32_t sequences, size_t prompt_tokens, uint32_t new_tokens) {
  for (uint32_t i = 0; i < sequences; ++i) {
    Request request;
    request.prompt = text(engine, prompt_tokens, i);
    request.max_new_tokens = new_tokens + 1;
    request.sampling.temperature = 0;
    HEADRACE_TRY([[maybe_unused]] const RequestId id, engine.submit(std::move(request)));
  }
  std::vector<Event> events;
  while (events.size() < sequences) engine.step(events);
  size_t counted = 0;
  const Clock::time_point begin = Clock::now();
  while (!engine.idle()) {
    events.clear();
    engine.step(events);
    counted += events.size();
  }
  return static_cast<double>(counted) / seconds_since(begin);
}

Status run(int argc, char** argv) {
  const size_t threads = threads_from(argc, argv, 2);
  const size_t prompt_tokens = argc > 3 ? static_cast<size_t>(std::atoi(argv[3])) : 128;
  const auto new_tokens = static_cast<uint32_t>(argc > 4 ? std::atoi(argv[4]) : 128);
  const double stream = read_stream(threads);
  HEADRACE_TRY(auto backend, best_backend(threads));
  HEADRACE_TRY(World world, open(argv[1], std::move(backend),
                                 {.context = static_cast<uint32_t>(prompt_tokens + new_tokens + 2),
                                  .sequences = 64,
                                  .prefix_cache = false}));
  HEADRACE_TRY([[maybe_unused]] const double warm_up, decode_rate(*world.engine, 2, 16, 8));
  for (uint32_t sequences = 1; sequences <= 64; sequences *= 2) {
    HEADRACE_TRY(const double rate, decode_rate(*world.engine, sequences, prompt_tokens, new_tokens));
    const auto weights = static_cast<double>(world.engine->model().info().weight_bytes);
    fmt::print(
        "{{\"model\": \"{}\", \"backend\": \"{}\", \"numerics\": \"exact\", \"threads\": {}, \"batch\": {}, "
        "\"tg\": {:.1f}, \"read_stream_gb_s\": {:.2f}, \"share_of_stream\": {:.3f}}}\n",
        printable(argv[1]), world.engine->backend().name(), threads, sequences, rate, stream / 1e9,
        rate / sequences * weights / stream);
    std::fflush(stdout);
  }
  return {};
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_scaling MODEL [THREADS [PROMPT_TOKENS [NEW_TOKENS]]]\n");
    return 2;
  }
  return headrace::bench::finish("bench_scaling", headrace::bench::run(argc, argv));
}
