// Claim: the fixed order of level `exact` costs at most 3 % against the same kernels with a free one.
//
//   bench_exact_cost MODEL [THREADS [ROUNDS]]
//
// Kernels of tier avx512 and their variant whose segments are added as they come (free_order.cpp) take turns,
// A B B A, in one process on one model each: a prompt of 512 tokens, 32 tokens after one, 32 sequences at
// once. Prints the median of the rounds' ratios, above 1 where `exact` is slower. Threads divide outputs,
// never K, in both.
#include <algorithm>

#include "free_order.h"
#include "world.h"

namespace headrace::bench {
namespace {

constexpr size_t kPrompt = 512;
constexpr uint32_t kAnswer = 32;
constexpr uint32_t kSequences = 32;

struct Work {
  const char* name;
  uint32_t sequences;
  size_t prompt;
  uint32_t answer;
};
constexpr Work kWorks[] = {
    {"pp512", 1, kPrompt, 1}, {"tg32", 1, 1, kAnswer}, {"batch 32", kSequences, 16, kAnswer}};

// Seconds; decode alone where there is more than a token of it.
Result<double> measure(Engine& engine, const Work& work) {
  engine.clear_cache();
  for (uint32_t i = 0; i < work.sequences; ++i) {
    Request request;
    request.prompt = text(engine, work.prompt, i + 1);
    request.max_new_tokens = work.answer;
    request.sampling.temperature = 0;
    HEADRACE_TRY([[maybe_unused]] const RequestId id, engine.submit(std::move(request)));
  }
  std::vector<Event> events;
  Clock::time_point begin = Clock::now();
  if (work.answer > 1) {
    while (events.size() < work.sequences) engine.step(events);  // each has its first token
    begin = Clock::now();
  }
  while (!engine.idle()) engine.step(events);
  return seconds_since(begin);
}

Status run(int argc, char** argv) {
  if (const auto missing = cpu::missing_for(cpu::Tier::avx512))
    return make_error(Errc::unsupported, "{}", *missing);
  const size_t threads = threads_from(argc, argv, 2);
  const size_t rounds = argc > 3 ? static_cast<size_t>(std::max(1, std::atoi(argv[3]))) : 7;
  const EngineOptions options = {.context = kPrompt + kAnswer, .sequences = kSequences};
  HEADRACE_TRY(World exact, open(argv[1], make_cpu_backend(cpu::Tier::avx512, threads), options));
  HEADRACE_TRY(World loose,
               open(argv[1], make_cpu_backend(cpu::free_order_kernels(), nullptr, threads), options));
  for (const Work& work : kWorks) {
    std::vector<double> ratios;
    for (size_t round = 0; round <= rounds; ++round) {
      double seconds[2] = {0, 0};
      for (const size_t who : {0, 1, 1, 0}) {
        HEADRACE_TRY(const double one, measure(who == 0 ? *exact.engine : *loose.engine, work));
        seconds[who] += one;
      }
      if (round > 0) ratios.push_back(seconds[0] / seconds[1]);  // the first warms up
    }
    std::ranges::sort(ratios);
    fmt::print(
        "{{\"model\": \"{}\", \"threads\": {}, \"work\": \"{}\", \"rounds\": {}, \"exact_over_free\": "
        "{:.4f}, "
        "\"least\": {:.4f}, \"most\": {:.4f}}}\n",
        printable(argv[1]), threads, work.name, rounds, ratios[ratios.size() / 2], ratios.front(),
        ratios.back());
  }
  return {};
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_exact_cost MODEL [THREADS [ROUNDS]]\n");
    return 2;
  }
  return headrace::bench::finish("bench_exact_cost", headrace::bench::run(argc, argv));
}
