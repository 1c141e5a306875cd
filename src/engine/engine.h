// The step loop: requests in, tokens out. A step runs a flat ragged batch of rows over the paged KV cache;
// one sequence is merely the smallest batch.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/memory_ledger.h"
#include "core/result.h"
#include "decode/sampler.h"
#include "models/model.h"
#include "ops/backend.h"

namespace headrace {

struct EngineOptions {
  uint32_t context = 0;    // tokens a sequence may hold; 0: what the model was trained for, or what fits
  uint32_t sequences = 1;  // sequences at once; memory for sequences * context tokens is taken at the start
  uint32_t batch_rows = 512;    // rows of a step at most
  DType key_type = DType::F16;  // of cached keys: F32, F16 or BF16
  DType value_type = DType::F16;
  ActivationNumerics activations = ActivationNumerics::int8;
  uint32_t decode_threads = 0;  // 0: all of the backend's
  uint32_t batch_threads = 0;   // for steps with more rows than sequences
  /// May be null. Once it is true, the running step ends at the next layer and every request is cancelled. It
  /// must outlive the engine.
  const std::atomic<bool>* interrupt = nullptr;
};

using RequestId = uint64_t;

/// What to do with a prompt: continue it, or score it.
struct Request {
  std::vector<int32_t> prompt;  // 1 to context() tokens, each below the vocabulary
  uint32_t max_new_tokens = 0;  // 0: none (only the prompt is computed)
  SamplingParams sampling;
  std::vector<int32_t> end_tokens;  // generation stops when one is drawn; it is reported as the last token
  /// If set: the log-probability of each prompt token from this index (>= 1) on, given those before it.
  std::optional<uint32_t> score_from;
};

enum class FinishReason : uint8_t { none, end_token, length, context, cancelled };

/// Something that happened to a request in a step: a token was drawn or scored, or it ended.
struct Event {
  RequestId request = 0;
  bool has_token = false;
  bool scored = false;  // the token is the prompt's own, with its logprob
  Draw draw;
  uint32_t position = 0;  // of the token
  FinishReason finished = FinishReason::none;
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
  /// the message), usage for an empty prompt, a token beyond the vocabulary or bad sampling parameters.
  virtual Result<RequestId> submit(Request request) = 0;
  /// Ends a request; its event comes with the next step. Unknown ids are ignored.
  virtual void cancel(RequestId request) = 0;
  /// Nothing is queued or running.
  virtual bool idle() const = 0;
  /// Runs one step and appends what happened, requests in order of arrival.
  virtual void step(std::vector<Event>& events) = 0;
};

}  // namespace headrace
