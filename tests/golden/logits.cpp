#include "logits.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "cache/state_store.h"
#include "formats/safetensors.h"
#include "models/model.h"
#include "ops/cpu/cpu_backend.h"

namespace headrace::golden {
namespace {

constexpr uint64_t kMemory = uint64_t{1} << 30;

// One sequence that is computed chunk by chunk.
class Sequence {
 public:
  Sequence(Backend& backend, MemoryLedger& ledger, const Model& model, size_t tokens, size_t chunk)
      : backend_(backend), model_(model), ops_(backend, ActivationNumerics::f32) {
    const ModelInfo& info = model.info();
    const auto rows = static_cast<uint32_t>(chunk);
    const StateStoreOptions options = {.format = {.key_type = DType::F32, .value_type = DType::F32},
                                       .sequences = 1,
                                       .context = static_cast<uint32_t>(tokens),
                                       .max_rows = rows};
    const uint32_t widest = std::max({info.d_model, info.d_ff, info.n_heads * info.d_head});
    const Status prepared = backend.prepare(ledger, {rows, widest, info.d_head});
    HEADRACE_CHECK(static_cast<bool>(prepared));
    cache_ = StateStore::create(backend, ledger, model.layer_groups(), options).value();
    floats_ = model.workspace_floats(chunk);
    const size_t bytes = (floats_ + chunk * (info.d_model + info.vocab_size)) * sizeof(float);
    activations_ = backend.allocate(ledger, MemoryUse::activations, bytes, "activations").value();
    inputs_ =
        backend.allocate(ledger, MemoryUse::activations, 3 * chunk * sizeof(uint32_t), "inputs").value();
    id_ = cache_->open(0, {});
  }

  // The logits of the next tokens; `numbers` is 0, 1, 2 ...
  void step(std::span<const int32_t> tokens, std::span<const uint32_t> numbers, std::span<float> logits) {
    const uint32_t begin = cache_->length(id_);
    const size_t n = tokens.size();
    HEADRACE_CHECK(cache_->reserve(id_, begin + static_cast<uint32_t>(n)));
    std::vector<Row> rows;
    std::vector<uint32_t> positions;
    for (const uint32_t i : numbers) {
      positions.push_back(begin + i);
      rows.push_back({.token = tokens[i],
                      .sequence = id_,
                      .position = begin + i,
                      .slot = begin + i,
                      .outputs = kLogits});
    }
    const size_t bytes = n * sizeof(uint32_t);
    backend_.upload(inputs_.data(), tokens.data(), bytes);
    backend_.upload(inputs_.data() + bytes, positions.data(), bytes);
    backend_.upload(inputs_.data() + 2 * bytes, numbers.data(), bytes);
    const Step step = {.rows = n,
                       .tokens = inputs_.as<int32_t>(),
                       .positions = inputs_.as<uint32_t>(bytes),
                       .groups = cache_->plan(rows),
                       .output_rows = inputs_.as<uint32_t>(2 * bytes),
                       .n_outputs = n};
    const ModelInfo& info = model_.info();
    float* floats = activations_.as<float>();
    const Mat hidden = {floats + floats_, n, info.d_model, info.d_model};
    const Mat out = {floats + floats_ + n * info.d_model, n, info.vocab_size, info.vocab_size};
    Workspace workspace(floats, floats_);
    model_.forward(ops_, step, workspace, hidden);
    model_.logits(ops_, hidden, out);
    backend_.download(logits.data(), out.data, logits.size_bytes());
    cache_->commit(id_, tokens);
  }

 private:
  Backend& backend_;
  const Model& model_;
  Ops ops_;
  std::optional<StateStore> cache_;
  DeviceBuffer activations_;
  DeviceBuffer inputs_;
  size_t floats_ = 0;
  SequenceId id_ = 0;
};

}  // namespace

Result<std::vector<float>> all_logits(const ModelFile& file, std::span<const int32_t> tokens, size_t chunk) {
  MemoryLedger ledger(kMemory);
  const std::unique_ptr<Backend> backend = make_cpu_backend(cpu::choose_tier("").value(), 1);
  HEADRACE_TRY(const std::unique_ptr<Model> model, load_model(file, *backend, ledger));
  const size_t vocab = model->info().vocab_size;
  for (const int32_t token : tokens) {
    if (static_cast<size_t>(token) >= vocab) return make_error(Errc::usage, "token {} of {}", token, vocab);
  }
  std::vector<float> logits(tokens.size() * vocab);
  std::vector<uint32_t> numbers(chunk);
  for (uint32_t i = 0; i < chunk; ++i) numbers[i] = i;
  Sequence sequence(*backend, ledger, *model, tokens.size(), chunk);
  for (size_t first = 0; first < tokens.size(); first += chunk) {
    const size_t n = std::min(chunk, tokens.size() - first);
    sequence.step(tokens.subspan(first, n), std::span(numbers).first(n),
                  std::span(logits).subspan(first * vocab, n * vocab));
  }
  return logits;
}

std::filesystem::path checkpoints_folder() {
  return std::filesystem::path(HEADRACE_GOLDEN) / "models";
}

std::vector<std::string> checkpoint_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoints_folder())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

Golden read_golden(const std::string& checkpoint) {
  const SafetensorsFile file =
      SafetensorsFile::open(checkpoints_folder() / checkpoint / "golden.safetensors").value();
  Golden golden;
  std::istringstream tokens(file.metadata().at("tokens"));
  for (int32_t token = 0; tokens >> token;) golden.tokens.push_back(token);
  const FileTensor* logits = file.find_tensor("logits");
  HEADRACE_CHECK(logits != nullptr && logits->type == DType::F32 && logits->rows() == golden.tokens.size());
  golden.logits.resize(logits->data.size() / sizeof(float));
  std::memcpy(golden.logits.data(), logits->data.data(), logits->data.size());
  double sum = 0;
  double squares = 0;
  for (const float l : golden.logits) {
    sum += l;
    squares += double{l} * l;
  }
  const auto n = static_cast<double>(golden.logits.size());
  golden.deviation = std::sqrt(squares / n - sum / n * (sum / n));
  return golden;
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  HEADRACE_CHECK(in.good());
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  HEADRACE_CHECK(a.size() == b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a[i]} - double{b[i]});
    if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

}  // namespace headrace::golden
