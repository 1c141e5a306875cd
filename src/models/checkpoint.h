// One vocabulary for the facts and tensors of a model, whichever files it comes in: that of GGUF, without the
// architecture in front ("attention.head_count", "blk.0.attn_q.weight"). Messages speak the files' own
// language.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "formats/model_file.h"

namespace headrace {

/// Reading from several threads is safe. Messages begin with name().
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  /// A view of `file`, which must outlive it. Fails with bad_model or unsupported if the file does not say
  /// what it is, or is nothing that this program knows.
  static Result<std::unique_ptr<Checkpoint>> of(const ModelFile& file);

  virtual const std::string& name() const = 0;
  /// "llama", "qwen2", "gemma3": GGUF's names.
  virtual std::string_view architecture() const = 0;
  /// What people call it; may be empty, may be no UTF-8.
  virtual std::string title() const = 0;

  // Facts. A key that is missing, of another kind or (numbers) not finite is bad_model.
  virtual bool has(std::string_view key) const = 0;
  virtual bool is_array(std::string_view key) const = 0;
  virtual Result<uint64_t> uint(std::string_view key) const = 0;
  virtual Result<double> number(std::string_view key) const = 0;
  virtual Result<bool> boolean(std::string_view key) const = 0;
  virtual Result<std::string> string(std::string_view key) const = 0;
  virtual Result<std::vector<int64_t>> ints(std::string_view key) const = 0;
  virtual Result<std::vector<std::string>> strings(std::string_view key) const = 0;
  /// The key as the file spells it, for messages: "llama.rope.freq_base", "config.json: rope_theta".
  virtual std::string label(std::string_view key) const = 0;

  Result<uint64_t> uint_or(std::string_view key, uint64_t otherwise) const;
  Result<double> number_or(std::string_view key, double otherwise) const;
  Result<bool> boolean_or(std::string_view key, bool otherwise) const;
  Result<std::string> string_or(std::string_view key, std::string_view otherwise) const;

  // Tensors.
  virtual const std::vector<FileTensor>& tensors() const = 0;
  /// nullptr if there is none.
  virtual const FileTensor* find_tensor(std::string_view name) const = 0;
  /// The name as the file spells it: "model.layers.0.self_attn.q_proj.weight".
  virtual std::string tensor_label(std::string_view name) const = 0;
  /// [n][k] as the file writes shapes.
  virtual std::string shape_label(std::span<const uint64_t> dims) const = 0;
  /// True for a tensor of the file that no computation of this architecture reads.
  virtual bool is_ignored(const FileTensor& tensor) const = 0;
  /// Tells the system that this tensor's bytes will not be read again soon.
  virtual void drop(const FileTensor& tensor) const = 0;

  // Conventions in which files differ.
  /// True if the embedding table is also the output projection.
  virtual bool tied_output() const = 0;
  /// True if rows of query and key weights are permuted so that RoPE turns neighbours, not halves.
  virtual bool rope_neighbours() const = 0;
  /// What is missing in the weights of Gemma's norms: Hugging Face stores them less one.
  virtual float norm_offset() const = 0;
};

}  // namespace headrace
