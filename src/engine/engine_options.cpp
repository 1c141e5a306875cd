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
  if (options.speculation.branches == 0 || options.speculation.branches > kMaxDraftBranches) {
    return make_error(Errc::usage, "branches of a draft: expected 1 to {}, found {}", kMaxDraftBranches,
                      options.speculation.branches);
  }
  for (const DType type : {options.key_type, options.value_type}) {
    if (info_of(type).quantised)
      return make_error(Errc::usage, "KV cache: type {} is not F32, F16 or BF16", name_of(type));
  }
  return {};
}

Status check_request(const Request& request, size_t vocab, uint32_t context) {
  if (request.prompt.empty()) return make_error(Errc::usage, "the prompt is empty");
  if (request.prompt.size() > context) {
    return make_error(Errc::out_of_budget,
                      "the prompt has {} tokens, the context holds {}; a larger context (-c) would help",
                      request.prompt.size(), context);
  }
  for (const int32_t token : request.prompt) {
    if (token < 0 || static_cast<size_t>(token) >= vocab) {
      return make_error(Errc::usage, "the prompt has token {}, the vocabulary ends at {}", token, vocab);
    }
  }
  if (request.score_from && *request.score_from == 0) {
    return make_error(Errc::usage, "score_from: the first token has nothing before it to be scored by");
  }
  if (request.n == 0 || request.n > kMaxChoices) {
    return make_error(Errc::usage, "n: expected 1 to {}, found {}", kMaxChoices, request.n);
  }
  if (request.priority < -kMaxPriority || request.priority > kMaxPriority) {
    return make_error(Errc::usage, "priority: expected {} to {}, found {}", -kMaxPriority, kMaxPriority,
                      request.priority);
  }
  if (request.deadline_ms < 0) {
    return make_error(Errc::usage, "deadline: expected 0 or more milliseconds, found {}",
                      request.deadline_ms);
  }
  return check_sampling(request.sampling, vocab);
}

uint64_t host_bytes(const ModelInfo& info, const EngineOptions& options) {
  constexpr uint64_t kPerToken = 20;   // of a vocabulary: draws and logits on the host
  constexpr uint64_t kPerPage = 1024;  // of the cache: its node, tokens, places in plans
  constexpr uint64_t kPerRow = 512;    // of a step: rows, plans, events
  constexpr uint64_t kPerSequence = 16 << 10;
  const uint64_t tokens =
      options.kv_tokens == 0 ? uint64_t{options.context} * options.sequences : options.kv_tokens;
  const uint64_t texts = (options.speculation.drafter ? 3 : 1) * uint64_t{options.context} * sizeof(int32_t);
  const uint64_t drafts = options.speculation.drafter ? 2 : 1;
  const uint64_t odds = options.speculation.rule == DraftRule::rejection ? sizeof(TokenProbability) : 0;
  return info.vocab_size * (kPerToken + odds) + drafts * tokens / options.page_tokens * kPerPage +
         options.batch_rows * kPerRow + options.sequences * (kPerSequence + texts);
}

StateStoreOptions store_options(const EngineOptions& options) {
  return {.format = {options.key_type, options.value_type, options.page_tokens},
          .sequences = options.sequences,
          .context = options.context,
          .tokens = options.kv_tokens,
          .max_rows = options.batch_rows,
          .branches = options.speculation.drafter ? options.speculation.branches : 1,
          .share_keys = options.share_keys};
}

void choose_context(const Model& model, const MemoryLedger& ledger, const DrafterBytes& drafter,
                    EngineOptions& options) {
  const uint64_t free = (ledger.cap() - std::min(ledger.cap(), ledger.used())) / 10 * 9;
  const bool automatic = options.context == 0;
  const auto fits = [&] {
    // Lists of a context that was asked for are booked already.
    const uint64_t besides =
        (drafter ? drafter(options) : 0) + (automatic ? host_bytes(model.info(), options) : 0);
    return StateStore::bytes(model.layer_groups(), store_options(options)) + besides <= free;
  };
  const auto largest = [&](auto set, uint64_t most) {  // in pages
    uint64_t low = 1;
    for (uint64_t high = most / options.page_tokens + 1; low < high;) {
      const uint64_t middle = (low + high + 1) / 2;
      set(middle * options.page_tokens);
      (fits() ? low : high) = fits() ? middle : middle - 1;
    }
    set(std::min(low * options.page_tokens, most));
  };
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
