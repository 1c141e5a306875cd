#include "engine/self_drafter.h"

#include <algorithm>
#include <chrono>

#include "cache/state_store.h"
#include "engine/draft_writing.h"

namespace headrace {
namespace {

class SelfDrafter final : public Drafter {
 public:
  SelfDrafter(const std::vector<bool>& layers, const DrafterWorld& world)
      : layers_(layers),
        store_(*world.store),
        runner_(world.runner),
        writing_(world.options.context, world.draws) {
    const uint32_t sequences = world.options.sequences;
    drafts_.reserve(sequences);
    outputs_.reserve(sequences);
    rows_.reserve(sequences);
  }

  std::string_view name() const override { return "self"; }
  double seconds_per_token() const override { return writing_.seconds_per_token(); }

  void propose(std::span<const DraftRequest> requests) override {
    drafts_.clear();
    for (const DraftRequest& request : requests) {
      const auto rows = static_cast<uint32_t>(request.tokens.size()) + request.most - 1;
      if (request.most > 0 && store_.reserve(request.state, rows)) drafts_.push_back({&request});
    }
    for (uint32_t depth = 0; !drafts_.empty(); ++depth) {
      const auto begin = std::chrono::steady_clock::now();
      write_on(depth);
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
      writing_.took(passed.count());
      std::erase_if(drafts_, [](const DraftInWriting& draft) { return !draft.goes_on(); });
    }
    // The step that checks them takes pages as its plan says.
    for (const DraftRequest& request : requests) store_.trim(request.state);
  }

 private:
  void write_on(uint32_t depth) {
    rows_.clear();
    outputs_.clear();
    for (DraftInWriting& draft : drafts_) {
      const DraftRequest& request = *draft.request;
      const auto position = static_cast<uint32_t>(request.tokens.size()) - 1 + depth;
      const int32_t token = draft.last == Draft::kText
                                ? request.tokens.back()
                                : request.draft->node(static_cast<uint32_t>(draft.last)).token;
      rows_.push_back({.token = token,
                       .sequence = request.state,
                       .position = position,
                       .slot = position,
                       .outputs = kLogits});
      outputs_.push_back(&draft);
    }
    runner_.run(store_, rows_, nullptr, &layers_);
    writing_.append(runner_, outputs_);
  }

  std::vector<bool> layers_;
  StateStore& store_;
  StepRunner& runner_;
  DraftWriting writing_;
  std::vector<DraftInWriting> drafts_;
  std::vector<DraftInWriting*> outputs_;
  std::vector<Row> rows_;
};

}  // namespace

Result<std::unique_ptr<Drafter>> make_self_drafter(const std::vector<bool>& layers,
                                                   const DrafterWorld& world) {
  if (world.store == nullptr)
    return make_error(Errc::unsupported, "self-speculation needs the engine's own cache");
  if (layers.size() != world.model.info().n_layers || !layers.front()) {
    return make_error(Errc::usage,
                      "self-speculation: expected a choice of {} layers with the first among them",
                      world.model.info().n_layers);
  }
  return std::unique_ptr<Drafter>(std::make_unique<SelfDrafter>(layers, world));
}

}  // namespace headrace
