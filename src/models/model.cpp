#include "models/model.h"

#include "core/file.h"
#include "models/checkpoint.h"
#include "models/gemma3.h"
#include "models/llama.h"

namespace headrace {
namespace {

struct Family {
  std::string_view architecture;
  Result<std::unique_ptr<Model>> (*load)(const Checkpoint&, Backend&, MemoryLedger&, const LoadOptions&);
  Result<ModelInfo> (*describe)(const Checkpoint&);
};

Result<ModelInfo> describe_llama(const Checkpoint& checkpoint) {
  HEADRACE_TRY(const LlamaConfig config, read_llama_config(checkpoint));
  return model_info(checkpoint, config);
}
Result<ModelInfo> describe_gemma3(const Checkpoint& checkpoint) {
  HEADRACE_TRY(const Gemma3Config config, read_gemma3_config(checkpoint));
  return model_info(checkpoint, config);
}

constexpr Family kFamilies[] = {
    {"llama", load_llama, describe_llama},
    {"qwen2", load_llama, describe_llama},
    {"gemma3", load_gemma3, describe_gemma3},
};

Result<const Family*> family_of(const Checkpoint& checkpoint) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.architecture == checkpoint.architecture()) return &family;
    known += known.empty() ? "" : ", ";
    known += family.architecture;
  }
  return make_error(Errc::unsupported, "{}: general.architecture '{}' is not supported (supported: {})",
                    checkpoint.name(), printable(checkpoint.architecture()), known);
}

}  // namespace

Mat Workspace::mat(size_t rows, size_t cols) {
  HEADRACE_CHECK(used_ + rows * cols <= floats_);
  const Mat m{data_ + used_, rows, cols, cols};
  used_ += rows * cols;
  return m;
}

Result<std::unique_ptr<Model>> load_model(const ModelFile& file, Backend& backend, MemoryLedger& ledger,
                                          const LoadOptions& options) {
  HEADRACE_TRY(const std::unique_ptr<Checkpoint> checkpoint, Checkpoint::of(file));
  HEADRACE_TRY(const Family* family, family_of(*checkpoint));
  return family->load(*checkpoint, backend, ledger, options);
}

Result<ModelInfo> describe_model(const ModelFile& file) {
  HEADRACE_TRY(const std::unique_ptr<Checkpoint> checkpoint, Checkpoint::of(file));
  HEADRACE_TRY(const Family* family, family_of(*checkpoint));
  return family->describe(*checkpoint);
}

}  // namespace headrace
