#include "engine/model_drafter.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include "cache/state_store.h"
#include "engine/draft_writing.h"

namespace headrace {
namespace {

constexpr uint32_t kMostRows = 256;  // of a step that reads a prompt: the target waits meanwhile

// A sequence as the draft model knows it.
struct Text {
  uint64_t owner = 0;  // DraftRequest::sequence; 0: nobody's
  SequenceId sequence = 0;
  std::vector<int32_t> pending;  // beyond the committed ones, keys are stored: the last of the text, drafts
};

// A request at work.
struct Writer : DraftInWriting {
  Text* text = nullptr;
  uint32_t reading = 0;  // tokens of the text in this step
};

class ModelDrafter final : public Drafter {
 public:
  explicit ModelDrafter(MemoryLedger& ledger) : ledger_(ledger, MemoryUse::drafts) {}

  Status start(const ModelFile& file, const DrafterWorld& world);

  std::string_view name() const override { return "model"; }
  void propose(std::span<const DraftRequest> requests) override;
  void forget(uint64_t sequence) override;
  double seconds_per_token() const override { return writing_->seconds_per_token(); }
  double seconds_to_begin(const DraftRequest& request) const override;

 private:
  Text* text_of(const DraftRequest& request);
  bool sync(const DraftRequest& request, Text& text);
  size_t catch_up();
  void write_on();

  MemoryLedger ledger_;  // outlives what it has booked
  std::unique_ptr<Model> model_;
  std::optional<StepRunner> runner_;
  std::optional<StateStore> store_;
  uint32_t max_rows_ = 0;
  std::vector<Text> texts_;
  std::vector<Writer> writers_;
  std::vector<DraftInWriting*> outputs_;  // whose rows have an output, in order
  std::vector<Row> rows_;
  std::optional<DraftWriting> writing_;
  double seconds_per_read_ = 0;  // of a token, where many are read at once
};

// A few tokens a text that are read together with what was drawn last.
constexpr size_t kFewTokens = 16;
constexpr double kReadStep = 0.3;

uint32_t rows_for(const EngineOptions& options) {
  return std::max(std::min(options.batch_rows, kMostRows), options.sequences);
}
StepRunnerOptions runner_options(const EngineOptions& options) {
  return {.max_rows = rows_for(options),
          .max_outputs = std::min(options.sequences, DraftWriting::kMostOutputs),
          .activations = options.activations,
          .interrupt = options.interrupt};
}
StateStoreOptions own_store_options(const EngineOptions& options) {
  return {.format = {options.key_type, options.value_type, options.page_tokens},
          .sequences = options.sequences,
          .context = options.context,
          .tokens = options.kv_tokens,
          .max_rows = rows_for(options),
          .share_keys = options.share_keys};
}

Status ModelDrafter::start(const ModelFile& file, const DrafterWorld& world) {
  HEADRACE_TRY(const ModelInfo info, describe_model(file));
  const uint32_t vocab = world.model.info().vocab_size;
  if (info.vocab_size != vocab) {
    return make_error(Errc::unsupported,
                      "{}: {} tokens, the model has {}: a draft model needs the same vocabulary", file.name(),
                      info.vocab_size, vocab);
  }
  HEADRACE_TRY(model_, load_model(file, world.backend, ledger_,
                                  {.progress = {},
                                   .cancel = world.options.interrupt,
                                   .sizes_only = world.options.sizes_only}));
  const EngineOptions& options = world.options;
  max_rows_ = rows_for(options);
  HEADRACE_TRY(runner_, StepRunner::create(world.backend, *model_, ledger_, runner_options(options)));
  HEADRACE_TRY(
      store_, StateStore::create(world.backend, ledger_, model_->layer_groups(), own_store_options(options)));
  texts_.resize(options.sequences);
  for (Text& text : texts_) text.pending.reserve(options.speculation.most + 1);
  writers_.reserve(options.sequences);
  outputs_.reserve(options.sequences);
  rows_.reserve(max_rows_);
  writing_.emplace(options.context, world.draws);
  return {};
}

void ModelDrafter::forget(uint64_t sequence) {
  for (Text& text : texts_) {
    if (text.owner != sequence) continue;
    store_->close(text.sequence);
    text.owner = 0;
  }
}

Text* ModelDrafter::text_of(const DraftRequest& request) {
  const auto own = std::ranges::find(texts_, request.sequence, &Text::owner);
  if (own != texts_.end()) return &*own;
  const auto free = std::ranges::find(texts_, uint64_t{0}, &Text::owner);
  if (free == texts_.end()) return nullptr;
  free->owner = request.sequence;
  free->sequence = store_->open(request.salt, request.tokens.first(request.tokens.size() - 1));
  free->pending.clear();
  return &*free;
}

// What was drafted and turned out right is kept; false if there are no pages for the draft.
bool ModelDrafter::sync(const DraftRequest& request, Text& text) {
  const uint32_t length = store_->length(text.sequence);
  const std::span<const int32_t> since = request.tokens.subspan(length);
  size_t right = 0;
  while (right < text.pending.size() && right + 1 < since.size() && text.pending[right] == since[right])
    ++right;
  store_->commit(text.sequence, since.first(right));
  text.pending.clear();
  store_->trim(text.sequence);
  return store_->reserve(text.sequence, static_cast<uint32_t>(request.tokens.size()) + request.most);
}

void ModelDrafter::propose(std::span<const DraftRequest> requests) {
  writers_.clear();
  for (const DraftRequest& request : requests) {
    if (request.most == 0) continue;
    Text* text = text_of(request);
    if (text != nullptr && sync(request, *text)) writers_.push_back({{&request}, text});
  }
  if (writers_.empty()) return;
  const size_t writers = writers_.size();
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const size_t read = catch_up();
  const double reading = seconds();
  const bool reads_on = read <= kFewTokens * writers;
  if (!reads_on) {
    const double each = reading / static_cast<double>(read);
    seconds_per_read_ += (seconds_per_read_ == 0 ? 1 : kReadStep) * (each - seconds_per_read_);
  }
  uint32_t steps = reads_on ? 1 : 0;
  for (;; ++steps) {
    std::erase_if(writers_, [](const Writer& w) { return !w.goes_on(); });
    if (writers_.empty()) break;
    write_on();
  }
  if (steps > 0) writing_->took((seconds() - (reads_on ? 0 : reading)) / steps);
}

double ModelDrafter::seconds_to_begin(const DraftRequest& request) const {
  const auto own = std::ranges::find(texts_, request.sequence, &Text::owner);
  const size_t known = own == texts_.end() ? 0 : store_->length(own->sequence);
  const size_t unread = request.tokens.size() - known;
  return unread <= kFewTokens ? 0 : seconds_per_read_ * static_cast<double>(unread);
}

// Rows for all that the texts have and the draft model has not read, the last of each with an output. Returns
// how many there were.
size_t ModelDrafter::catch_up() {
  for (size_t read = 0;; read += rows_.size()) {
    rows_.clear();
    outputs_.clear();
    for (Writer& writer : writers_) {
      const std::span<const int32_t> tokens = writer.request->tokens;
      const uint32_t length = store_->length(writer.text->sequence);
      const auto room = max_rows_ - static_cast<uint32_t>(rows_.size());
      const bool done = !writer.text->pending.empty();
      writer.reading = done ? 0 : std::min(static_cast<uint32_t>(tokens.size()) - length, room);
      for (uint32_t p = length; p < length + writer.reading; ++p) {
        const bool last = p + 1 == tokens.size();
        rows_.push_back({.token = tokens[p],
                         .sequence = writer.text->sequence,
                         .position = p,
                         .slot = p,
                         .outputs = static_cast<uint8_t>(last ? kLogits : kNoOutput)});
        if (last) outputs_.push_back(&writer);
      }
    }
    if (rows_.empty()) return read;
    runner_->run(*store_, rows_, nullptr);
    writing_->append(*runner_, outputs_);
    for (const Writer& writer : writers_) {
      // Not the last token: who is asked again before the text has grown reads it again.
      const std::span<const int32_t> tokens = writer.request->tokens;
      const uint32_t length = store_->length(writer.text->sequence);
      const bool all = writer.reading > 0 && length + writer.reading == tokens.size();
      if (all) writer.text->pending.push_back(tokens.back());
      store_->commit(writer.text->sequence, tokens.subspan(length, writer.reading - (all ? 1 : 0)));
    }
  }
}

// One token more for everybody who still writes.
void ModelDrafter::write_on() {
  rows_.clear();
  outputs_.clear();
  for (Writer& writer : writers_) {
    const int32_t token = writer.request->draft->node(static_cast<uint32_t>(writer.last)).token;
    const auto position =
        static_cast<uint32_t>(store_->length(writer.text->sequence) + writer.text->pending.size());
    rows_.push_back({.token = token,
                     .sequence = writer.text->sequence,
                     .position = position,
                     .slot = position,
                     .outputs = kLogits});
    writer.text->pending.push_back(token);
    outputs_.push_back(&writer);
  }
  runner_->run(*store_, rows_, nullptr);
  writing_->append(*runner_, outputs_);
}

}  // namespace

Result<std::unique_ptr<Drafter>> make_model_drafter(const ModelFile& file, const DrafterWorld& world) {
  auto drafter = std::make_unique<ModelDrafter>(world.ledger);
  HEADRACE_RETURN_IF_ERROR(drafter->start(file, world));
  return std::unique_ptr<Drafter>(std::move(drafter));
}

Result<DrafterBytes> model_drafter_bytes(const ModelFile& file, Backend& backend,
                                         const EngineOptions& options) {
  MemoryLedger ledger(std::numeric_limits<uint64_t>::max());
  HEADRACE_TRY(const std::unique_ptr<Model> model,
               load_model(file, backend, ledger, {.progress = {}, .cancel = nullptr, .sizes_only = true}));
  HEADRACE_TRY(const StepRunner runner, StepRunner::create(backend, *model, ledger, runner_options(options)));
  const std::vector<LayerGroup> groups(model->layer_groups().begin(), model->layer_groups().end());
  return DrafterBytes([bytes = ledger.used(), groups](const EngineOptions& considered) {
    return bytes + StateStore::bytes(groups, own_store_options(considered));
  });
}

}  // namespace headrace
