// The step loop: requests in, tokens out. A step runs a flat ragged batch of rows: decode rows and chunks of
// prompts of many sequences side by side. Sequences share the pages of equal prefixes (cache/state_store.h);
// which rows run is decided by a pure function (schedule/admission.h).
//
// For any request tokens and log-probabilities are the same bits alone or in any batch, in any order of
// arrival, for any chunk size, cold or from the prefix cache, preempted or not, with any number of threads,
// with drafts or without.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cache/reuse.h"
#include "core/memory_ledger.h"
#include "core/result.h"
#include "core/trace.h"
#include "decode/sampler.h"
#include "models/model.h"
#include "ops/backend.h"
#include "schedule/admission.h"

namespace headrace {

using RequestId = uint64_t;
struct EngineOptions;

/// Answers to one request at most.
inline constexpr uint32_t kMaxChoices = 128;

/// Sees hidden states as they are computed; for `verify`. Called on the engine's thread, layer by layer.
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  virtual bool wants(RequestId request) const = 0;
  /// `hidden`: the residual stream of a row after layer `layer`. Valid during the call.
  virtual void see(RequestId request, uint32_t choice, uint32_t position, uint32_t layer,
                   std::span<const float> hidden) = 0;
};

/// What became of drafts.
struct DraftTally {
  uint64_t drafts = 0;    // steps of a sequence that checked a draft
  uint64_t tokens = 0;    // that were checked
  uint64_t accepted = 0;  // that were right, the ones before them too
};
struct DraftCounters : DraftTally {
  static constexpr uint32_t kPlaces = 16;
  /// Accepted ones by their place in the draft; the last entry counts all beyond.
  std::array<uint64_t, kPlaces> accepted_at = {};
};

class DrawScratch;
class Drafter;
class StateStore;
class StepRunner;
/// What a drafter may stand on. All of it outlives the drafter.
struct DrafterWorld {
  Backend& backend;
  MemoryLedger& ledger;
  const Model& model;  // the target
  StateStore* store;   // the target's; null where an engine keeps its keys otherwise
  StepRunner& runner;  // the target's; a run of it is over when the drafter is asked
  DrawScratch& draws;  // prepared for all requests
  const EngineOptions& options;
};

using DrafterMaker = std::function<Result<std::unique_ptr<Drafter>>(const DrafterWorld&)>;
/// Bytes that a drafter will take, by the engine's options: for contexts that are being considered.
using DrafterBytes = std::function<uint64_t(const EngineOptions&)>;
using DrafterSizer = std::function<Result<DrafterBytes>(Backend&, const EngineOptions&)>;

/// Which of the drafted tokens are taken.
enum class DraftRule : uint8_t {
  coupled,    // those that plain decoding would draw: the same answers
  rejection,  // as many as can be with answers distributed as plain decoding's (decode/rejection.h)
};
std::string_view name_of(DraftRule rule);

/// Speculative decoding: the same answers, faster where drafts are right.
struct SpeculationOptions {
  /// Makes the drafter; empty: plain decoding.
  DrafterMaker drafter = {};
  uint32_t most = 8;      // tokens of a draft, at most kMaxDraftNodes
  bool automatic = true;  // as many as pay, down to none; otherwise `most` wherever there is room
  uint32_t branches = 1;  // leaves that a draft may have, at most kMaxDraftBranches; more than one: a tree
  DraftRule rule = DraftRule::coupled;
  DrafterMaker second = {};  // asked where the first has less to say; empty: nobody
  DrafterSizer sizer = {};   // an automatic context leaves what it says; empty: nothing
};

/// What a step may do. May change between steps.
struct StepLimits {
  uint32_t rows = 512;          // of a step, at most EngineOptions::batch_rows
  uint32_t chunk = 0;           // tokens of one prompt in one step; 0: any number
  uint32_t sequences = 1;       // that run at once, at most EngineOptions::sequences
  uint64_t kv_tokens = 0;       // the pages of so many tokens may be used; 0: all
  uint32_t decode_threads = 0;  // 0: all of the backend's
  uint32_t batch_threads = 0;   // for steps with more rows than sequences; 0: as decode_threads
  bool prefix_cache = true;     // look for cached prefixes
  bool drafts = true;           // where the engine has a drafter
  bool share_keys = true;       // what sequences have in common is read once for all of them
};

struct EngineOptions {
  uint32_t context = 0;       // tokens a sequence may hold; 0: what the model was trained for, or what fits
  uint32_t sequences = 1;     // that run at once
  uint64_t kv_tokens = 0;     // tokens that all sequences and cached prefixes together may hold, at least one
                              // context; 0: sequences * context, or what fits
  uint32_t batch_rows = 512;  // rows of a step at most
  uint32_t output_rows =
      1;  // whose logits there is room for at once, at least: more where prompts are scored
  uint32_t page_tokens = 64;    // of the cache, a multiple of 16; can't be seen in any result
  DType key_type = DType::F16;  // of cached keys: F32, F16 or BF16
  DType value_type = DType::F16;
  ActivationNumerics activations = ActivationNumerics::int8;
  uint32_t decode_threads = 0;  // as StepLimits
  uint32_t batch_threads = 0;
  bool prefix_cache = true;
  bool share_keys = true;
  SpeculationOptions speculation = {};
  /// The model was loaded without its weights: nothing runs, drafters load theirs likewise. For planning.
  bool sizes_only = false;
  /// The policy that decides which rows run; null: continuous batching.
  std::shared_ptr<const AdmissionPolicy> policy = nullptr;
  /// Milliseconds of a monotonic clock, for deadlines; empty: the system's.
  std::function<int64_t()> clock_ms = {};
  /// May be null. Once it is true, the running step ends at the next layer and every request is cancelled. It
  /// must outlive the engine.
  const std::atomic<bool>* interrupt = nullptr;
  /// May be null; must outlive the engine.
  LayerObserver* observer = nullptr;
  /// May be null; must outlive the engine. Gets a span for each step and each of its phases. (Ops are
  /// recorded by a backend: ops/traced_backend.h.)
  Trace* trace = nullptr;
};

/// What to do with a prompt: continue it (n times), or score it.
struct Request {
  std::vector<int32_t> prompt;  // 1 to context() tokens, each below the vocabulary
  uint32_t max_new_tokens = 0;  // 0: none (only the prompt is computed)
  uint32_t n = 1;  // answers, which share the prompt: choices sampling.choice, sampling.choice + 1, ...
  SamplingParams sampling;
  std::vector<int32_t> end_tokens;  // generation stops when one is drawn; it is reported as the last token
  /// If set: the log-probability of each prompt token from this index (>= 1) on, given those before it.
  std::optional<uint32_t> score_from;
  int32_t priority = 0;     // -kMaxPriority to kMaxPriority; more goes first (schedule/admission.h)
  int64_t deadline_ms = 0;  // from submit() on; 0: none. Then the request ends as `expired`
  uint64_t cache_salt = 0;  // prefixes are shared among requests of equal salt only
};

enum class FinishReason : uint8_t { none, end_token, length, context, cancelled, expired };

/// How a choice fared; comes with its last event.
struct RequestReport {
  Reuse reuse;                // of the prompt, at its first admission
  uint32_t preemptions = 0;   // how often its pages were taken away
  uint32_t recomputed = 0;    // tokens computed again because of that
  uint64_t queued_steps = 0;  // until it was first admitted
  DraftTally drafts;
};

/// Something that happened to a choice of a request in a step: a token was drawn or scored, or it ended.
struct Event {
  RequestId request = 0;
  uint32_t choice = 0;  // 0 to n - 1
  bool has_token = false;
  bool scored = false;  // the token is the prompt's own, with its logprob
  Draw draw;
  uint32_t position = 0;  // of the token
  FinishReason finished = FinishReason::none;
  RequestReport report;  // if finished
};

/// Counters since the engine was made, and what is in use now.
struct EngineStats {
  uint64_t steps = 0;          // with rows
  uint64_t rows = 0;           // that layer 0 ran
  uint64_t prompt_rows = 0;    // of those, rows of prompt tokens
  uint64_t reused_tokens = 0;  // found in the prefix cache at admission
  uint64_t preemptions = 0;
  uint64_t page_copies = 0;    // of shared last pages
  uint64_t evicted_pages = 0;  // cached pages given up for others
  uint64_t retired_pages = 0;  // that left a window
  uint64_t saved_keys =
      0;  // that rows did not read for themselves, since others did in the same step; by layer group
  uint32_t running = 0;  // choices
  uint32_t waiting = 0;
  uint32_t last_step_rows = 0;
  DraftCounters drafts;
  double cost_error =
      0;  // of predicted step times, mean of |predicted / measured - 1|; automatic lengths only
};

/// Not thread-safe: one thread submits and steps.
class Engine {
 public:
  /// Takes the model and its backend. `ledger` must outlive the engine. Fails with out_of_budget before
  /// allocating, naming the bytes needed and free.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<Backend> backend,
                                                std::unique_ptr<Model> model, MemoryLedger& ledger,
                                                const EngineOptions& options);
  virtual ~Engine() = default;

  virtual const Model& model() const = 0;
  virtual const Backend& backend() const = 0;
  /// Tokens that a sequence may hold.
  virtual uint32_t context() const = 0;

  /// Queues a request. Fails with out_of_budget if the prompt doesn't fit the context (both numbers are in
  /// the message), usage for an empty prompt, a token beyond the vocabulary or bad parameters.
  virtual Result<RequestId> submit(Request request) = 0;
  /// Ends all choices of a request, or one; their last events come with the next step. Unknown ids are
  /// ignored.
  virtual void cancel(RequestId request) = 0;
  virtual void cancel(RequestId request, uint32_t choice) = 0;
  /// Nothing is queued or running.
  virtual bool idle() const = 0;
  /// Runs one step and appends what happened, choices in order of arrival.
  ///
  /// Takes nothing from the heap, except where `events` has no room left, and for lists of alternatives
  /// (Draw::top) where those of earlier events were not given back.
  virtual void step(std::vector<Event>& events) = 0;
  /// Empties `events`, whose memory is used again.
  virtual void recycle(std::vector<Event>& events) { events.clear(); }

  virtual EngineStats stats() const = 0;
  virtual StepLimits limits() const = 0;
  /// Values beyond what EngineOptions took are cut to it. Fewer kv_tokens than one context are raised to it;
  /// fewer than are in use take effect as pages become free.
  virtual void set_limits(const StepLimits& limits) = 0;
  /// Forgets all prefixes that no running request uses.
  virtual void clear_cache() = 0;
  /// Checks the books of pages and sequences: an error names what doesn't add up, and is a bug of ours.
  virtual Status check_books() const = 0;
};

std::string_view name_of(FinishReason reason);

}  // namespace headrace
