#include "models/model.h"

#include "models/gemma3.h"
#include "models/llama.h"

namespace headrace {
namespace {

struct Family {
  std::string_view architecture;
  Result<std::unique_ptr<Model>> (*load)(const GgufFile&, Backend&, MemoryLedger&, const LoadOptions&);
  Result<ModelInfo> (*describe)(const GgufFile&);
};

Result<ModelInfo> describe_llama(const GgufFile& file) {
  HEADRACE_TRY(const TransformerConfig config, read_llama_config(file));
  return model_info(file, "llama", config);
}
Result<ModelInfo> describe_gemma3(const GgufFile& file) {
  HEADRACE_TRY(const Gemma3Config config, read_gemma3_config(file));
  return model_info(file, "gemma3", config);
}

constexpr Family kFamilies[] = {
    {"llama", load_llama, describe_llama},
    {"gemma3", load_gemma3, describe_gemma3},
};

Result<const Family*> family_of(const GgufFile& file) {
  HEADRACE_TRY(const std::string_view architecture, file.string("general.architecture"));
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.architecture == architecture) return &family;
    known += known.empty() ? "" : ", ";
    known += family.architecture;
  }
  return make_error(Errc::unsupported, "{}: general.architecture '{}' is not supported (supported: {})",
                    file.name(), printable(architecture), known);
}

}  // namespace

Mat Workspace::mat(size_t rows, size_t cols) {
  HEADRACE_CHECK(used_ + rows * cols <= floats_);
  const Mat m{data_ + used_, rows, cols, cols};
  used_ += rows * cols;
  return m;
}

Result<std::unique_ptr<Model>> load_model(const GgufFile& file, Backend& backend, MemoryLedger& ledger,
                                          const LoadOptions& options) {
  HEADRACE_TRY(const Family* family, family_of(file));
  return family->load(file, backend, ledger, options);
}

Result<ModelInfo> describe_model(const GgufFile& file) {
  HEADRACE_TRY(const Family* family, family_of(file));
  return family->describe(file);
}

}  // namespace headrace
