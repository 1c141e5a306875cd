// Flags that several verbs share, in the letters and with the defaults that llama.cpp's users know.
//
// Every value is checked while the command line is read: what does not parse or lies outside its range is a
// usage error that names the flag and the range.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "cli/numbers.h"
#include "cli/speculation.h"
#include "core/trace.h"
#include "decode/sampler.h"
#include "ops/backend.h"
#include "schedule/admission.h"
#include "tensor/dtype.h"

namespace headrace::cli {

/// A number within [low, high].
template <typename T>
CLI::Option* add_number(CLI::App& app, const std::string& names, T& value, T low, T high,
                        const std::string& help, const std::string& range) {
  const auto wrong = [=](const std::string& text) -> std::string {
    const std::optional<T> number = parse_number<T>(text);
    if (number && *number >= low && *number <= high) return {};
    return "expected " + range + ", found '" + text + "'";
  };
  return app
      .add_option_function<std::string>(
          names, [&value](const std::string& text) { value = parse_number<T>(text).value_or(value); }, help)
      ->check(wrong)
      ->type_name("N");
}

/// The heading under which the flags added from here on stand in --help. Order of headings: first use.
void begin_group(CLI::App& app, const char* heading);
inline constexpr const char* kModelGroup = "Model";
inline constexpr const char* kPromptGroup = "Prompt";
inline constexpr const char* kSamplingGroup = "Sampling";
inline constexpr const char* kEngineGroup = "Engine";
inline constexpr const char* kOutputGroup = "Output";

// Type names say what a value is, in --help and to the completion scripts (program_table.h): capitals for
// what can be anything, "f32|f16|bf16" for all the values that there are.
inline constexpr const char* kFileValue = "FILE";
inline constexpr const char* kModelValue = "MODEL";

inline constexpr int64_t kMaxPredict = std::numeric_limits<int32_t>::max();

struct ModelFlags {
  std::string model;
  bool quiet = false;
};
CLI::Option* add_model_flag(CLI::App& app, ModelFlags& flags);
/// Begins the group of flags about output.
void add_quiet_flag(CLI::App& app, bool& quiet);

/// Text from -p, or from a file, or from standard input.
struct TextFlags {
  std::optional<std::string> prompt;
  std::optional<std::string> file;
};
void add_prompt_flags(CLI::App& app, TextFlags& flags);
void add_file_flag(CLI::App& app, TextFlags& flags);
void add_system_flag(CLI::App& app, std::string& system);

struct EngineFlags {
  uint32_t context = 0;        // 0: the model's
  uint32_t threads = 0;        // 0: as many as there are cores
  uint32_t threads_batch = 0;  // 0: threads
  uint32_t batch_rows = 512;
  DType key_type = DType::F16;
  DType value_type = DType::F16;
  ActivationNumerics activations = ActivationNumerics::int8;
  Numerics numerics = Numerics::exact;
  uint64_t memory = std::numeric_limits<uint64_t>::max();  // at most, besides what the system has
  bool no_warmup = false;
  bool no_key_sharing = false;
  SpeculationFlags speculation;
  uint32_t sequences = 1;  // at once; verbs with more than one have a flag of their own
  uint64_t kv_tokens = 0;  // as EngineOptions
  // No flags: what a verb wants of its engine.
  std::shared_ptr<const AdmissionPolicy> policy = nullptr;
  Trace* trace = nullptr;    // must outlive the engine
  uint32_t output_rows = 1;  // as EngineOptions
  bool trace_ops = true;     // not only steps and their phases
  bool sizes_only = false;   // nothing shall run: headrace plan
};
std::string_view name_of(Numerics numerics);
void add_engine_flags(CLI::App& app, EngineFlags& flags);
inline constexpr uint32_t kMaxParallel = 4096;
/// --parallel, by default what `flags` has, and --kv-tokens.
void add_parallel_flags(CLI::App& app, EngineFlags& flags);
/// Of those, the ones that change the bits of results on purpose: cache types and numerics.
void add_arithmetic_flags(CLI::App& app, EngineFlags& flags);
void add_memory_flag(CLI::App& app, EngineFlags& flags);

struct SamplingFlags {
  SamplingParams params;
  std::optional<uint64_t> seed;  // none: from the system
};
void add_sampling_flags(CLI::App& app, SamplingFlags& flags);
void add_predict_flag(CLI::App& app, int64_t& predict);
/// The seed that was asked for, or a random one.
uint64_t seed_of(const SamplingFlags& flags);

}  // namespace headrace::cli
