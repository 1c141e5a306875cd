// A language model: weights on a device and a forward pass over a ragged batch. One file per architecture
// family; the engine knows only this interface.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/memory_ledger.h"
#include "core/result.h"
#include "formats/model_file.h"
#include "ops/ops.h"
#include "ops/step.h"

namespace headrace {

/// The longest context that a file or a user may ask for: positions stay exact in a float.
inline constexpr uint64_t kMaxContext = 1 << 24;

/// Layers whose state lives in the same pages, with one page table a sequence. Attention layers keep keys and
/// values; recurrent ones the state at the page's first position and what each of its tokens adds, so that
/// the state at any position can be had again (cache/state_store.h).
struct LayerGroup {
  std::string name;  // "full", "window"
  uint32_t n_layers = 0;
  uint32_t n_kv_heads = 0;
  uint32_t d_head = 0;
  uint32_t window = 0;       // a row sees the last `window` positions, its own included; 0: all
  uint32_t state_bytes = 0;  // of one recurrent layer; 0: attention
  uint32_t input_bytes = 0;  // of a recurrent layer and token
  uint32_t n_heads = 0;      // of queries; 0: no plan lets sequences share what they read

  bool recurrent() const { return state_bytes > 0; }
};

struct ModelInfo {
  std::string architecture;
  std::string name;
  uint32_t n_layers = 0;
  uint32_t d_model = 0;
  uint32_t d_ff = 0;
  uint32_t n_heads = 0;
  uint32_t n_kv_heads = 0;
  uint32_t d_head = 0;
  uint32_t vocab_size = 0;
  uint32_t context_length = 0;  // that the model was trained for
  uint64_t parameters = 0;
  uint64_t weight_bytes = 0;  // on the device
  bool tied_output = false;   // the embedding table is also the output projection
};

/// A bump allocator over the activations' buffer: matrices of one forward pass.
class Workspace {
 public:
  Workspace(float* data, size_t floats) : data_(data), floats_(floats) {}
  Mat mat(size_t rows, size_t cols);

 private:
  float* data_;
  size_t floats_;
  size_t used_ = 0;
};

class Model {
 public:
  virtual ~Model() = default;

  const ModelInfo& info() const { return info_; }
  const std::vector<LayerGroup>& layer_groups() const { return groups_; }

  /// Floats of workspace that a step of `rows` rows needs.
  virtual size_t workspace_floats(size_t rows) const = 0;

  /// Runs all layers over the step's rows and writes the normalised hidden states of its output rows:
  /// hidden [n_outputs, d_model]; undefined if step.interrupted(). Stores the rows' keys and values first,
  /// reads all keys from the cache.
  virtual void forward(const Ops& op, const Step& step, Workspace& workspace, Mat hidden) const = 0;

  /// logits [hidden.rows, vocab_size].
  virtual void logits(const Ops& op, ConstMat hidden, Mat logits) const = 0;

 protected:
  ModelInfo info_;
  std::vector<LayerGroup> groups_;
};

struct LoadOptions {
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress;  // may be empty
  const std::atomic<bool>* cancel = nullptr;                                // checked between tensors
  /// Memory is taken and matrices stay unread: for planning.
  bool sizes_only = false;
};

/// Reads the weights of `file` into the backend's memory. `backend` and `ledger` must outlive the model; the
/// file's pages are released as it goes. Fails with bad_model (the file contradicts the architecture: names
/// the tensor, expected and found), unsupported, out_of_budget (before anything is allocated) or cancelled.
Result<std::unique_ptr<Model>> load_model(const ModelFile& file, Backend& backend, MemoryLedger& ledger,
                                          const LoadOptions& options = {});

/// The same facts without loading weights.
Result<ModelInfo> describe_model(const ModelFile& file);

}  // namespace headrace
