#include "exactness/exactness.h"

#include <algorithm>
#include <map>
#include <utility>

#include "exactness/probe.h"
#include "exactness/recall_drafter.h"
#include "exactness/run.h"
#include "exactness/tally.h"
#include "exactness/trial.h"

namespace headrace {

using exactness::Baseline;
using exactness::ModelShape;
using exactness::Probe;
using exactness::Trial;

struct Exactness::State {
  ExactnessOptions options;
  exactness::ProbeObserver observer;
  std::optional<ModelShape> shape;  // since the first engine
  std::vector<Probe> probes;
  std::map<uint32_t, Baseline> baselines;  // by probe
  std::optional<exactness::Tally> tally;
  ExactnessReport report;
  uint32_t done = 0;

  uint32_t total() const { return options.only ? 1 : options.trials; }
  std::vector<uint32_t> trials_of(size_t tier) const;
  Status begin(Engine& engine);
  Status run_trial(Engine& engine, const Trial& trial);
  SpeculationOptions recalling() const;
  void differ(const Trial& trial, ExactnessDifference difference);
};

std::vector<uint32_t> Exactness::State::trials_of(size_t tier) const {
  std::vector<uint32_t> numbers;
  const uint32_t first = options.only.value_or(0);
  const uint32_t end = options.only ? first + 1 : options.trials;
  for (uint32_t k = first; k < end; ++k)
    if (exactness::tier_of_trial(options, k) == tier) numbers.push_back(k);
  return numbers;
}

// Probes and their answers alone, on the first engine.
Status Exactness::State::begin(Engine& engine) {
  probes = exactness::make_probes(options, *shape);
  tally.emplace(options, *shape);
  std::vector<uint32_t> asked;
  if (options.only) {
    asked.push_back(exactness::plan_trial(options, *shape, probes, *options.only).probe);
  } else {
    for (uint32_t i = 0; i < probes.size(); ++i) asked.push_back(i);
  }
  report.probes = static_cast<uint32_t>(asked.size());
  for (const uint32_t i : asked) {
    if (options.progress) options.progress(0, total());
    Result<Baseline> baseline =
        exactness::answer_alone(engine, observer, probes[i].request, *shape, options.cancel);
    if (!baseline) return std::move(baseline).error().in(fmt::format("probe {}", i));
    report.digest = exactness::hash_answer(baseline->answer, report.digest);
    baselines[i] = std::move(baseline).value();
  }
  HEADRACE_TRY(exactness::WindowCheck window, exactness::check_window(engine, observer, options, *shape));
  if (shape->window > 0 && !window.checked)
    report.remarks.push_back("the window's edge is not checked: the first layer sees everything");
  if (window.difference) {
    window.difference->configuration = "no trial: single requests";
    report.differences.push_back(*std::move(window.difference));
    ++report.n_different;
  }
  return {};
}

// Lengths are fixed: which rows there are shall not hang on a clock.
SpeculationOptions Exactness::State::recalling() const {
  const auto known = [this](const auto& visit) {
    for (const auto& [index, baseline] : baselines) {
      std::vector<int32_t> answer;
      for (const exactness::Answer::Token& token : baseline.answer.tokens) {
        if (!token.scored) answer.push_back(token.draw.token);
      }
      visit(probes[index].request.prompt, answer);
    }
  };
  return {.drafter = [known](const DrafterWorld& world) -> Result<std::unique_ptr<Drafter>> {
            return exactness::make_recall_drafter(known, world.model.info().vocab_size);
          },
          .most = options.recall,
          .automatic = false,
          .branches = 3};
}

void Exactness::State::differ(const Trial& trial, ExactnessDifference difference) {
  difference.trial = trial.number;
  difference.trial_seed = trial.seed;
  difference.configuration = trial.text(options, probes[trial.probe]);
  report.differences.push_back(std::move(difference));
  ++report.n_different;
  report.stopped = report.differences.size() >= kMaxDifferences;
}

Status Exactness::State::run_trial(Engine& engine, const Trial& trial) {
  const Probe& probe = probes[trial.probe];
  Result<exactness::TrialResult> result =
      exactness::run_trial(engine, observer, trial, probe, baselines.at(trial.probe), *shape, options.cancel);
  if (!result) {
    return std::move(result).error().in(
        fmt::format("trial {} ({})", trial.number, trial.text(options, probe)));
  }
  tally->add(trial, probe, result->facts);
  if (options.only) report.configuration = trial.text(options, probe);
  report.tokens_compared += result->facts.tokens;
  report.layer_rows_compared += result->facts.layer_rows;
  if (result->difference) differ(trial, *std::move(result->difference));
  return {};
}

Exactness::Exactness(ExactnessOptions options) : state_(std::make_unique<State>()) {
  HEADRACE_CHECK(!options.tiers.empty());
  state_->options = std::move(options);
}

Exactness::~Exactness() = default;

EngineOptions Exactness::engine_options(const Model& model) {
  const ModelShape shape = exactness::shape_of(model);
  EngineOptions engine = state_->options.engine;
  engine.context = shape.context;
  engine.sequences = exactness::kSequences;
  // Neighbours have a page or two.
  engine.kv_tokens = uint64_t{exactness::kSequences} * 96 + 2 * uint64_t{shape.context};
  engine.batch_rows = exactness::kBatchRows;
  engine.output_rows = exactness::kOutputRows;
  engine.decode_threads = std::max(state_->options.threads, 2U);
  engine.batch_threads = engine.decode_threads;
  engine.prefix_cache = true;
  engine.interrupt = state_->options.cancel;
  engine.observer = &state_->observer;
  if (state_->options.recall > 0) engine.speculation = state_->recalling();
  return engine;
}

bool Exactness::uses(size_t tier) const {
  return tier == 0 || !state_->trials_of(tier).empty();
}

Status Exactness::run(size_t tier, Engine& engine) {
  State& state = *state_;
  HEADRACE_CHECK(tier < state.options.tiers.size());
  const ModelShape shape = exactness::shape_of(engine.model());
  if (engine.context() != shape.context)
    return make_error(Errc::usage, "exactness: expected an engine with a context of {} tokens, found {}",
                      shape.context, engine.context());
  if (!state.shape) {
    if (tier != 0) return make_error(Errc::usage, "exactness: the first tier must come first");
    state.shape = shape;
    HEADRACE_RETURN_IF_ERROR(state.begin(engine));
  } else if (shape != *state.shape) {
    return make_error(Errc::usage, "exactness: this engine has another model than the first");
  }
  for (const uint32_t k : state.trials_of(tier)) {
    if (state.report.stopped) break;
    HEADRACE_RETURN_IF_ERROR(
        state.run_trial(engine, exactness::plan_trial(state.options, shape, state.probes, k)));
    if (state.options.progress) state.options.progress(++state.done, state.total());
  }
  return {};
}

ExactnessReport Exactness::report() const {
  ExactnessReport report = state_->report;
  if (state_->tally) state_->tally->report(report);
  // A single trial covers nothing, and one that broke off left out the rest.
  if (state_->options.only || report.stopped) report.uncovered.clear();
  if (report.layer_rows_compared == 0 && report.trials > 0 && !report.stopped)
    report.uncovered.push_back("no hidden state was compared: the engine reports none");
  return report;
}

}  // namespace headrace
