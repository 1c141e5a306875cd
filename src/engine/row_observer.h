// Brings hidden states to a LayerObserver: those of rows that are part of a text while the layers run, those
// of a draft's rows once they have turned out right.
#pragma once

#include <functional>
#include <vector>

#include "engine/speculation.h"
#include "models/model.h"

namespace headrace {

class RowObserver {
 public:
  /// Nothing happens where `observer` is null. Room for steps of `rows` rows, `draft_rows` of them of drafts.
  /// All arguments outlive it.
  RowObserver(LayerObserver* observer, Backend& backend, const Model& model, size_t rows, size_t draft_rows);

  /// For StepRunner::run(); null where nobody looks.
  const std::function<void(size_t layer, ConstMat x)>* after_layer() const {
    return observer_ == nullptr ? nullptr : &after_layer_;
  }
  void begin_step();
  /// The step's next row; `node` of the choice's draft, or Draft::kText.
  void add_row(const Choice& choice, uint32_t position, int32_t node);
  /// Drafts have been checked.
  void finish_step(const Speculation& speculation);

 private:
  struct Seen {
    const Choice* choice;
    uint32_t position;
    int32_t node;
    size_t draft_row;  // of kept_, if a node
  };
  void see(size_t layer, ConstMat x);
  std::span<float> kept(const Seen& row, size_t layer);

  LayerObserver* observer_;
  Backend& backend_;
  size_t layers_;
  size_t width_;
  std::function<void(size_t layer, ConstMat x)> after_layer_;
  std::vector<Seen> rows_;
  size_t draft_rows_ = 0;
  std::vector<float> hidden_;  // of a row
  std::vector<float> kept_;    // [draft rows][layers][d_model]
};

}  // namespace headrace
