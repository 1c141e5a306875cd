#include "engine/engine_options.h"

#include <algorithm>

#include "decode/draft.h"

namespace headrace {
namespace {

constexpr uint32_t kMaxPageTokens = 4096;
constexpr uint32_t kMaxSequences = 4096;

}  // namespace

Status check_options(const EngineOptions& options) {
  if (options.sequences == 0 || options.sequences > kMaxSequences) {
    return make_error(Errc::usage, "sequences: expected 1 to {}, found {}", kMaxSequences, options.sequences);
  }
  if (options.page_tokens == 0 || options.page_tokens % 16 != 0 || options.page_tokens > kMaxPageTokens) {
    return make_error(Errc::usage, "page_tokens: expected a multiple of 16 up to {}, found {}",
                      kMaxPageTokens, options.page_tokens);
  }
  if (options.speculation.drafter &&
      (options.speculation.most == 0 || options.speculation.most > kMaxDraftNodes)) {
    return make_error(Errc::usage, "tokens of a draft: expected 1 to {}, found {}", kMaxDraftNodes,
                      options.speculation.most);
  }
  for (const DType type : {options.key_type, options.value_type}) {
    if (info_of(type).quantised)
      return make_error(Errc::usage, "KV cache: type {} is not F32, F16 or BF16", name_of(type));
  }
  return {};
}

StateStoreOptions store_options(const EngineOptions& options) {
  return {.format = {options.key_type, options.value_type, options.page_tokens},
          .sequences = options.sequences,
          .context = options.context,
          .tokens = options.kv_tokens,
          .max_rows = options.batch_rows,
          .branches = options.speculation.drafter ? options.speculation.branches : 1};
}

void choose_context(const Model& model, const MemoryLedger& ledger, EngineOptions& options) {
  const uint64_t free = (ledger.cap() - std::min(ledger.cap(), ledger.used())) / 10 * 9;
  const auto fits = [&] { return StateStore::bytes(model.layer_groups(), store_options(options)) <= free; };
  const auto largest = [&](auto set, uint64_t most) {  // in pages
    uint64_t low = 1;
    for (uint64_t high = most / options.page_tokens + 1; low < high;) {
      const uint64_t middle = (low + high + 1) / 2;
      set(middle * options.page_tokens);
      (fits() ? low : high) = fits() ? middle : middle - 1;
    }
    set(std::min(low * options.page_tokens, most));
  };
  const bool automatic = options.context == 0;
  if (automatic) options.context = model.info().context_length;
  const uint64_t all = uint64_t{options.context} * options.sequences;
  if (options.kv_tokens == 0 && !fits()) {
    largest([&](uint64_t tokens) { options.kv_tokens = tokens; }, all);
    options.kv_tokens = std::max<uint64_t>(options.kv_tokens, options.context);
  }
  if (automatic && !fits()) {
    largest(
        [&](uint64_t tokens) {
          options.context = static_cast<uint32_t>(tokens);
          options.kv_tokens = tokens;
        },
        model.info().context_length);
  }
}

}  // namespace headrace
