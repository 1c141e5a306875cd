// Steps take nothing from the heap and nothing from the kernel: not when they decode, and not when requests
// are admitted, find cached prefixes, are preempted or end.
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <thread>

#include "decode/ngram_drafter.h"
#include "engine/self_drafter.h"
#include "engine/testing/allocation_counter.h"
#include "engine/testing/draft_world.h"
#include "sanitized.h"

namespace headrace {
namespace {

using namespace engine_testing;

constexpr uint32_t kContext = 160;
constexpr uint32_t kRows = 48;
constexpr uint32_t kSequences = 6;

// What steps did, by kind.
using Coverage = std::map<std::string, uint64_t>;

constexpr const char* kKinds[] = {"greedy",
                                  "default sampling",
                                  "default sampling with 5 alternatives",
                                  "penalties",
                                  "logit bias",
                                  "from the whole row",
                                  "after scores of the prompt",
                                  "several answers",
                                  "greedy with 20 alternatives",
                                  "to the end of the context",
                                  "with a deadline",
                                  "whole row, bias, penalties, alternatives, end tokens"};

// Prompts begin with one of a few stems.
Request request_of_kind(size_t kind, std::mt19937& random) {
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  Request request;
  std::mt19937 stem(below(4));
  const uint32_t shared = 1 + below(80);
  for (uint32_t i = 0; i < shared; ++i) request.prompt.push_back(10 + static_cast<int32_t>(stem() % 200));
  for (uint32_t i = below(12); i > 0; --i) request.prompt.push_back(10 + static_cast<int32_t>(below(200)));
  request.max_new_tokens = 1 + below(24);
  request.priority = below(4) == 0 ? 1 + static_cast<int32_t>(below(3)) : 0;
  SamplingParams& sampling = request.sampling;
  sampling.seed = random();
  const auto whole_row = [&] {
    sampling.temperature = 3.0F;
    sampling.top_k = 0;
  };
  switch (kind) {
    case 0:
      sampling.temperature = 0;
      break;
    case 1:
      break;  // the defaults
    case 2:
      sampling.logprobs = true;
      sampling.n_top_logprobs = 5;
      break;
    case 3:
      sampling.repeat_penalty = 1.1F;
      sampling.presence_penalty = 0.5F;
      sampling.frequency_penalty = 0.25F;
      sampling.penalty_last_n = below(2) == 0 ? -1 : 64;
      break;
    case 4:
      // Twice the same token; whether a bias raises decides whether the whole row is wanted.
      sampling.logit_bias = {{30, -1.0F}, {12, -std::numeric_limits<float>::infinity()}, {30, -2.0F}};
      if (below(2) == 0) sampling.logit_bias.emplace_back(40, 3.0F);
      break;
    case 5:
      whole_row();
      break;
    case 6:
      request.score_from = 1 + below(static_cast<uint32_t>(request.prompt.size()));
      request.max_new_tokens = below(2) * 3;
      break;
    case 7:
      request.n = 2 + below(2);
      whole_row();
      sampling.top_p = 1.0F;
      break;
    case 8:
      sampling.temperature = 0;
      sampling.logprobs = true;
      sampling.n_top_logprobs = 20;
      break;
    case 9:
      while (request.prompt.size() < 3 * kRows)
        request.prompt.push_back(10 + static_cast<int32_t>(below(200)));
      request.max_new_tokens = 1000;
      break;
    case 10:
      request.deadline_ms = 1 + below(20);
      request.max_new_tokens = 30;
      break;
    default:
      whole_row();
      sampling.logprobs = true;
      sampling.n_top_logprobs = 3;
      sampling.penalty_last_n = 8;
      sampling.presence_penalty = 1.0F;
      sampling.logit_bias = {{15, 1.0F}};
      for (int32_t token = 10; token < 40; ++token) request.end_tokens.push_back(token);
  }
  return request;
}

class Play : public LayerObserver {
 public:
  Play(Family family, size_t threads, SpeculationOptions speculation = {}) {
    EngineOptions o = options(kRows, kSequences);
    o.context = kContext;
    o.kv_tokens = 400;  // little: pages are given up, sequences are preempted
    o.page_tokens = 16;
    o.clock_ms = [this] {
      if (plant_) plant_();
      return now_;
    };
    o.observer = this;
    o.speculation = std::move(speculation);
    world_.emplace(tiny_bytes(family, DType::Q8_0), test_device(threads), o);
    events_.reserve(4096);
  }

  // Requests of all kinds come, `rounds` of them; some are cancelled.
  void run(uint32_t seed, uint32_t rounds) {
    std::mt19937 random(seed);
    for (uint32_t round = 0; round < rounds || !engine().idle(); ++round) {
      if (round < rounds && round % 60 == 0) alone(random);
      // Bursts, with quiet between them.
      for (uint64_t i = round % 60 < 40 && round < rounds ? random() % 3 : 0; i > 0; --i) {
        const RequestId id = submit(random);
        if (random() % 8 == 0) doomed_.push_back(id);
        if (random() % 32 == 0) engine().cancel(id);
      }
      if (!doomed_.empty() && random() % 6 == 0) {
        engine().cancel(doomed_.back());
        doomed_.pop_back();
      }
      step();
    }
  }

  void step() {
    now_ += 1;
    engine().recycle(events_);
    const EngineStats before = engine().stats();
    start_counting();
    engine().step(events_);
    const Allocations found = stop_counting();
    ++steps_;
    total_.news += found.news;
    total_.mallocs += found.mallocs;
    total_.maps += found.maps;
    total_.grown += found.grown;
    cover(before, engine().stats());
  }

  Engine& engine() { return *world_->engine; }
  const Coverage& coverage() const { return coverage_; }
  const Allocations& total() const { return total_; }
  uint64_t steps() const { return steps_; }
  void forget() {
    total_ = {};
    coverage_.clear();
    steps_ = 0;
  }
  void plant(std::function<void()> what) { plant_ = std::move(what); }

  bool wants(RequestId request) const override { return request % 5 == 0; }
  void see(RequestId, uint32_t, uint32_t, uint32_t, std::span<const float>) override { ++seen_; }

 private:
  RequestId submit(std::mt19937& random) {
    const size_t kind = submitted_++ % std::size(kKinds);
    const RequestId id = engine().submit(request_of_kind(kind, random)).value();
    kinds_[id] = kind;
    if (first_new_ == 0) first_new_ = id;
    return id;
  }

  // A request that nobody disturbs.
  void alone(std::mt19937& random) {
    while (!engine().idle()) step();
    submit(random);
    while (!engine().idle()) step();
  }

  void cover(const EngineStats& before, const EngineStats& after) {
    const auto seen = [&](const char* kind, bool is) { coverage_[kind] += is ? 1 : 0; };
    const uint64_t prompt_rows = after.prompt_rows - before.prompt_rows;
    const uint64_t rows = after.last_step_rows;
    seen("decode, one sequence", rows == 1 && prompt_rows == 0);
    seen("decode, several sequences", rows > 1 && prompt_rows == 0);
    seen("prefill, as many rows as fit", rows == kRows && prompt_rows > 0);
    seen("prefill beside decode", prompt_rows > 0 && rows > prompt_rows);
    uint32_t gone = 0;
    uint32_t ends[6] = {};
    bool scored = false;
    bool other_choice = false;
    bool alternatives = false;
    bool waiting_ended = false;
    std::set<size_t> drawn;
    for (const Event& e : events_) {
      ends[static_cast<size_t>(e.finished)] += 1;
      gone += e.finished != FinishReason::none ? 1 : 0;
      scored |= e.scored;
      other_choice |= e.has_token && e.choice > 0;
      alternatives |= !e.draw.top.empty();
      // Who came since the last step was not admitted yet.
      waiting_ended |= first_new_ != 0 && e.request >= first_new_ && !e.has_token;
      if (e.has_token && !e.scored && kinds_.contains(e.request)) drawn.insert(kinds_[e.request]);
    }
    first_new_ = 0;
    for (size_t kind = 0; kind < std::size(kKinds); ++kind) {
      seen(("drawn: " + std::string(kKinds[kind])).c_str(), drawn.contains(kind));
    }
    const uint64_t reused = after.reused_tokens - before.reused_tokens;
    const uint64_t copies = after.page_copies - before.page_copies;
    seen("admission", after.running + gone > before.running && after.waiting < before.waiting);
    seen("prefix from the cache, whole pages", reused > 0 && copies == 0);
    seen("prefix from the cache, a copied page", reused > 0 && copies > 0);
    seen("eviction", after.evicted_pages > before.evicted_pages);
    seen("preemption", after.preemptions > before.preemptions);
    seen("pages that leave a window", after.retired_pages > before.retired_pages);
    seen("scores of a prompt", scored);
    seen("further answers to a prompt", other_choice);
    seen("alternatives reported", alternatives);
    seen("end: length", ends[static_cast<size_t>(FinishReason::length)] > 0);
    seen("end: end token", ends[static_cast<size_t>(FinishReason::end_token)] > 0);
    seen("end: context", ends[static_cast<size_t>(FinishReason::context)] > 0);
    seen("end: cancelled", ends[static_cast<size_t>(FinishReason::cancelled)] > 0);
    seen("end: expired", ends[static_cast<size_t>(FinishReason::expired)] > 0);
    seen("end while waiting", waiting_ended);
    seen("books checked, nobody left", after.running + after.waiting == 0 && gone > 0);
    seen("rows observed", std::exchange(seen_, 0) > 0);
  }

  std::function<void()> plant_;
  int64_t now_ = 0;
  std::optional<World> world_;
  std::vector<Event> events_;
  std::vector<RequestId> doomed_;
  std::map<RequestId, size_t> kinds_;
  size_t submitted_ = 0;
  RequestId first_new_ = 0;  // submitted since the last step; 0: nobody
  uint64_t seen_ = 0;
  uint64_t steps_ = 0;
  Coverage coverage_;
  Allocations total_;
};

class StepAllocations : public ::testing::TestWithParam<std::tuple<Family, size_t>> {
 protected:
  void SetUp() override {
    if (testing::kSanitized) GTEST_SKIP() << "a sanitizer counts for itself";
  }
};

TEST_P(StepAllocations, ThereAreNone) {
  const auto [family, threads] = GetParam();
  Play play(family, threads);
  play.run(2, 1200);
  const Allocations& found = play.total();
  std::printf("%llu steps took: new %llu, malloc %llu, mmap %llu, brk %llu bytes\n",
              static_cast<unsigned long long>(play.steps()), static_cast<unsigned long long>(found.news),
              static_cast<unsigned long long>(found.mallocs), static_cast<unsigned long long>(found.maps),
              static_cast<unsigned long long>(found.grown));
  for (const auto& [kind, steps] : play.coverage()) {
    std::printf("  %-59s %6llu steps\n", kind.c_str(), static_cast<unsigned long long>(steps));
    const bool windows = family == Family::gemma3 || kind != "pages that leave a window";
    if (windows) {
      EXPECT_GT(steps, 0U) << kind;
    }
  }
  EXPECT_EQ(found.all(), 0U);
  if (found.all() > 0) print_first_allocations();
}

INSTANTIATE_TEST_SUITE_P(Families, StepAllocations,
                         ::testing::Combine(::testing::Values(Family::llama, Family::gemma3),
                                            ::testing::Values(1, 2)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param) == Family::llama ? "llama" : "gemma3") +
                                  std::to_string(std::get<1>(p.param)) + "Threads";
                         });

TEST_P(StepAllocations, ThereAreNoneWithDrafts) {
  const auto [family, threads] = GetParam();
  using Made = Result<std::unique_ptr<Drafter>>;
  const std::pair<const char*, std::function<Made(const DrafterWorld&)>> drafters[] = {
      {"ngram", [](const DrafterWorld&) -> Made { return make_ngram_drafter({.shortest = 1}); }},
      {"self",
       [](const DrafterWorld& world) {
         return make_self_drafter(std::vector<bool>(world.model.info().n_layers, true), world);
       }},
      {"model", draft_model(family, 5)}};
  for (const auto& [name, drafter] : drafters) {
    for (const DraftRule rule : {DraftRule::coupled, DraftRule::rejection}) {
      Play play(family, threads, {.drafter = drafter, .most = 4, .automatic = false, .rule = rule});
      play.run(2, 400);
      EXPECT_GT(play.engine().stats().drafts.tokens, 100U) << name << name_of(rule);
      EXPECT_EQ(play.total().all(), 0U) << name << name_of(rule);
    }
  }
  Play both(family, threads,
            {.drafter = drafters[0].second, .most = 4, .automatic = false, .second = drafters[2].second});
  both.run(2, 400);
  EXPECT_EQ(both.total().all(), 0U);
  if (HasFailure()) print_first_allocations();
}

void* volatile sink = nullptr;

// So that nothing is optimised away.
template <typename T>
T* keep(T* data) {
  sink = data;
  return data;
}

struct alignas(64) Aligned {
  char bytes[64];
};

class StepAllocationsAreSeen : public ::testing::Test {
 protected:
  void SetUp() override {
    if (testing::kSanitized) GTEST_SKIP() << "a sanitizer counts for itself";
    play_.run(1, 30);
  }

  // What a step takes that runs `plant` on the way.
  Allocations taken(std::function<void()> plant) {
    Request request = random_request(1, 4, 1);
    request.deadline_ms = 1000;  // so that the step looks at the clock
    static_cast<void>(play_.engine().submit(request).value());
    play_.forget();
    play_.plant(std::move(plant));
    play_.step();
    play_.plant({});
    while (!play_.engine().idle()) play_.step();
    return play_.total();
  }

  Play play_{Family::llama, 1};
};

TEST_F(StepAllocationsAreSeen, WhateverWayTheyTake) {
  EXPECT_EQ(taken([] {}).all(), 0U);
  EXPECT_EQ(taken([] { delete keep(new int(1)); }).news, 1U);
  EXPECT_EQ(taken([] { delete[] keep(new int[9]); }).news, 1U);
  EXPECT_EQ(taken([] { delete keep(new Aligned); }).news, 1U);
  EXPECT_EQ(taken([] { delete keep(new (std::nothrow) int(1)); }).news, 1U);
  EXPECT_EQ(taken([] { std::free(keep(std::malloc(8))); }).mallocs, 1U);
  EXPECT_EQ(taken([] { std::free(keep(std::calloc(8, 8))); }).mallocs, 1U);
  EXPECT_EQ(taken([] { std::free(keep(std::aligned_alloc(64, 64))); }).mallocs, 1U);
  EXPECT_EQ(taken([] { std::free(keep(std::realloc(keep(std::malloc(8)), 100))); }).mallocs, 2U);
  EXPECT_EQ(taken([] {
              void* data = nullptr;
              if (::posix_memalign(&data, 64, 64) == 0) std::free(keep(data));
            }).mallocs,
            1U);
  EXPECT_EQ(taken([] {
              void* data = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              data = ::mremap(data, 4096, 8192, MREMAP_MAYMOVE);
              ::munmap(data, 8192);
            }).maps,
            2U);
  EXPECT_EQ(taken([] { keep(::sbrk(4096)); }).grown, 4096U);
}

TEST_F(StepAllocationsAreSeen, OnWhateverThread) {
  std::atomic<int> turn{0};
  std::thread other([&] {
    while (turn != 1) std::this_thread::yield();
    std::free(keep(std::malloc(8)));
    turn = 2;
  });
  EXPECT_EQ(taken([&] {
              turn = 1;
              while (turn != 2) std::this_thread::yield();
            }).mallocs,
            1U);
  other.join();
}

TEST_F(StepAllocationsAreSeen, WhereListsOfAlternativesAreNotGivenBack) {
  Request request = random_request(1, 4, 30);
  request.sampling.n_top_logprobs = 4;
  for (const bool give_back : {true, false}) {
    static_cast<void>(play_.engine().submit(request).value());
    std::vector<Event> events;
    events.reserve(64);
    uint64_t found = 0;
    while (!play_.engine().idle()) {
      if (give_back) play_.engine().recycle(events);
      start_counting();
      play_.engine().step(events);
      found += stop_counting().all();
    }
    EXPECT_EQ(found == 0, give_back);
  }
}

}  // namespace
}  // namespace headrace
