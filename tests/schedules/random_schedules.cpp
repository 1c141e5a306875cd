// Random schedules: requests that come, run, share prefixes, fork into choices, expire, are cancelled and
// preempted, in an engine with far too few pages. After every step the books must add up, and at the end of
// each schedule every request has ended, in bounded time, with the tokens that it has alone.
//
//   random_schedules COUNT [SEED]
//
// Prints what happened; fails at the first schedule that breaks a promise, and names it.
#include <charconv>
#include <cstdio>
#include <map>
#include <random>

#include "engine/engine.h"
#include "ops/cpu/cpu_backend.h"
#include "tiny_model.h"

namespace headrace {
namespace {

constexpr uint32_t kContext = 96;
constexpr uint32_t kLongContext = 400;
constexpr uint32_t kPageTokens = 16;
constexpr uint32_t kSequences = 6;
// No schedule needs more steps: each step either computes a row or preempts, and all rows of all requests
// would have to be computed several times over.
constexpr uint64_t kMostSteps = 4000;

struct Totals {
  uint64_t schedules = 0;
  uint64_t requests = 0;
  uint64_t tokens = 0;
  uint64_t compared = 0;  // answers that were compared with those given alone
  uint64_t cancelled = 0;
  uint64_t expired = 0;
  uint64_t most_steps = 0;  // of a schedule
};

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(engine_() % n); }
  bool chance(uint32_t percent) { return below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

// Requests are drawn from a small stock, so that they share prefixes and their answers are known.
struct Stock {
  std::vector<Request> requests;
  std::vector<std::vector<std::vector<int32_t>>> answers;  // by request and choice
};

std::vector<Request> random_requests(uint64_t seed, uint32_t vocab) {
  Random random(seed);
  std::vector<std::vector<int32_t>> stems(4);
  for (auto& stem : stems) {
    for (uint32_t i = 0; i < 70; ++i) stem.push_back(static_cast<int32_t>(6 + random.below(vocab - 6)));
  }
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 24; ++i) {
    Request request;
    request.prompt = stems[random.below(4)];
    request.prompt.resize(1 + random.below(70));
    const uint32_t own = random.below(8);
    for (uint32_t t = 0; t < own; ++t)
      request.prompt.push_back(static_cast<int32_t>(6 + random.below(vocab - 6)));
    request.max_new_tokens = random.chance(10) ? 0 : 1 + random.below(14);
    request.n = random.chance(20) ? 2 + random.below(3) : 1;
    request.sampling.temperature = random.chance(50) ? 0.0F : 3.0F;
    request.sampling.seed = i;
    request.priority = random.chance(30) ? static_cast<int32_t>(random.below(5)) - 2 : 0;
    request.cache_salt = random.chance(10) ? 1 : 0;
    if (request.max_new_tokens == 0 && request.prompt.size() > 1)
      request.score_from = 1 + random.below(static_cast<uint32_t>(request.prompt.size()) - 1);
    requests.push_back(std::move(request));
  }
  return requests;
}

// What must hold whatever happens; a violation ends the program.
[[noreturn]] void fail(uint64_t schedule, const std::string& what) {
  fmt::print("schedule {}: {}\n", schedule, what);
  std::exit(1);
}

class World {
 public:
  World(const std::string& model, std::string name, uint32_t sequences, uint32_t context)
      : sequences_(sequences),
        context_(context),
        bytes_(model),
        file_(GgufFile::parse(std::move(name), testing::as_bytes(bytes_)).value()) {
    auto backend = make_cpu_backend(cpu::choose_tier("").value(), 1);
    auto loaded = load_model(file_, *backend, ledger_).value();
    engine_ = Engine::create(std::move(backend), std::move(loaded), ledger_,
                             {.context = context,
                              .sequences = sequences,
                              .kv_tokens = cache_tokens(),
                              .batch_rows = 64,
                              .page_tokens = kPageTokens,
                              .clock_ms = [this] { return now_ms_; }})
                  .value();
    stock_.requests = random_requests(17, engine_->model().info().vocab_size);
    for (const Request& request : stock_.requests) stock_.answers.push_back(alone(request));
  }

  void run(uint64_t number, uint64_t seed, Totals& totals);
  EngineStats stats() const { return engine_->stats(); }

 private:
  struct Live {
    size_t stock = 0;
    std::vector<std::vector<int32_t>> tokens;
    std::vector<bool> ended;
    bool disturbed = false;  // cancelled or with a deadline: its answer may be short
  };

  std::vector<std::vector<int32_t>> alone(const Request& request) {
    engine_->clear_cache();
    std::vector<std::vector<int32_t>> answers(request.n);
    (void)engine_->submit(request).value();
    std::vector<Event> events;
    while (!engine_->idle()) engine_->step(events);
    for (const Event& e : events) {
      if (e.has_token && !e.scored) answers[e.choice].push_back(e.draw.token);
    }
    return answers;
  }

  void submit(Random& random);
  void act(Random& random);
  void step(uint64_t number, Totals& totals);

  // Three contexts: with six sequences of up to six pages, pages run out often.
  uint64_t cache_tokens() const { return 3 * context_; }

  uint32_t sequences_;
  uint32_t context_;
  int64_t now_ms_ = 0;
  std::string bytes_;
  MemoryLedger ledger_{uint64_t{1} << 30};
  ModelFile file_;
  std::unique_ptr<Engine> engine_;
  Stock stock_;
  std::map<RequestId, Live> live_;
};

void World::submit(Random& random) {
  const size_t which = random.below(static_cast<uint32_t>(stock_.requests.size()));
  Request request = stock_.requests[which];
  if (random.chance(10)) request.deadline_ms = 1 + random.below(40);
  const bool deadline = request.deadline_ms > 0;
  const uint32_t n = request.n;
  const RequestId id = engine_->submit(std::move(request)).value();
  live_[id] = {which, std::vector<std::vector<int32_t>>(n), std::vector<bool>(n), deadline};
}

void World::act(Random& random) {
  if (random.chance(5) && !live_.empty()) {
    auto victim = live_.begin();
    std::advance(victim, random.below(static_cast<uint32_t>(live_.size())));
    victim->second.disturbed = true;
    if (random.chance(50)) {
      engine_->cancel(victim->first);
    } else {
      engine_->cancel(victim->first, random.below(static_cast<uint32_t>(victim->second.ended.size())));
    }
  }
  if (random.chance(5)) engine_->clear_cache();
  if (random.chance(10)) {
    StepLimits limits;
    limits.rows = 1 + random.below(64);
    limits.chunk = random.chance(50) ? 0 : 1 + random.below(20);
    limits.sequences = 1 + random.below(sequences_);
    limits.kv_tokens =
        random.chance(50) ? 0 : context_ + random.below(static_cast<uint32_t>(cache_tokens()) - context_);
    limits.prefix_cache = !random.chance(10);
    engine_->set_limits(limits);
  }
  now_ms_ += random.below(4);
}

void World::step(uint64_t number, Totals& totals) {
  std::vector<Event> events;
  engine_->step(events);
  const Status books = engine_->check_books();
  if (!books) fail(number, books.error().message);
  for (const Event& e : events) {
    const auto found = live_.find(e.request);
    if (found == live_.end()) fail(number, "an event of a request that has ended");
    Live& live = found->second;
    if (live.ended[e.choice]) fail(number, "an event of a choice that has ended");
    if (e.has_token && !e.scored) live.tokens[e.choice].push_back(e.draw.token);
    if (e.finished == FinishReason::none) continue;
    live.ended[e.choice] = true;
    totals.cancelled += e.finished == FinishReason::cancelled ? 1 : 0;
    totals.expired += e.finished == FinishReason::expired ? 1 : 0;
    const auto& expected = stock_.answers[live.stock][e.choice];
    const auto& found_tokens = live.tokens[e.choice];
    totals.tokens += found_tokens.size();
    const bool prefix = found_tokens.size() <= expected.size() &&
                        std::equal(found_tokens.begin(), found_tokens.end(), expected.begin());
    if (!prefix || (!live.disturbed && found_tokens.size() != expected.size())) {
      fail(number,
           fmt::format("request {} choice {}: not the answer that it has alone", live.stock, e.choice));
    }
    totals.compared += live.disturbed ? 0 : 1;
    if (std::ranges::all_of(live.ended, [](bool ended) { return ended; })) live_.erase(found);
  }
}

void World::run(uint64_t number, uint64_t seed, Totals& totals) {
  Random random(seed * 0x9E3779B97F4A7C15 + number);
  const uint32_t requests = 1 + random.below(10);
  uint32_t left = requests;
  uint64_t steps = 0;
  while (left > 0 || !engine_->idle()) {
    for (uint32_t burst = random.below(4); left > 0 && burst > 0; --burst, --left) submit(random);
    act(random);
    step(number, totals);
    if (++steps > kMostSteps) fail(number, "requests starve");
  }
  if (!live_.empty()) fail(number, "a request ended without an event");
  totals.requests += requests;
  totals.most_steps = std::max(totals.most_steps, steps);
  ++totals.schedules;
}

uint64_t number_of(const char* text, uint64_t otherwise) {
  uint64_t value = otherwise;
  const std::string_view view = text == nullptr ? "" : text;
  std::from_chars(view.data(), view.data() + view.size(), value);
  return value;
}

int run(int argc, char** argv) {
  const uint64_t count = number_of(argc > 1 ? argv[1] : nullptr, 0);
  const uint64_t seed = number_of(argc > 2 ? argv[2] : nullptr, 1);
  if (count == 0) {
    fmt::print(stderr, "usage: random_schedules COUNT [SEED]\n");
    return 2;
  }
  const testing::TinyModelOptions options = {.type = DType::F32, .seed = 3, .width = 16};
  const testing::TinyModelOptions windowed = {.type = DType::F32, .seed = 3, .width = 16, .window = 24};
  // The last has long contexts, so that its window's group has fewer pages than the other and evicts its own.
  World worlds[] = {{testing::tiny_llama(options).bytes(), "llama", kSequences, kContext},
                    {testing::tiny_gemma3(options).bytes(), "gemma3", kSequences, kContext},
                    {testing::tiny_gemma3(windowed).bytes(), "gemma3 long", 3, kLongContext}};
  Totals totals;
  for (uint64_t i = 0; i < count; ++i) worlds[i % 3].run(i, seed, totals);
  fmt::print(
      "{} schedules, {} requests, {} tokens: 0 imbalances, 0 leaks, 0 starved (most steps of one: {})\n",
      totals.schedules, totals.requests, totals.tokens, totals.most_steps);
  fmt::print("answers equal to those given alone: {}; cancelled {}, expired {}\n", totals.compared,
             totals.cancelled, totals.expired);
  for (const World& world : worlds) {
    const EngineStats s = world.stats();
    fmt::print(
        "{} steps, {} rows, {} tokens reused, {} preemptions, {} page copies, {} evicted, {} retired\n",
        s.steps, s.rows, s.reused_tokens, s.preemptions, s.page_copies, s.evicted_pages, s.retired_pages);
  }
  return 0;
}

}  // namespace
}  // namespace headrace

int main(int argc, char** argv) {
  return headrace::run(argc, argv);
}
