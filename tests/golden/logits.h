// All logits of a model over a text, and the committed checkpoints that they are compared on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "formats/model_file.h"

namespace headrace::golden {

/// Logits [tokens][vocabulary] of one sequence that runs in steps of `chunk` rows, with float activations and
/// float keys and values. Fails as load_model() does.
Result<std::vector<float>> all_logits(const ModelFile& file, std::span<const int32_t> tokens, size_t chunk);

/// tests/golden/models/, from the source tree.
std::filesystem::path checkpoints_folder();
/// Its folders, sorted.
std::vector<std::string> checkpoint_names();

/// What Hugging Face's transformers computed (make.py).
struct Golden {
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens][vocabulary]
  double deviation = 0;       // standard, of all logits
};
Golden read_golden(const std::string& checkpoint);

/// A file's bytes.
std::string slurp(const std::filesystem::path& path);

/// The largest |a - b|; infinity if one is not finite.
double largest_difference(std::span<const float> a, std::span<const float> b);

}  // namespace headrace::golden
