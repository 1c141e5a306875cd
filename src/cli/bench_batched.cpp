#include "cli/bench_batched.h"

#include <algorithm>
#include <chrono>

#include "cli/bench_speed.h"
#include "cli/interrupt.h"

namespace headrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

uint64_t whole_pages(uint64_t tokens, uint32_t page_tokens) {
  return (tokens + page_tokens - 1) / page_tokens * page_tokens;
}

// Steps until `wanted` events have come, or all is done.
Status run_until(Engine& engine, size_t wanted, std::vector<Event>& events) {
  while (!engine.idle() && events.size() < wanted) {
    engine.step(events);
    if (interrupted()) return make_error(Errc::cancelled, "interrupted");
  }
  return {};
}

double rate(uint64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace

uint64_t BatchedCase::kv_tokens() const {
  return shared ? pp + uint64_t{pl} * tg : uint64_t{pl} * (uint64_t{pp} + tg);
}

uint64_t BatchedCase::kv_tokens_in_pages(uint32_t page_tokens) const {
  // A sequence is admitted with a page to spare, and has its own copy of a page that others fill, too.
  const uint64_t spare = uint64_t{2} * page_tokens;
  const uint64_t own = whole_pages(uint64_t{tg} + 1, page_tokens);
  if (shared) return whole_pages(pp, page_tokens) + pl * (own + spare);
  return pl * (whole_pages(context(), page_tokens) + spare);
}

double BatchedResult::speed_pp() const {
  return rate(batched.shared ? batched.pp : uint64_t{batched.pl} * batched.pp, pp_seconds);
}

double BatchedResult::speed_tg() const {
  return rate(uint64_t{batched.pl} * batched.tg, tg_seconds);
}

double BatchedResult::speed() const {
  const uint64_t prompts = batched.shared ? batched.pp : uint64_t{batched.pl} * batched.pp;
  return rate(prompts + uint64_t{batched.pl} * batched.tg, seconds());
}

void Lockstep::plan(const Snapshot& now, StepPlan& plan) const {
  uint32_t fewest = UINT32_MAX;
  for (const RunningView& running : now.running) fewest = std::min(fewest, running.known);
  for (const WaitingView& waiting : now.waiting) fewest = std::min(fewest, waiting.known);
  std::vector<RunningView> first;
  std::vector<uint32_t> index;  // in now.running
  for (uint32_t i = 0; i < now.running.size(); ++i) {
    if (now.running[i].known > fewest) continue;
    first.push_back(now.running[i]);
    index.push_back(i);
  }
  Snapshot part = now;
  part.running = first;
  part.max_sequences -=
      std::min(part.max_sequences, static_cast<uint32_t>(now.running.size() - first.size()));
  base_.plan(part, plan);
  // Where they can't go on without the others, say for want of pages, it is up to all.
  if (plan.running.empty() && plan.admit.empty() && plan.preempt.empty()) return base_.plan(now, plan);
  for (StepChunk& chunk : plan.running) chunk.index = index[chunk.index];
  for (uint32_t& preempted : plan.preempt) preempted = index[preempted];
}

Result<BatchedResult> measure_batched(Engine& engine, const BatchedCase& batched) {
  StepLimits limits = engine.limits();
  limits.prefix_cache = batched.shared;
  engine.set_limits(limits);
  engine.clear_cache();
  BatchedResult result = {.batched = batched};
  std::vector<Event> events;
  events.reserve(size_t{batched.pl} * (size_t{batched.tg} + 2));
  Clock::time_point begin = Clock::now();
  for (uint32_t i = 0; i < batched.pl; ++i) {
    Request request;
    request.prompt = tokens_for_bench(engine, std::nullopt, batched.pp, batched.shared ? 0 : i);
    request.max_new_tokens = batched.tg + 1;
    request.sampling.temperature = 0;
    HEADRACE_TRY([[maybe_unused]] const RequestId id, engine.submit(std::move(request)));
  }
  HEADRACE_RETURN_IF_ERROR(run_until(engine, batched.shared ? 1 : batched.pl, events));
  result.pp_seconds = seconds_since(begin);
  // The others of a shared prompt compute its last token, whose logits each needs: neither reading nor
  // answer.
  HEADRACE_RETURN_IF_ERROR(run_until(engine, batched.pl, events));
  begin = Clock::now();
  HEADRACE_RETURN_IF_ERROR(run_until(engine, SIZE_MAX, events));
  result.tg_seconds = seconds_since(begin);
  return result;
}

std::string batched_header(const BatchedSettings& settings) {
  return fmt::format(
      "n_kv_max = {}, n_batch = {}, n_ubatch = {}, is_pp_shared = {}, n_threads = {}\n\n"
      "|{:>6} | {:>6} | {:>4} | {:>6} | {:>8} | {:>8} | {:>8} | {:>8} | {:>8} | {:>8} |\n"
      "|{:->6}-|-{:->6}-|-{:->4}-|-{:->6}-|-{:->8}-|-{:->8}-|-{:->8}-|-{:->8}-|-{:->8}-|-{:->8}-|\n",
      settings.n_kv_max, settings.n_batch, settings.n_ubatch, settings.shared ? 1 : 0, settings.n_threads,
      "PP", "TG", "B", "N_KV", "T_PP s", "S_PP t/s", "T_TG s", "S_TG t/s", "T s", "S t/s", "", "", "", "", "",
      "", "", "", "", "");
}

std::string batched_line(const BatchedResult& result) {
  const BatchedCase& batched = result.batched;
  return fmt::format(
      "|{:6} | {:6} | {:4} | {:6} | {:8.3f} | {:8.2f} | {:8.3f} | {:8.2f} | {:8.3f} | {:8.2f} |\n",
      batched.pp, batched.tg, batched.pl, batched.kv_tokens(), result.pp_seconds, result.speed_pp(),
      result.tg_seconds, result.speed_tg(), result.seconds(), result.speed());
}

std::string batched_json(const BenchFacts& facts, const BatchedSettings& settings,
                         const BatchedResult& result) {
  const BatchedCase& batched = result.batched;
  Json fields = {{"n_kv_max", settings.n_kv_max},
                 {"n_batch", settings.n_batch},
                 {"n_ubatch", settings.n_ubatch},
                 {"flash_attn", -1},
                 {"is_pp_shared", batched.shared ? 1 : 0},
                 {"n_gpu_layers", -1},
                 {"n_threads", settings.n_threads},
                 {"n_threads_batch", settings.n_threads},
                 {"pp", batched.pp},
                 {"tg", batched.tg},
                 {"pl", batched.pl},
                 {"n_kv", batched.kv_tokens()},
                 {"t_pp", result.pp_seconds},
                 {"speed_pp", result.speed_pp()},
                 {"t_tg", result.tg_seconds},
                 {"speed_tg", result.speed_tg()},
                 {"t", result.seconds()},
                 {"speed", result.speed()},
                 {"model_filename", facts.model_filename},
                 {"model_type", facts.model_type}};
  add_machine_fields(facts, settings.n_threads, fields);
  return json_line(fields);
}

}  // namespace headrace::cli
