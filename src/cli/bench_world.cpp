#include "cli/bench_world.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "cli/bench_model.h"
#include "cli/interrupt.h"
#include "cli/processor.h"
#include "core/file.h"
#include "core/system_memory.h"

namespace headrace::cli {
namespace {

constexpr std::chrono::milliseconds kInterruptCheck{50};
constexpr size_t kMaxNameBytes = 4096;

Status measure_machine(const BenchFlags& flags, BenchFacts& facts) {
  HEADRACE_TRY(const cpu::Tier tier, chosen_tier());
  facts.processor = processor_name();
  facts.kernels = cpu::name_of(tier);
  MemoryLedger ledger(std::min(flags.engine.memory, available_memory_bytes()));
  for (const uint32_t threads : flags.n_threads) {
    if (flags.no_ceilings || facts.ceilings_of(threads) != nullptr) continue;
    if (interrupted()) return make_error(Errc::cancelled, "interrupted");
    HEADRACE_TRY(const cpu::Ceilings ceilings,
                 cpu::measure_ceilings(*cpu::kernel_table(tier), threads, ledger));
    facts.ceilings.push_back(ceilings);
  }
  return {};
}

void describe(const BenchFlags& flags, const ModelFile& file, const ModelInfo& info, BenchFacts& facts) {
  facts.version = HEADRACE_VERSION;
  facts.model_filename = printable(file.name(), kMaxNameBytes);
  facts.model_type = model_type_text(file, info);
  facts.model_size = tensor_bytes(file);
  facts.model_parameters = info.parameters;
  facts.weights_per_token = weights_per_token(file, info);
  const auto lower = [](DType type) {
    std::string name(name_of(type));
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return name;
  };
  facts.type_k = lower(flags.engine.key_type);
  facts.type_v = lower(flags.engine.value_type);
  facts.numerics = name_of(flags.engine.numerics);
  if (flags.engine.activations == ActivationNumerics::f32) facts.numerics += ", f32 activations";
  facts.show_batch = flags.n_batch != std::vector{kDefaultBatch};
  facts.show_ubatch = flags.n_ubatch != std::vector{kDefaultUbatch};
  facts.show_type_k = flags.engine.key_type != DType::F16;
  facts.show_type_v = flags.engine.value_type != DType::F16;
}

}  // namespace

Result<BenchWorld> open_bench(const BenchFlags& flags, const EngineFlags& engine) {
  HEADRACE_TRY(const ModelFile file, open_model_file(flags.model));
  BenchFacts facts;
  // Before the model takes memory.
  HEADRACE_RETURN_IF_ERROR(measure_machine(flags, facts));
  HEADRACE_TRY(OpenModel model, open_model(flags.model, engine));
  describe(flags, file, model.engine->model().info(), facts);
  if (flags.progress) {
    note(fmt::format("bench: context {} tokens, memory {} of {}", model.engine->context(),
                     human_bytes(model.ledger->used()), human_bytes(model.ledger->cap())));
  }
  return BenchWorld{std::move(facts), std::move(model)};
}

void cool_off(const BenchFlags& flags) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(flags.delay);
  while (std::chrono::steady_clock::now() < until && !interrupted())
    std::this_thread::sleep_for(kInterruptCheck);
}

}  // namespace headrace::cli
