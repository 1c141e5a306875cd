// A step: a flat, ragged list of rows. Prefill chunks, decode rows, verification rows and tree nodes are all
// rows; there is no padded rectangle. Plain data: the engine and cache/ build it, models pass it on.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ops/kv.h"
#include "ops/mat.h"

namespace headrace {

/// What is wanted of a row beyond its key and value; a set of bits.
enum RowOutputs : uint8_t {
  kNoOutput = 0,
  kLogits = 1,
  kArgmax = 2,
  kHidden = 4,
};

/// One token of one sequence. Several rows of a sequence may share a position (branches of a draft tree):
/// their `slot` then tells where their keys go, and `ancestors` which of the sequence's last 64 slots they
/// see.
struct Row {
  int32_t token = 0;
  uint32_t sequence = 0;
  uint32_t position = 0;
  uint32_t slot = 0;        // in the sequence's own numbering; a chain has slot == position
  uint64_t ancestors = 0;   // 0: a chain, every earlier slot is seen
  uint8_t depth_class = 0;  // which layers run (DepthPlan); 0: all
  uint8_t outputs = kNoOutput;
};

/// What the layers of one layer group read and write in a step.
struct GroupStep {
  KvView first_layer;  // layer l of the group: offsets + l * layer_bytes
  size_t layer_bytes = 0;
  const KvSlot* slots = nullptr;  // [rows], device memory
  AttentionPlan plan;

  KvView layer(size_t index, const RopeTable& rope) const {
    KvView view = first_layer;
    view.rope = rope;
    view.key_offset += index * layer_bytes;
    view.value_offset += index * layer_bytes;
    return view;
  }
};

/// The inputs of a forward pass; pointers are device memory.
struct Step {
  size_t rows = 0;
  const int32_t* tokens = nullptr;
  const uint32_t* positions = nullptr;
  std::span<const GroupStep> groups;      // as Model::layer_groups()
  const uint32_t* output_rows = nullptr;  // rows whose hidden state is wanted, ascending
  size_t n_outputs = 0;
  /// Which layers run; null: all. The others leave the residual stream as it is and store nothing.
  const std::vector<bool>* layers = nullptr;
  /// Looked at between layers, may be null: once it is true the pass ends early and its results mean nothing.
  const std::atomic<bool>* interrupt = nullptr;

  /// May be null: called with the residual stream (device memory) after each layer.
  const std::function<void(size_t layer, ConstMat x)>* after_layer = nullptr;

  void layer_done(size_t layer, ConstMat x) const {
    if (after_layer != nullptr) (*after_layer)(layer, x);
  }
  bool runs(size_t layer) const { return layers == nullptr || (*layers)[layer]; }
  bool interrupted() const { return interrupt != nullptr && interrupt->load(std::memory_order_relaxed); }
};

}  // namespace headrace
