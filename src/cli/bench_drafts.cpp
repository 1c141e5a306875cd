#include "cli/bench_drafts.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <set>

#include "cli/batch_file.h"
#include "cli/interrupt.h"
#include "cli/prompt.h"
#include "core/file.h"
#include "engine/text_generator.h"

namespace headrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kRun = 8;  // tokens that count as a repeat

// A line of a prompts file: Spec-Bench's {"category", "turns"}, HumanEval's {"prompt"}, GSM8K's {"question"}.
Result<DraftPrompt> read_prompt(const std::string& line, const std::string& place,
                                const Tokenizer& tokenizer) {
  const Json fields = Json::parse(line, nullptr, false);
  if (!fields.is_object()) return make_error(Errc::usage, "{}: not a JSON object", place);
  DraftPrompt prompt;
  prompt.category = fields.value("category", "all");
  std::string text;
  if (const auto turns = fields.find("turns");
      turns != fields.end() && turns->is_array() && !turns->empty() && turns->front().is_string()) {
    text = turns->front();
  }
  for (const char* key : {"prompt", "question"}) {
    const auto found = fields.find(key);
    if (text.empty() && found != fields.end() && found->is_string()) text = *found;
  }
  if (text.empty()) return make_error(Errc::usage, "{}: no turns, prompt or question with a text", place);
  HEADRACE_TRY(prompt.tokens, encode_prompt(tokenizer, {text, "", tokenizer.chat_template().empty()}));
  return prompt;
}

// All of `prompts`, up to `sequences` at once; drafts or not.
Result<DraftPass> pass(const BenchFlags& flags, OpenModel& model,
                       const std::vector<const DraftPrompt*>& prompts, uint32_t sequences, bool drafts) {
  const uint32_t most_tokens = flags.n_gen.front();
  Engine& engine = *model.engine;
  StepLimits limits = engine.limits();
  limits.sequences = sequences;
  limits.drafts = drafts;
  engine.set_limits(limits);
  const EndTokens ends(model.tokenizer);
  DraftPass result;
  result.answers.resize(prompts.size());
  std::map<RequestId, size_t> numbers;
  for (size_t i = 0; i < prompts.size(); ++i) {
    HEADRACE_TRY(const RequestId id,
                 engine.submit(request_for(*prompts[i], most_tokens, ends, flags.temperature)));
    numbers[id] = i;
  }
  const DraftCounters before = engine.stats().drafts;
  std::vector<Event> events;
  while (!engine.idle()) {
    events.clear();
    const uint64_t prompt_rows = engine.stats().prompt_rows;
    const Clock::time_point begin = Clock::now();
    engine.step(events);
    // After the step, which has cancelled every answer then: they would seem to differ.
    if (interrupted()) return make_error(Errc::cancelled, "interrupted");
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const bool decodes = engine.stats().prompt_rows == prompt_rows;
    if (decodes) result.decode_seconds += seconds;
    if (decodes) ++result.decode_steps;
    for (const Event& event : events) {
      if (!event.has_token) continue;
      if (decodes) ++result.decode_tokens;
      result.answers[numbers.at(event.request)].push_back(event.draw.token);
    }
  }
  const DraftCounters after = engine.stats().drafts;
  result.drafts = {after.drafts - before.drafts, after.tokens - before.tokens,
                   after.accepted - before.accepted};
  return result;
}

struct Measured {
  DraftPass plain;    // the last
  DraftPass drafted;  // the last
  std::vector<double> ratios;
  double plain_speed = 0;
  double drafted_speed = 0;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

// Rounds A B B A; whoever differs in a token that may not differ ends it.
Result<Measured> measure(const BenchFlags& flags, OpenModel& model,
                         const std::vector<const DraftPrompt*>& prompts, uint32_t sequences) {
  const bool same_answers = flags.engine.speculation.rule == DraftRule::coupled || flags.temperature == 0;
  Measured measured;
  std::vector<double> speeds[2];
  std::vector<std::vector<int32_t>> expected;  // of the first pass
  for (uint32_t round = 0; round < flags.repetitions; ++round) {
    double speed[2] = {0, 0};
    for (const bool drafts : {false, true, true, false}) {
      DraftPass& last = drafts ? measured.drafted : measured.plain;
      HEADRACE_TRY(last, pass(flags, model, prompts, sequences, drafts));
      speed[drafts ? 1 : 0] += last.tokens_per_second() / 2;
      if (expected.empty()) expected = last.answers;
      if ((same_answers || !drafts) && last.answers != expected)
        return make_error(Errc::mismatch, "an answer {} drafts differs from the first one without",
                          drafts ? "with" : "without");
    }
    for (const size_t arm : {0, 1}) speeds[arm].push_back(speed[arm]);
    if (speed[0] > 0) measured.ratios.push_back(speed[1] / speed[0]);
  }
  measured.plain_speed = median(speeds[0]);
  measured.drafted_speed = median(speeds[1]);
  std::ranges::sort(measured.ratios);
  return measured;
}

std::string row(const std::string& name, size_t prompts, uint32_t sequences, const Measured& m,
                double repeats) {
  const DraftTally& d = m.drafted.drafts;
  const auto share = [](uint64_t part, uint64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  };
  return fmt::format(
      "| {} | {} | {} | {} | {:.1f} | {:.1f} | {:.3f} | {:.3f} to {:.3f} | {:.2f} | {} | {} | {:.1f} % | "
      "{:.1f} % |\n",
      name, sequences, prompts, m.plain.decode_tokens, m.plain_speed, m.drafted_speed, median(m.ratios),
      m.ratios.empty() ? 0 : m.ratios.front(), m.ratios.empty() ? 0 : m.ratios.back(),
      share(m.drafted.decode_tokens, m.drafted.decode_steps), d.tokens, d.accepted,
      100 * share(d.accepted, d.tokens), 100 * repeats);
}

constexpr const char* kHeader =
    "| prompts | at once | number | tokens | plain tok/s | drafted tok/s | ratio | least to most | tokens a "
    "step | drafted "
    "| accepted | acceptance | in repeats |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";

Status measure_category(const BenchFlags& flags, OpenModel& model, const std::string& name,
                        const std::vector<const DraftPrompt*>& prompts, uint32_t sequences) {
  HEADRACE_TRY(const Measured all, measure(flags, model, prompts, sequences));
  uint64_t repeated = 0;
  uint64_t total = 0;
  std::vector<const DraftPrompt*> straight;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const uint64_t own = repeated_tokens(all.plain.answers[i]);
    repeated += own;
    total += all.plain.answers[i].size();
    if (own == 0) straight.push_back(prompts[i]);
  }
  const double repeats = total == 0 ? 0 : static_cast<double>(repeated) / static_cast<double>(total);
  HEADRACE_RETURN_IF_ERROR(write_out(row(name, prompts.size(), sequences, all, repeats)));
  if (straight.empty() || straight.size() == prompts.size()) return {};
  HEADRACE_TRY(const Measured rest, measure(flags, model, straight, sequences));
  return write_out(row(name + ", no repeats", straight.size(), sequences, rest, 0));
}

EngineFlags engine_for(const BenchFlags& flags) {
  EngineFlags engine = flags.engine;
  engine.threads = flags.n_threads.front();
  engine.batch_rows = std::min(flags.n_batch.front(), flags.n_ubatch.front());
  engine.sequences = std::ranges::max(flags.n_parallel);
  engine.context = flags.prompt_context;
  return engine;
}

}  // namespace

Request request_for(const DraftPrompt& prompt, uint32_t most_tokens, const EndTokens& ends,
                    float temperature) {
  Request request;
  request.prompt = prompt.tokens;
  request.max_new_tokens = most_tokens;
  request.sampling.temperature = temperature;
  request.sampling.seed = prompt.seed;
  ends.apply(request, false);
  return request;
}

Status check_one_each(const BenchFlags& flags) {
  if (flags.n_threads.size() > 1 || flags.n_batch.size() > 1 || flags.n_ubatch.size() > 1 ||
      flags.n_gen.size() > 1) {
    return make_error(Errc::usage, "--prompts takes one number for -t, -b, -ub and -n each");
  }
  return {};
}

Result<std::vector<DraftPrompt>> read_prompts(const BenchFlags& flags, const Tokenizer& tokenizer) {
  std::ifstream file(flags.prompts);
  if (!file) return make_error(Errc::not_found, "{}: cannot be read", file_name_for_messages(flags.prompts));
  std::vector<DraftPrompt> prompts;
  std::map<std::string, uint32_t> of_category;
  std::string line;
  for (uint64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    HEADRACE_TRY(
        DraftPrompt prompt,
        read_prompt(line, fmt::format("{}:{}", file_name_for_messages(flags.prompts), number), tokenizer));
    if (!flags.categories.empty() &&
        std::ranges::find(flags.categories, prompt.category) == flags.categories.end())
      continue;
    if (flags.most_prompts > 0 && ++of_category[prompt.category] > flags.most_prompts) continue;
    prompt.seed = number;
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty())
    return make_error(Errc::usage, "{}: no prompts", file_name_for_messages(flags.prompts));
  return prompts;
}

uint64_t repeated_tokens(std::span<const int32_t> answer) {
  std::set<std::vector<int32_t>> seen;
  std::vector<bool> inside(answer.size());
  for (size_t i = 0; i + kRun <= answer.size(); ++i) {
    const std::span<const int32_t> run = answer.subspan(i, kRun);
    if (!seen.emplace(run.begin(), run.end()).second)
      std::fill_n(inside.begin() + static_cast<ptrdiff_t>(i), kRun, true);
  }
  return static_cast<uint64_t>(std::ranges::count(inside, true));
}

Status bench_drafts(const BenchFlags& flags) {
  HEADRACE_RETURN_IF_ERROR(check_one_each(flags));
  if (!flags.engine.speculation.any()) return make_error(Errc::usage, "--prompts needs a --spec-type");
  HEADRACE_TRY(BenchWorld world, open_bench(flags, engine_for(flags)));
  OpenModel& model = world.model;
  HEADRACE_TRY(const std::vector<DraftPrompt> prompts, read_prompts(flags, model.tokenizer));
  std::map<std::string, std::vector<const DraftPrompt*>> categories;
  size_t left_out = 0;
  for (const DraftPrompt& prompt : prompts) {
    const bool fits = prompt.tokens.size() + flags.n_gen.front() <= model.engine->context();
    if (fits) categories[prompt.category].push_back(&prompt);
    left_out += fits ? 0 : 1;
  }
  if (left_out > 0)
    note(fmt::format("bench: {} prompts are too long for --prompt-context {}", left_out,
                     model.engine->context()));
  HEADRACE_RETURN_IF_ERROR(write_out(kHeader));
  for (const uint32_t sequences : flags.n_parallel) {
    for (const auto& [name, members] : categories) {
      HEADRACE_RETURN_IF_ERROR(measure_category(flags, model, name, members, sequences));
    }
  }
  const EngineStats stats = model.engine->stats();
  HEADRACE_RETURN_IF_ERROR(write_out(footer_text(world.facts)));
  note(fmt::format("drafts: {}, {} ({}); predicted step times were {:.1f} % off",
                   flags.engine.speculation.type, name_of(flags.engine.speculation.rule),
                   flags.engine.speculation.fixed ? "fixed lengths" : "as long as pays",
                   100 * stats.cost_error));
  return {};
}

}  // namespace headrace::cli
