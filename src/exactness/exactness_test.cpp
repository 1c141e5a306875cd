#include "exactness/exactness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "exactness/probe.h"
#include "exactness/tally.h"
#include "exactness/trial.h"
#include "ops/cpu/cpu_backend.h"
#include "sanitized.h"
#include "tiny_model.h"

namespace headrace::exactness {
namespace {

using headrace::testing::tiny_gemma3;
using headrace::testing::tiny_llama;

constexpr ModelShape kShape = {.vocab = 300, .layers = 3, .window = 0, .longest = 700, .context = 768};

ExactnessOptions three_tiers() {
  ExactnessOptions options;
  options.tiers = {{"best", false}, {"middle", false}, {"worst", true}};
  return options;
}

Answer some_answer() {
  Answer answer;
  for (uint32_t i = 0; i < 4; ++i) {
    answer.tokens.push_back(
        {.position = 10 + i, .scored = i == 0, .draw = {5, -0.25, {{7, -0.125}, {9, -0.5}}}});
  }
  answer.finished = FinishReason::length;
  return answer;
}

TEST(Exactness, EqualAnswersDoNotDiffer) {
  EXPECT_FALSE(first_difference(some_answer(), some_answer(), std::nullopt));
}

TEST(Exactness, AnAlteredAnswerIsReportedAtItsFirstPosition) {
  const auto position_after = [](const auto& alter) {
    Answer found = some_answer();
    alter(found);
    const auto difference = first_difference(some_answer(), found, std::nullopt);
    EXPECT_TRUE(difference);
    if (!difference) return -1;
    EXPECT_EQ(difference->kind, "answer");
    EXPECT_FALSE(difference->layer);
    return static_cast<int>(difference->position);
  };
  EXPECT_EQ(position_after([](Answer& a) { a.tokens[1].draw.token = 6; }), 11);
  EXPECT_EQ(position_after([](Answer& a) { a.tokens[0].scored = false; }), 10);
  EXPECT_EQ(position_after([](Answer& a) {
              double& logprob = a.tokens[2].draw.logprob;
              logprob = std::nextafter(logprob, 0.0);
            }),
            12);
  EXPECT_EQ(position_after([](Answer& a) { a.tokens[3].draw.top[1].token = 1; }), 13);
  EXPECT_EQ(position_after([](Answer& a) { a.tokens[2].draw.top.pop_back(); }), 12);
  EXPECT_EQ(position_after([](Answer& a) { a.tokens.pop_back(); }), 13);
  EXPECT_EQ(position_after([](Answer& a) { a.tokens.erase(a.tokens.begin() + 1); }), 11);
  EXPECT_EQ(position_after([](Answer& a) { a.tokens.insert(a.tokens.begin() + 2, a.tokens[1]); }), 11);
  EXPECT_EQ(position_after([](Answer& a) { a.finished = FinishReason::context; }), 13);
}

TEST(Exactness, ALayerIsNamedIfItDiffersBeforeTheFirstTokenThatDoes) {
  Answer found = some_answer();
  found.tokens[1].draw.token = 6;  // at position 11, drawn from row 10
  const auto layer = first_difference(some_answer(), found, LayerPlace{10, 2});
  ASSERT_TRUE(layer);
  EXPECT_EQ(layer->kind, "layer");
  EXPECT_EQ(layer->position, 10U);
  EXPECT_EQ(layer->layer, 2U);
  // Row 11 is the other token itself.
  const auto token = first_difference(some_answer(), found, LayerPlace{11, 0});
  ASSERT_TRUE(token);
  EXPECT_EQ(token->kind, "answer");
  const auto hidden_only = first_difference(some_answer(), some_answer(), LayerPlace{3, 1});
  ASSERT_TRUE(hidden_only);
  EXPECT_EQ(hidden_only->position, 3U);
}

TEST(Exactness, LogprobsThatNobodyAskedForMeanNothing) {
  Event event;
  event.has_token = true;
  event.draw = {.token = 1, .logprob = -3, .top = {{1, -3}}};
  const SamplingParams without_logprobs;
  Answer answer;
  answer.add(event, without_logprobs);
  EXPECT_EQ(answer.tokens[0].draw.logprob, 0);
  EXPECT_TRUE(answer.tokens[0].draw.top.empty());
  event.scored = true;
  answer.add(event, without_logprobs);
  EXPECT_EQ(answer.tokens[1].draw.logprob, -3);
}

TEST(Exactness, ARowsHashSeesEveryBitAndNoNansKind) {
  std::vector<float> row = {1, 2, -3, 0, 5};
  const uint64_t hash = hash_row(row);
  for (float& x : row) {
    const float old = x;
    x = std::nextafter(x, 100.0F);
    EXPECT_NE(hash_row(row), hash);
    x = old;
  }
  row[3] = -0.0F;
  EXPECT_NE(hash_row(row), hash);
  row[3] = std::numeric_limits<float>::quiet_NaN();
  const uint64_t nan = hash_row(row);
  row[3] = -std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(hash_row(row), nan);
  EXPECT_NE(nan, hash);
}

TEST(Exactness, TheObserverNamesTheSmallestPositionAndItsFirstLayer) {
  LayerHashes hashes(20, 3);
  const auto row = [](uint32_t position, uint32_t layer) {
    return std::vector<float>{static_cast<float>(position), static_cast<float>(layer), 1};
  };
  ProbeObserver observer;
  observer.record(7, 0, 10, hashes);
  for (uint32_t p = 0; p < 15; ++p)
    for (uint32_t l = 0; l < 3; ++l) observer.see(7, 0, p, l, row(p, l));
  observer.compare(8, 1, 10, hashes);
  EXPECT_TRUE(observer.wants(8));
  EXPECT_FALSE(observer.wants(7));
  for (uint32_t p = 0; p < 15; ++p)
    for (uint32_t l = 0; l < 3; ++l) observer.see(8, 1, p, l, row(p, l));
  EXPECT_FALSE(observer.difference());
  EXPECT_EQ(observer.compared(), 45U);
  observer.see(7, 1, 0, 0, row(9, 9));   // another request
  observer.see(8, 0, 12, 0, row(9, 9));  // another choice, beyond the prompt
  observer.see(8, 1, 17, 0, row(9, 9));  // never seen alone
  EXPECT_FALSE(observer.difference());
  observer.see(8, 1, 12, 1, row(0, 0));
  EXPECT_EQ(observer.difference(), (LayerPlace{12, 1}));
  observer.see(8, 0, 5, 2, row(0, 0));  // the prompt's rows count whoever runs them
  EXPECT_EQ(observer.difference(), (LayerPlace{5, 2}));
  observer.see(8, 1, 5, 1, row(0, 0));
  EXPECT_EQ(observer.difference(), (LayerPlace{5, 1}));
  observer.see(8, 1, 6, 0, row(0, 0));
  EXPECT_EQ(observer.difference(), (LayerPlace{5, 1}));
}

TEST(Exactness, ATrialIsTheSameHoweverManyThereAre) {
  ExactnessOptions few = three_tiers();
  ExactnessOptions many = three_tiers();
  few.only = 431;
  many.trials = 1000;
  const auto of_few = make_probes(few, kShape);
  const auto of_many = make_probes(many, kShape);
  const Trial a = plan_trial(few, kShape, of_few, 431);
  const Trial b = plan_trial(many, kShape, of_many, 431);
  EXPECT_EQ(a.text(few, of_few[a.probe]), b.text(many, of_many[b.probe]));
  EXPECT_EQ(of_few[a.probe].request.prompt, of_many[b.probe].request.prompt);
  ASSERT_EQ(a.neighbours.size(), b.neighbours.size());
  for (size_t i = 0; i < a.neighbours.size(); ++i) {
    EXPECT_EQ(a.neighbours[i].request.prompt, b.neighbours[i].request.prompt);
  }
  many.seed = 2;
  const auto others = make_probes(many, kShape);
  const Trial c = plan_trial(many, kShape, others, 431);
  EXPECT_NE(a.text(few, of_few[a.probe]), c.text(many, others[c.probe]));
}

TEST(Exactness, PlansHaveEveryTierChunkBatchAndThreadCountAndFitTheContext) {
  ExactnessOptions options = three_tiers();
  const auto probes = make_probes(options, kShape);
  std::map<size_t, uint32_t> tiers;
  std::set<uint32_t> chunks;
  std::set<uint32_t> batches;
  std::set<std::pair<uint32_t, uint32_t>> threads;
  uint32_t n_long = 0;
  for (uint32_t k = 0; k < options.trials; ++k) {
    const Trial trial = plan_trial(options, kShape, probes, k);
    ++tiers[trial.tier];
    EXPECT_EQ(trial.tier, tier_of_trial(options, k));
    chunks.insert(trial.limits.chunk);
    batches.insert(trial.batch);
    threads.insert({trial.limits.decode_threads, trial.limits.batch_threads});
    n_long += probes[trial.probe].is_long ? 1 : 0;
    EXPECT_EQ(trial.neighbours.size() + 1, trial.batch);
    std::vector<Request> all = {asked_request(trial, probes[trial.probe])};
    for (const Neighbour& neighbour : trial.neighbours) all.push_back(neighbour.request);
    for (const Push& push : trial.pushes) all.insert(all.end(), push.requests.begin(), push.requests.end());
    all.insert(all.end(), trial.before.begin(), trial.before.end());
    for (const Request& request : all) {
      EXPECT_GE(request.prompt.size(), 1U);
      EXPECT_LE(request.prompt.size() + request.max_new_tokens, kShape.context);
    }
  }
  EXPECT_EQ(chunks, (std::set<uint32_t>{0, 1, 7, 16, 64, 511, 512, 513}));
  EXPECT_TRUE(batches.contains(1));
  EXPECT_TRUE(batches.contains(64));
  EXPECT_EQ(threads, (std::set<std::pair<uint32_t, uint32_t>>{{1, 1}, {1, 2}, {2, 1}, {2, 2}}));
  options.threads = 5;
  threads.clear();
  for (uint32_t k = 0; k < options.trials; ++k) {
    const Trial trial = plan_trial(options, kShape, probes, k);
    threads.insert({trial.limits.decode_threads, trial.limits.batch_threads});
  }
  EXPECT_TRUE(threads.contains({1, 1}) && threads.contains({1, 5}) && threads.contains({3, 3}) &&
              threads.contains({4, 1}));
  EXPECT_GT(tiers[0], 120U);
  EXPECT_GE(tiers[1], 20U);
  EXPECT_GE(tiers[2], 10U);
  EXPECT_GE(n_long, 20U);
}

TEST(Exactness, ProbesAreDistinctAndOfEverySortAndLongOnesLeaveTheWindow) {
  ExactnessOptions options = three_tiers();
  options.bos = 2;
  ModelShape windowed = kShape;
  windowed.window = 512;
  windowed.longest = 712;
  EXPECT_TRUE(windowed.retires());
  std::set<std::vector<int32_t>> prompts;
  std::set<uint32_t> kinds;
  bool scored = false;
  for (const Probe& probe : make_probes(options, windowed)) {
    prompts.insert(probe.request.prompt);
    kinds.insert(probe.sampling_kind);
    scored = scored || probe.request.score_from;
    EXPECT_EQ(probe.request.prompt[0], 2);
    if (probe.is_long) {
      EXPECT_GE(probe.prompt_tokens(), 612U);
    }
    EXPECT_LE(probe.prompt_tokens(), probe.is_long ? 712U : 300U);
  }
  EXPECT_EQ(prompts.size(), kProbesPerPool);
  EXPECT_EQ(kinds.size(), kSamplingKinds);
  EXPECT_TRUE(scored);
}

TEST(Exactness, WhatDidNotOccurIsNamed) {
  ExactnessOptions options = three_tiers();
  Tally tally(options, kShape);
  ExactnessReport report;
  tally.report(report);
  EXPECT_EQ(report.pairs.size(), 6U);  // without a window
  EXPECT_EQ(report.remarks.size(), 1U);
  EXPECT_TRUE(std::ranges::find(report.uncovered, "threads: no trial with 2+") != report.uncovered.end());
  const auto probes = make_probes(options, kShape);
  const Trial trial = plan_trial(options, kShape, probes, 0);
  Facts facts = {.row_buckets = 1U << row_bucket(256), .chunk_buckets = 1U << chunk_bucket(511)};
  facts.most_running = 64;
  facts.reused = 65;
  facts.preemptions = 3;
  tally.add(trial, probes[trial.probe], facts);
  ExactnessReport after;
  tally.report(after);
  EXPECT_LT(after.uncovered.size(), report.uncovered.size());
  const auto counted = [&](const std::string& title, const std::string& label) {
    for (const ExactnessHistogram& histogram : after.histograms)
      for (const ExactnessBucket& bucket : histogram.buckets)
        if (histogram.title == title && bucket.label == label) return bucket.trials;
    return 99U;
  };
  EXPECT_EQ(counted("rows of a step with the probe", "256+"), 1U);
  EXPECT_EQ(counted("rows of a step with the probe", "64-255"), 0U);
  EXPECT_EQ(counted("prompt tokens in one step", "511+"), 1U);
  EXPECT_EQ(counted("sequences running at once", "64"), 1U);
  EXPECT_EQ(counted("prompt tokens from the cache", "64-127"), 1U);
  EXPECT_EQ(counted("prompt tokens from the cache", "not whole pages"), 1U);
  EXPECT_EQ(counted("preemptions of the probe", "2+"), 1U);
}

// A model, and for each tier an engine that may be given another model.
ExactnessReport check(ExactnessOptions options, const std::vector<std::string>& model_of_tier) {
  for (size_t i = 0; i < model_of_tier.size(); ++i)
    options.tiers.push_back({fmt::format("tier {}", i), false});
  Exactness exactness(std::move(options));
  for (size_t i = 0; i < model_of_tier.size(); ++i) {
    MemoryLedger ledger(uint64_t{1} << 32);
    const ModelFile file = GgufFile::parse("tiny", headrace::testing::as_bytes(model_of_tier[i])).value();
    auto backend = make_cpu_backend(cpu::choose_tier("").value(), 2);
    auto model = load_model(file, *backend, ledger).value();
    const EngineOptions engine_options = exactness.engine_options(*model);
    const auto engine = Engine::create(std::move(backend), std::move(model), ledger, engine_options).value();
    const Status ran = exactness.run(i, *engine);
    EXPECT_TRUE(ran) << ran.error().message;
    if (!ran) break;
  }
  return exactness.report();
}

std::string first_of(const ExactnessReport& report) {
  if (report.differences.empty()) return "none";
  const ExactnessDifference& d = report.differences.front();
  return fmt::format("trial {} ({}): {}: {}", d.trial, d.configuration, d.kind, d.what);
}

TEST(Exactness, ATinyModelOfEachFamilyKeepsThePromise) {
  for (const std::string& model : {tiny_llama({.type = DType::Q8_0, .seed = 5}).bytes(),
                                   tiny_gemma3({.type = DType::Q8_0, .seed = 5}).bytes()}) {
    const ExactnessReport report = check({.trials = testing::kExactnessTrials}, {model});
    EXPECT_EQ(report.n_different, 0U) << first_of(report);
    EXPECT_EQ(report.trials, testing::kExactnessTrials);
    EXPECT_GT(report.layer_rows_compared, 1000U);
    for (const std::string& missing : report.uncovered) ADD_FAILURE() << missing;
  }
}

TEST(Exactness, AnotherModelOnOneTierIsFoundWithItsFirstLayer) {
  // The negative control of the whole: the second engine has other weights, so its very first row differs.
  const std::string model = tiny_llama({.seed = 5}).bytes();
  const ExactnessReport report = check({.trials = 40}, {model, tiny_llama({.seed = 6}).bytes()});
  EXPECT_GE(report.n_different, 3U);
  ASSERT_FALSE(report.differences.empty());
  for (const ExactnessDifference& difference : report.differences) {
    EXPECT_NE(difference.configuration.find("tier 1"), std::string::npos);
    EXPECT_EQ(difference.kind, "layer");
    EXPECT_EQ(difference.layer, 0U);
  }
}

TEST(Exactness, OneTrialAloneIsTheSameTrial) {
  const std::string model = tiny_gemma3({.seed = 5}).bytes();
  const ExactnessReport report = check({.trials = 1, .only = 29}, {model});
  EXPECT_EQ(report.trials, 1U);
  EXPECT_EQ(report.n_different, 0U) << first_of(report);
  EXPECT_TRUE(report.uncovered.empty());
}

}  // namespace
}  // namespace headrace::exactness
