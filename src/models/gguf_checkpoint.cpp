#include "models/gguf_checkpoint.h"

namespace headrace {
namespace {

class GgufCheckpoint final : public Checkpoint {
 public:
  GgufCheckpoint(const GgufFile& file, std::string_view architecture)
      : file_(file), architecture_(architecture), prefix_(architecture_ + ".") {}

  const std::string& name() const override { return file_.name(); }
  std::string_view architecture() const override { return architecture_; }
  std::string title() const override {
    const auto title = file_.string_or("general.name", "");
    return title ? std::string(*title) : std::string();
  }

  bool has(std::string_view key) const override { return file_.has(label(key)); }
  bool is_array(std::string_view key) const override {
    const GgufValue* value = file_.find(label(key));
    return value != nullptr && value->is_array;
  }
  Result<uint64_t> uint(std::string_view key) const override { return file_.uint(label(key)); }
  Result<double> number(std::string_view key) const override { return file_.number(label(key)); }
  Result<bool> boolean(std::string_view key) const override { return file_.boolean(label(key)); }
  Result<std::string> string(std::string_view key) const override {
    HEADRACE_TRY(const std::string_view text, file_.string(label(key)));
    return std::string(text);
  }
  Result<std::vector<int64_t>> ints(std::string_view key) const override { return file_.ints(label(key)); }
  Result<std::vector<std::string>> strings(std::string_view key) const override {
    HEADRACE_TRY(const std::vector<std::string_view> texts, file_.strings(label(key)));
    return std::vector<std::string>(texts.begin(), texts.end());
  }
  std::string label(std::string_view key) const override { return prefix_ + std::string(key); }

  const std::vector<FileTensor>& tensors() const override { return file_.tensors(); }
  const FileTensor* find_tensor(std::string_view name) const override { return file_.find_tensor(name); }
  std::string tensor_label(std::string_view name) const override { return std::string(name); }
  std::string shape_label(std::span<const uint64_t> dims) const override {
    return fmt::format("[{}]", fmt::join(dims, ", "));
  }
  bool is_ignored(const FileTensor&) const override { return false; }
  void drop(const FileTensor& tensor) const override { file_.drop(tensor); }

  bool tied_output() const override { return find_tensor("output.weight") == nullptr; }
  bool rope_neighbours() const override { return architecture_ == "llama"; }
  float norm_offset() const override { return 0; }

 private:
  const GgufFile& file_;
  std::string architecture_;
  std::string prefix_;
};

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_gguf_checkpoint(const GgufFile& file) {
  HEADRACE_TRY(const std::string_view architecture, file.string("general.architecture"));
  return std::unique_ptr<Checkpoint>(std::make_unique<GgufCheckpoint>(file, architecture));
}

}  // namespace headrace
