#include "cli/options.h"

#include <cmath>
#include <random>

#include "models/transformer.h"

namespace headrace::cli {
namespace {

constexpr uint32_t kMaxThreads = 1024;
constexpr uint32_t kMaxBatchRows = 1 << 16;
constexpr int32_t kMaxTopK = 1 << 22;
// Beyond these a logit would overflow sooner than make a point.
constexpr float kMaxTemperature = 1e4F;
constexpr float kMaxPenalty = 1e4F;

void add_cache_type(CLI::App& app, const std::string& name, DType& type, const std::string& what) {
  const auto known = [](const std::string& text) {
    const std::optional<DType> found = dtype_from_name(text);
    const bool plain = found == DType::F32 || found == DType::F16 || found == DType::BF16;
    return plain ? std::string() : "expected f32, f16 or bf16, found '" + text + "'";
  };
  app.add_option_function<std::string>(
         name, [&type](const std::string& text) { type = dtype_from_name(text).value_or(type); },
         "Type of cached " + what + " [f16]")
      ->check(known)
      ->type_name("f32|f16|bf16");
}

void add_numerics(CLI::App& app, EngineFlags& flags) {
  app.add_option_function<std::string>(
         "--activations",
         [&flags](const std::string& text) {
           flags.activations = text == "f32" ? ActivationNumerics::f32 : ActivationNumerics::int8;
         },
         "How quantised weights read their input: int8 (fast) or f32 (for comparisons) [int8]")
      ->check([](const std::string& text) {
        return text == "int8" || text == "f32" ? std::string() : "expected int8 or f32, found '" + text + "'";
      })
      ->type_name("int8|f32");
  app.add_option_function<std::string>(
         "--numerics",
         [&flags](const std::string& text) {
           flags.numerics = text == "machine" ? Numerics::machine : Numerics::exact;
         },
         "The same bits on every machine (exact), or on this kind of machine (machine: faster with BF16 "
         "weights) [exact]")
      ->check([](const std::string& text) -> std::string {
        if (text == "exact" || text == "machine") return {};
        if (text == "fast") return "level 'fast' is not built yet, only exact and machine are";
        return "expected exact or machine, found '" + text + "'";
      })
      ->type_name("exact|machine");
}

}  // namespace

std::string_view name_of(Numerics numerics) {
  return numerics == Numerics::machine ? "machine" : "exact";
}

void begin_group(CLI::App& app, const char* heading) {
  app.option_defaults()->group(heading);
}

void add_quiet_flag(CLI::App& app, bool& quiet) {
  begin_group(app, kOutputGroup);
  app.add_flag("--quiet,-q", quiet, "Only errors on standard error");
}

CLI::Option* add_model_flag(CLI::App& app, ModelFlags& flags) {
  begin_group(app, kModelGroup);
  return app
      .add_option("--model,-m", flags.model,
                  "A GGUF file, a folder from Hugging Face, or the short name of a downloaded model")
      ->required()
      ->type_name(kModelValue);
}

void add_file_flag(CLI::App& app, TextFlags& flags) {
  begin_group(app, kPromptGroup);
  app.add_option("--file,-f", flags.file, "Text from a file, '-' for standard input")->type_name(kFileValue);
}

void add_system_flag(CLI::App& app, std::string& system) {
  app.add_option("--system-prompt", system, "A system message before the prompt (also -sys)")
      ->type_name("TEXT");
}

void add_prompt_flags(CLI::App& app, TextFlags& flags) {
  begin_group(app, kPromptGroup);
  app.add_option("--prompt,-p", flags.prompt, "The text")->type_name("TEXT");
  add_file_flag(app, flags);
}

void add_arithmetic_flags(CLI::App& app, EngineFlags& flags) {
  add_cache_type(app, "--cache-type-k", flags.key_type, "keys (also -ctk)");
  add_cache_type(app, "--cache-type-v", flags.value_type, "values (also -ctv)");
  add_numerics(app, flags);
}

void add_memory_flag(CLI::App& app, EngineFlags& flags) {
  app.add_option_function<std::string>(
         "--memory", [&flags](const std::string& text) { flags.memory = parse_bytes(text).value_or(0); },
         "Take at most so many bytes, say 512M or 4G [what is available]")
      ->check([](const std::string& text) {
        return parse_bytes(text) ? std::string() : "expected a size such as 512M or 4G, found '" + text + "'";
      })
      ->type_name("BYTES");
}

void add_engine_flags(CLI::App& app, EngineFlags& flags) {
  begin_group(app, kEngineGroup);
  add_number(app, "--ctx-size,-c", flags.context, 0U, std::numeric_limits<uint32_t>::max(),
             "Tokens of context; 0: as the model was trained, or what fits [0]", "0 to 4294967295");
  add_number(app, "--threads,-t", flags.threads, 0U, kMaxThreads, "Threads; 0: as many as cores [0]",
             "0 to 1024");
  add_number(app, "--threads-batch", flags.threads_batch, 0U, kMaxThreads,
             "Threads for prompts (also -tb); 0: as --threads [0]", "0 to 1024");
  add_number(app, "--batch-size,-b", flags.batch_rows, 1U, kMaxBatchRows,
             "Prompt tokens computed at once [512]", "1 to 65536");
  add_arithmetic_flags(app, flags);
  add_memory_flag(app, flags);
  app.add_flag("--no-warmup", flags.no_warmup, "Skip the dummy step before the clock starts");
  app.add_flag("--no-key-sharing", flags.no_key_sharing,
               "Each answer reads for itself what it shares with others");
}

void add_parallel_flags(CLI::App& app, EngineFlags& flags) {
  add_number(app, "--parallel", flags.sequences, 1U, kMaxParallel,
             "Answers written at once (also -np) [" + std::to_string(flags.sequences) + "]", "1 to 4096");
  add_number(app, "--kv-tokens", flags.kv_tokens, uint64_t{0}, uint64_t{1} << 40,
             "Tokens that all of them together may hold; 0: what fits [0]", "0 to 1099511627776");
}

void add_predict_flag(CLI::App& app, int64_t& predict) {
  begin_group(app, kSamplingGroup);
  add_number(app, "--predict,-n", predict, int64_t{-1}, kMaxPredict,
             "Tokens to generate; -1: until the model ends or the context is full [-1]", "-1 to 2147483647");
}

uint64_t seed_of(const SamplingFlags& flags) {
  if (flags.seed) return *flags.seed;
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
  begin_group(app, kSamplingGroup);
  SamplingParams& p = flags.params;
  app.add_option_function<std::string>(
         "--seed,-s",
         [&flags](const std::string& text) {
           flags.seed = text == "-1" ? std::nullopt : parse_number<uint64_t>(text);
         },
         "Seed of the draws; -1: a random one [-1]")
      ->check([](const std::string& text) {
        const bool fine = text == "-1" || parse_number<uint64_t>(text);
        return fine ? std::string() : "expected -1 or 0 to 18446744073709551615, found '" + text + "'";
      })
      ->type_name("N");
  const std::string penalties = "-10000 to 10000";
  add_number(app, "--temp,--temperature", p.temperature, -1.0F, kMaxTemperature,
             "Temperature; 0 or less: the most likely [0.8]", "-1 to 10000");
  add_number(app, "--top-k", p.top_k, -1, kMaxTopK, "Keep the K most likely; 0 or -1: all [40]",
             "-1 to 4194304");
  add_number(app, "--top-p", p.top_p, 0.0F, 1.0F,
             "Keep the fewest that reach this probability; 1: all [0.95]", "0 to 1");
  add_number(app, "--min-p", p.min_p, 0.0F, 1.0F,
             "Drop what is less likely than this share of the best [0.05]", "0 to 1");
  add_number(app, "--repeat-penalty", p.repeat_penalty, 1e-4F, kMaxPenalty,
             "Divides logits of recent tokens [1.0]", "0.0001 to 10000");
  add_number(app, "--repeat-last-n", p.penalty_last_n, -1, std::numeric_limits<int32_t>::max(),
             "How many tokens are recent; 0: none, -1: all [64]", "-1 to 2147483647");
  add_number(app, "--presence-penalty", p.presence_penalty, -kMaxPenalty, kMaxPenalty,
             "Subtracted once from recent tokens [0]", penalties);
  add_number(app, "--frequency-penalty", p.frequency_penalty, -kMaxPenalty, kMaxPenalty,
             "Subtracted for each recent occurrence [0]", penalties);
  app.add_option_function<std::vector<std::string>>(
         "--logit-bias,-l",
         [&p](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) p.logit_bias.push_back(*parse_logit_bias(text));
         },
         "Add to a token's logit: 15043+1, 15043-inf; may be repeated")
      ->check([](const std::string& text) {
        return parse_logit_bias(text) ? std::string() : "expected TOKEN_ID(+/-)BIAS, found '" + text + "'";
      })
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("BIAS");
}

}  // namespace headrace::cli
