#include "engine/row_observer.h"

#include <algorithm>

namespace headrace {

RowObserver::RowObserver(LayerObserver* observer, Backend& backend, const Model& model, size_t rows,
                         size_t draft_rows)
    : observer_(observer), backend_(backend), layers_(model.info().n_layers), width_(model.info().d_model) {
  if (observer_ == nullptr) return;
  after_layer_ = [this](size_t layer, ConstMat x) { see(layer, x); };
  rows_.reserve(rows);
  hidden_.resize(width_);
  kept_.resize(draft_rows * layers_ * width_);
}

void RowObserver::begin_step() {
  rows_.clear();
  draft_rows_ = 0;
}

void RowObserver::add_row(const Choice& choice, uint32_t position, int32_t node) {
  if (observer_ == nullptr) return;
  rows_.push_back({&choice, position, node, draft_rows_});
  if (node != Draft::kText) ++draft_rows_;
}

std::span<float> RowObserver::kept(const Seen& row, size_t layer) {
  return std::span(kept_).subspan((row.draft_row * layers_ + layer) * width_, width_);
}

void RowObserver::see(size_t layer, ConstMat x) {
  for (size_t r = 0; r < rows_.size(); ++r) {
    const Seen& row = rows_[r];
    if (!observer_->wants(row.choice->request)) continue;
    const bool draft = row.node != Draft::kText;
    const std::span<float> into = draft ? kept(row, layer) : std::span(hidden_);
    backend_.download(into.data(), x.row(r), into.size_bytes());
    if (draft) continue;
    observer_->see(row.choice->request, row.choice->number, row.position, static_cast<uint32_t>(layer), into);
  }
}

void RowObserver::finish_step(const Speculation& speculation) {
  if (draft_rows_ == 0) return;
  for (const Seen& row : rows_) {
    if (row.node == Draft::kText || !observer_->wants(row.choice->request)) continue;
    const std::span<const uint32_t> path = speculation.accepted(*row.choice);
    const bool right = std::ranges::find(path, static_cast<uint32_t>(row.node)) != path.end();
    // The last token of a text is never computed.
    if (!right || row.position + 1 >= row.choice->tokens.size()) continue;
    for (size_t layer = 0; layer < layers_; ++layer) {
      observer_->see(row.choice->request, row.choice->number, row.position, static_cast<uint32_t>(layer),
                     kept(row, layer));
    }
  }
}

}  // namespace headrace
