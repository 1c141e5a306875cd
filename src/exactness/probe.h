// Probes of exactness.h: what is asked, what was answered, and where two answers part.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "exactness/exactness.h"
#include "exactness/random.h"

namespace headrace::exactness {

inline constexpr uint32_t kMaxPrompt = 300;  // of an ordinary probe
inline constexpr uint32_t kMaxNew = 32;

/// The facts about a model on which probes and trials depend.
struct ModelShape {
  uint32_t vocab = 0;
  uint32_t layers = 0;
  uint32_t window = 0;   // the largest of its layer groups; 0: none
  uint32_t longest = 0;  // prompt of a long probe
  uint32_t context = 0;  // that holds it with its answer, in whole pages

  /// Long probes outgrow the window far enough for its pages to be retired.
  bool retires() const { return window > 0 && longest >= window + 100; }
  friend bool operator==(const ModelShape&, const ModelShape&) = default;
};
ModelShape shape_of(const Model& model);

/// Where prompts come from.
class PromptSource {
 public:
  PromptSource(const ExactnessOptions& options, uint32_t vocab);

  /// `length` tokens, of which the first is the model's token for beginning of text, if it has one and
  /// `with_bos` says so.
  std::vector<int32_t> cut(Random& random, uint32_t length, bool with_bos) const;

 private:
  const std::vector<int32_t>& text_;
  const std::vector<int32_t>& tokens_;
  std::optional<int32_t> bos_;
  uint32_t vocab_;
};

SamplingParams random_sampling(Random& random, uint32_t kind);
inline constexpr uint32_t kSamplingKinds = 4;  // greedy, usual, hot, penalties

struct Probe {
  Request request;
  uint32_t sampling_kind = 0;
  bool is_long = false;  // crosses a split of attention, and leaves the window of a model that has one

  uint32_t prompt_tokens() const { return static_cast<uint32_t>(request.prompt.size()); }
};
/// Trials [400 i, 400 (i + 1)) ask probes [16 i, 16 (i + 1)), whose first four are long: which probe a trial
/// asks doesn't depend on how many trials there are.
inline constexpr uint32_t kTrialsPerPool = 400;
inline constexpr uint32_t kProbesPerPool = 16;
inline constexpr uint32_t kLongPerPool = 4;
/// Those that trials up to the last one may ask.
std::vector<Probe> make_probes(const ExactnessOptions& options, const ModelShape& shape);

/// 64 bits of a row's floats; never 0. All NaNs count as one: which of them an operation returns is open.
uint64_t hash_row(std::span<const float> row);

/// A hash for each hidden state, 0 where none was seen.
class LayerHashes {
 public:
  LayerHashes() = default;
  LayerHashes(uint32_t positions, uint32_t layers) : layers_(layers), hashes_(size_t{positions} * layers) {}

  bool holds(uint32_t position, uint32_t layer) const {
    return layer < layers_ && (size_t{position} + 1) * layers_ <= hashes_.size();
  }
  uint64_t& at(uint32_t position, uint32_t layer) { return hashes_[size_t{position} * layers_ + layer]; }
  uint64_t at(uint32_t position, uint32_t layer) const { return hashes_[size_t{position} * layers_ + layer]; }
  uint32_t positions() const { return layers_ == 0 ? 0 : static_cast<uint32_t>(hashes_.size() / layers_); }

 private:
  uint32_t layers_ = 0;
  std::vector<uint64_t> hashes_;
};

/// A place in a forward pass, in the order in which errors spread.
struct LayerPlace {
  uint32_t position = 0;
  uint32_t layer = 0;
  friend auto operator<=>(const LayerPlace&, const LayerPlace&) = default;
};

/// Hashes hidden states of one choice of one request, or compares them with what was hashed before. Rows of
/// the prompt count whichever choice computes them: all share them.
class ProbeObserver final : public LayerObserver {
 public:
  bool wants(RequestId request) const override { return request == request_; }
  void see(RequestId request, uint32_t choice, uint32_t position, uint32_t layer,
           std::span<const float> hidden) override;

  void record(RequestId request, uint32_t choice, uint32_t prompt_tokens, LayerHashes& into);
  void compare(RequestId request, uint32_t choice, uint32_t prompt_tokens, const LayerHashes& with);
  void stop() { request_ = 0; }

  /// The smallest place that differed since compare().
  const std::optional<LayerPlace>& difference() const { return difference_; }
  uint64_t compared() const { return compared_; }

  /// Rows of the probe since then, and the first one's position.
  void begin_step() { step_rows_ = 0; }
  uint32_t step_rows() const { return step_rows_; }
  uint32_t step_position() const { return step_position_; }

 private:
  RequestId request_ = 0;  // ids begin at 1
  uint32_t choice_ = 0;
  uint32_t prompt_tokens_ = 0;
  LayerHashes* into_ = nullptr;
  const LayerHashes* with_ = nullptr;
  std::optional<LayerPlace> difference_;
  uint64_t compared_ = 0;
  uint32_t step_rows_ = 0;
  uint32_t step_position_ = 0;
};

/// Tokens drawn or scored, in order.
struct Answer {
  struct Token {
    uint32_t position = 0;
    bool scored = false;
    Draw draw;
  };
  std::vector<Token> tokens;
  FinishReason finished = FinishReason::none;

  /// Fields of the draw that the request did not ask for are blanked: they mean nothing.
  void add(const Event& event, const SamplingParams& sampling);
};

struct Baseline {
  Answer answer;
  LayerHashes layers;
};

/// What differs first. `layer_difference` counts only before the first token that differs: what follows
/// another token is another text.
std::optional<ExactnessDifference> first_difference(const Answer& expected, const Answer& found,
                                                    const std::optional<LayerPlace>& layer_difference);

/// Continues `hash` with an answer's bits.
uint64_t hash_answer(const Answer& answer, uint64_t hash);

}  // namespace headrace::exactness
