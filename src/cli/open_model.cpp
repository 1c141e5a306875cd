#include "cli/open_model.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "core/checked.h"
#include "core/file.h"
#include "core/system_memory.h"
#include "core/threads.h"
#include "engine/engine_options.h"
#include "hub/model_cache.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/traced_backend.h"
#include "padded/padded_engine.h"
#include "schedule/exspec.h"
#include "text/tokenizer_file.h"

namespace headrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kHostUnit = uint64_t{1} << 20;

Status stop_if_interrupted() {
  if (interrupted()) return make_error(Errc::cancelled, "interrupted while loading");
  return {};
}

// A token beyond the embedding table could be encoded but never computed.
Status check_vocabulary(const ModelFile& file, const Tokenizer& tokenizer, const ModelInfo& info) {
  if (tokenizer.vocab_size() <= info.vocab_size) return {};
  return make_error(Errc::bad_model, "{}: the tokenizer has {} tokens, the embedding table only {} rows",
                    file.name(), tokenizer.vocab_size(), info.vocab_size);
}

EngineOptions options_of(const EngineFlags& flags) {
  EngineOptions options;
  options.context = flags.context;
  options.sequences = flags.sequences;
  options.kv_tokens = flags.kv_tokens;
  options.batch_rows = flags.batch_rows;
  options.output_rows = flags.output_rows;
  options.key_type = flags.key_type;
  options.value_type = flags.value_type;
  options.activations = flags.activations;
  options.share_keys = !flags.no_key_sharing;
  options.policy = flags.policy;
  options.trace = flags.trace;
  options.interrupt = &interrupted();
  options.sizes_only = flags.sizes_only;
  return options;
}

// First steps pay for page faults and sleeping threads; they should not spoil the figures.
Status warm_up(Engine& engine) {
  Request request;
  request.prompt = {0};
  request.max_new_tokens = 1;
  request.sampling.temperature = 0;
  HEADRACE_TRY([[maybe_unused]] const RequestId id, engine.submit(std::move(request)));
  std::vector<Event> events;
  while (!engine.idle()) engine.step(events);
  return {};
}

}  // namespace

Result<cpu::Tier> chosen_tier() {
  const char* forced = std::getenv("HEADRACE_CPU");
  Result<cpu::Tier> tier = cpu::choose_tier(forced == nullptr ? "" : forced);
  if (!tier) return Error{Errc::usage, tier.error().message};
  return tier;
}

Result<ModelFile> open_model_file(const ModelFlags& flags) {
  HEADRACE_TRY(const std::filesystem::path path, find_model(flags.model));
  return ModelFile::open(path);
}

bool adds_bos(const Tokenizer& tokenizer) {
  const std::vector<TokenId> nothing = tokenizer.encode("", {.special = false, .bos = true});
  return !nothing.empty() && tokenizer.bos() == nothing.front();
}

Result<OpenModel> open_model(const ModelFlags& flags, const EngineFlags& engine_flags) {
  const Clock::time_point begin = Clock::now();
  auto ledger = std::make_unique<MemoryLedger>(std::min(engine_flags.memory, available_memory_bytes()));
  HEADRACE_TRY(const cpu::Tier tier, chosen_tier());
  HEADRACE_TRY(const ModelFile file, open_model_file(flags));
  HEADRACE_TRY(const ModelInfo info, describe_model(file));
  HEADRACE_TRY(Tokenizer tokenizer, load_tokenizer(file));
  HEADRACE_RETURN_IF_ERROR(check_vocabulary(file, tokenizer, info));
  HEADRACE_RETURN_IF_ERROR(stop_if_interrupted());
  if (engine_flags.context > info.context_length) {
    warn(fmt::format("a context of {} tokens is more than the {} that the model was trained for",
                     engine_flags.context, info.context_length));
  }

  const auto cores = static_cast<uint32_t>(default_thread_count());
  const uint32_t threads = engine_flags.threads == 0 ? cores : engine_flags.threads;
  const uint32_t threads_batch = engine_flags.threads_batch == 0 ? threads : engine_flags.threads_batch;
  std::unique_ptr<Backend> backend =
      make_cpu_backend(tier, std::max(threads, threads_batch), engine_flags.numerics);
  if (engine_flags.trace != nullptr && engine_flags.trace_ops)
    backend = make_traced_backend(std::move(backend), *engine_flags.trace);
  std::string description =
      fmt::format("{}, {}{}, {} thread{}", backend->name(), name_of(engine_flags.numerics),
                  engine_flags.activations == ActivationNumerics::f32 ? " with f32 activations" : "", threads,
                  threads == 1 ? "" : "s");
  if (threads_batch != threads) description += fmt::format(" ({} for prompts)", threads_batch);

  EngineOptions options = options_of(engine_flags);
  HEADRACE_TRY(options.speculation, speculation_of(engine_flags.speculation));
  options.decode_threads = threads;
  options.batch_threads = threads_batch;
  const std::string& schedule = engine_flags.speculation.schedule;
  if (schedule == "exspec") {
    if (options.policy == nullptr) options.policy = std::make_shared<ExspecPool>(options.sequences);
    options.sequences = std::max(options.sequences, engine_flags.speculation.window);
  }
  // The program's own memory is part of what it may take. In whole MiB, so that one run's is the next one's.
  const uint64_t own_bytes = own_memory_bytes();
  uint64_t host_booked = 0;
  const auto book_host = [&](uint32_t context) {
    EngineOptions of = options;
    of.context = context;
    const uint64_t all = round_up(own_bytes + host_bytes(info, of), kHostUnit);
    const uint64_t more = all - std::min(all, host_booked);
    host_booked += more;
    return ledger->reserve(MemoryUse::host, more, "the program itself", "a larger --memory would help");
  };
  HEADRACE_RETURN_IF_ERROR(book_host(options.context == 0 ? 1 : options.context));

  Progress progress("loading", Progress::Unit::bytes, flags.quiet || engine_flags.sizes_only,
                    std::chrono::seconds(1));
  const LoadOptions load = {.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); },
                            .cancel = &interrupted(),
                            .sizes_only = engine_flags.sizes_only};
  HEADRACE_TRY(std::unique_ptr<Model> model, load_model(file, *backend, *ledger, load));
  progress.finish();
  const auto create = schedule == "eqspec" ? make_padded_engine : Engine::create;
  HEADRACE_TRY(std::unique_ptr<Engine> engine,
               create(std::move(backend), std::move(model), *ledger, options));
  HEADRACE_RETURN_IF_ERROR(book_host(engine->context()));  // an automatic one has been chosen now
  if (!engine_flags.no_warmup && !engine_flags.sizes_only) HEADRACE_RETURN_IF_ERROR(warm_up(*engine));
  HEADRACE_RETURN_IF_ERROR(stop_if_interrupted());
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return OpenModel{file.name(),
                   file.file_bytes(),
                   std::move(ledger),
                   std::move(tokenizer),
                   std::move(engine),
                   std::move(description),
                   seconds};
}

}  // namespace headrace::cli
