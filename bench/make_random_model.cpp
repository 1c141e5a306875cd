// make_random_model OUT.gguf --type Q4_K: a Llama model with random weights in the shape of a real one, for
// measuring speed. Headrace and llama.cpp both read it. The same options make the same bytes.
//
// The default shape is that of Llama 3.2 1B, but for a vocabulary of 49,152. As llama-quantize does it, the
// matrix that makes logits is Q6_K in files of 4 and 5 bits; with tied output that is the embedding, too.
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include <CLI/CLI.hpp>

#include "core/checked.h"
#include "core/file.h"
#include "core/threads.h"
#include "tiny_model.h"
#include "tiny_weights.h"

namespace headrace::bench {
namespace {

using testing::GgufWriter;
using testing::TinyRandom;

constexpr uint64_t kAlignment = 32;
constexpr uint64_t kChunkBytes = 1 << 20;  // what one thread makes at a time
constexpr size_t kChunksAtOnce = 32;

struct Options {
  std::string path;
  std::string type_name;
  DType type = DType::Q8_0;
  uint32_t layers = 16;
  uint32_t width = 2048;
  uint32_t ffn = 8192;
  uint32_t heads = 32;
  uint32_t kv_heads = 8;
  uint32_t head_dim = 64;
  uint32_t vocab = 49152;
  uint32_t context = 8192;
  float rope_base = 500000.0F;
  bool untied = false;
  uint64_t seed = 1;
  size_t threads = default_thread_count();
};

struct Tensor {
  std::string name;
  DType type;
  uint64_t k;     // length of a row
  uint64_t rows;  // 0: a vector of ones, as norms have

  uint64_t row_bytes() const { return bytes_of(type, k).value(); }
  uint64_t bytes() const { return row_bytes() * std::max<uint64_t>(rows, 1); }
  std::vector<uint64_t> dims() const {
    return rows == 0 ? std::vector<uint64_t>{k} : std::vector<uint64_t>{k, rows};
  }
};

// llama.cpp's number for "a file mostly of this type"; llama-bench prints its name.
uint32_t file_type(DType type) {
  switch (type) {
    case DType::F32:
      return 0;
    case DType::F16:
      return 1;
    case DType::Q4_0:
      return 2;
    case DType::Q4_1:
      return 3;
    case DType::Q8_0:
      return 7;
    case DType::Q5_0:
      return 8;
    case DType::Q4_K:
      return 14;
    case DType::Q5_K:
      return 16;
    case DType::Q6_K:
      return 18;
    case DType::BF16:
      return 32;
  }
  panic("no such type", __FILE__, __LINE__);
}

DType logits_type(const Options& options) {
  const bool few_bits = info_of(options.type).quantised && options.type != DType::Q8_0;
  return few_bits && options.width % info_of(DType::Q6_K).block_elements == 0 ? DType::Q6_K : options.type;
}

Status check(const Options& options) {
  const uint64_t block = info_of(options.type).block_elements;
  for (const auto& [flag, k] : {std::pair{"--width", options.width}, std::pair{"--ffn", options.ffn},
                                std::pair{"--heads times --head-dim", options.heads * options.head_dim}}) {
    if (k % block != 0) {
      return make_error(Errc::usage, "{} is {}, but {} comes in blocks of {}", flag, k, name_of(options.type),
                        block);
    }
  }
  if (options.heads % options.kv_heads != 0) {
    return make_error(Errc::usage, "--heads {} is no multiple of --kv-heads {}", options.heads,
                      options.kv_heads);
  }
  if (options.head_dim % 2 != 0) {
    return make_error(Errc::usage, "--head-dim {} is odd; RoPE turns pairs", options.head_dim);
  }
  return {};
}

std::vector<Tensor> tensors_of(const Options& options) {
  const DType type = options.type;
  const uint64_t width = options.width;
  const uint64_t q_rows = uint64_t{options.heads} * options.head_dim;
  const uint64_t kv_rows = uint64_t{options.kv_heads} * options.head_dim;
  std::vector<Tensor> tensors;
  tensors.push_back(
      {"token_embd.weight", options.untied ? type : logits_type(options), width, options.vocab});
  for (uint32_t l = 0; l < options.layers; ++l) {
    const std::string layer = fmt::format("blk.{}.", l);
    tensors.push_back({layer + "attn_norm.weight", DType::F32, width, 0});
    tensors.push_back({layer + "attn_q.weight", type, width, q_rows});
    tensors.push_back({layer + "attn_k.weight", type, width, kv_rows});
    tensors.push_back({layer + "attn_v.weight", type, width, kv_rows});
    tensors.push_back({layer + "attn_output.weight", type, q_rows, width});
    tensors.push_back({layer + "ffn_norm.weight", DType::F32, width, 0});
    tensors.push_back({layer + "ffn_gate.weight", type, width, options.ffn});
    tensors.push_back({layer + "ffn_up.weight", type, width, options.ffn});
    tensors.push_back({layer + "ffn_down.weight", type, options.ffn, width});
  }
  tensors.push_back({"output_norm.weight", DType::F32, width, 0});
  if (options.untied) tensors.push_back({"output.weight", logits_type(options), width, options.vocab});
  return tensors;
}

// Every token but the bytes and three special ones is a pair of bytes.
std::vector<std::string> merges_for(uint32_t vocab) {
  std::vector<std::string> merges;
  for (uint32_t i = 0; i < vocab - testing::kTokensBesidesMerges; ++i) {
    merges.push_back(testing::byte_character(i / 256) + " " + testing::byte_character(i % 256));
  }
  return merges;
}

// Everything before the first tensor's bytes.
std::string head_of(const Options& options, const std::vector<Tensor>& tensors) {
  GgufWriter file;
  file.add("general.architecture", "llama")
      .add("general.name", fmt::format("Random {}", name_of(options.type)))
      .add("general.file_type", file_type(options.type))
      .add("llama.block_count", options.layers)
      .add("llama.context_length", options.context)
      .add("llama.embedding_length", options.width)
      .add("llama.feed_forward_length", options.ffn)
      .add("llama.attention.head_count", options.heads)
      .add("llama.attention.head_count_kv", options.kv_heads)
      .add("llama.attention.key_length", options.head_dim)
      .add("llama.attention.value_length", options.head_dim)
      .add("llama.attention.layer_norm_rms_epsilon", 1e-5F)
      .add("llama.vocab_size", options.vocab)
      .add("llama.rope.dimension_count", options.head_dim)
      .add("llama.rope.freq_base", options.rope_base);
  testing::add_byte_level_tokenizer(file, merges_for(options.vocab));
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    file.tensor_raw(tensor.name, info_of(tensor.type).gguf_type, tensor.dims(), {}, offset);
    offset = round_up(offset + tensor.bytes(), kAlignment);
  }
  std::string head = file.bytes();
  head.resize(round_up(head.size(), kAlignment));
  return head;
}

// A file that appears under its name only when it is whole.
class OutputFile {
 public:
  explicit OutputFile(std::string path) : path_(std::move(path)), file_(std::fopen(part().c_str(), "wb")) {}
  ~OutputFile() {
    if (file_ == nullptr) return;
    std::fclose(file_);
    std::remove(part().c_str());
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  Status append(const std::string& bytes) {
    if (file_ == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size())
      return failure();
    return {};
  }
  Status finish() {
    const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
    if (closed && std::rename(part().c_str(), path_.c_str()) == 0) return {};
    const Status status = failure();
    std::remove(part().c_str());
    return status;
  }

 private:
  std::string part() const { return path_ + ".part"; }
  Status failure() const {
    return make_error(Errc::io, "{} cannot be written: {}", path_, std::strerror(errno));
  }

  std::string path_;
  std::FILE* file_;
};

Status append_matrix(OutputFile& file, const Tensor& tensor, TinyRandom& seeds, ThreadPool& pool) {
  // So that neither activations nor logits vanish or explode.
  const double deviation = 1.0 / std::sqrt(static_cast<double>(tensor.k));
  const uint64_t chunk_rows = std::max<uint64_t>(1, kChunkBytes / tensor.row_bytes());
  std::vector<std::string> chunks(kChunksAtOnce);
  for (uint64_t first = 0; first < tensor.rows; first += kChunksAtOnce * chunk_rows) {
    const uint64_t rows_at_once = std::min(tensor.rows - first, kChunksAtOnce * chunk_rows);
    const size_t n_chunks = ceil_div(rows_at_once, chunk_rows);
    std::vector<uint64_t> chunk_seeds(n_chunks);  // a chunk's own, so that threads don't change the bytes
    for (uint64_t& seed : chunk_seeds) seed = seeds.bits();
    pool.parallel_for(n_chunks, [&](size_t i, size_t) {
      TinyRandom random(chunk_seeds[i]);
      const uint64_t rows = std::min(chunk_rows, rows_at_once - i * chunk_rows);
      chunks[i] = testing::random_tensor(random, tensor.type, rows, tensor.k, deviation);
    });
    for (size_t i = 0; i < n_chunks; ++i) HEADRACE_RETURN_IF_ERROR(file.append(chunks[i]));
  }
  return {};
}

Status make(const Options& options) {
  HEADRACE_RETURN_IF_ERROR(check(options));
  const std::vector<Tensor> tensors = tensors_of(options);
  ThreadPool pool(options.threads);
  TinyRandom seeds(options.seed);
  OutputFile file(options.path);
  HEADRACE_RETURN_IF_ERROR(file.append(head_of(options, tensors)));
  uint64_t total = 0;
  for (const Tensor& tensor : tensors) {
    if (tensor.rows == 0) {
      HEADRACE_RETURN_IF_ERROR(file.append(testing::bytes_of_values(std::vector<float>(tensor.k, 1.0F))));
    } else {
      HEADRACE_RETURN_IF_ERROR(append_matrix(file, tensor, seeds, pool));
    }
    const uint64_t padding = round_up(tensor.bytes(), kAlignment) - tensor.bytes();
    HEADRACE_RETURN_IF_ERROR(file.append(std::string(padding, '\0')));
    total += tensor.bytes();
  }
  HEADRACE_RETURN_IF_ERROR(file.finish());
  fmt::print("{}: {}, logits {}, {} of weights\n", options.path, name_of(options.type),
             name_of(logits_type(options)), human_bytes(total));
  return {};
}

std::string known_types() {
  std::string names;
  for (size_t i = 0; i < kDTypes; ++i) names += fmt::format(" {}", name_of(static_cast<DType>(i)));
  return names;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Writes a Llama model with random weights, for measuring speed.", "make_random_model");
  app.add_option("out", options.path, "The file to write")->required();
  app.add_option("--type", options.type_name, "Of the matrices:" + known_types())->required();
  const CLI::Range size(1, 1 << 20);
  app.add_option("--layers", options.layers)->check(size)->capture_default_str();
  app.add_option("--width", options.width, "Of the residual stream")->check(size)->capture_default_str();
  app.add_option("--ffn", options.ffn, "Width between the matrices of the MLP")
      ->check(size)
      ->capture_default_str();
  app.add_option("--heads", options.heads)->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--kv-heads", options.kv_heads)->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--head-dim", options.head_dim)->check(CLI::Range(2, 1024))->capture_default_str();
  const auto fewest = static_cast<int>(testing::kTokensBesidesMerges);
  app.add_option("--vocab", options.vocab)->check(CLI::Range(fewest, fewest + 65536))->capture_default_str();
  app.add_option("--context", options.context)->check(CLI::Range(1, 1 << 24))->capture_default_str();
  app.add_option("--rope-base", options.rope_base)->capture_default_str();
  app.add_flag("--untied", options.untied, "Logits have a matrix of their own, not the embedding's");
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 1024))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const std::optional<DType> type = dtype_from_name(options.type_name);
  if (!type) {
    fmt::print(stderr, "make_random_model: --type {} is none of{}\n", printable(options.type_name),
               known_types());
    return 2;
  }
  options.type = *type;
  const Status made = make(options);
  if (made) return 0;
  fmt::print(stderr, "make_random_model: {}\n", made.error().message);
  return made.error().code == Errc::usage ? 2 : 1;
}

}  // namespace
}  // namespace headrace::bench

int main(int argc, char** argv) {
  return headrace::bench::run(argc, argv);
}
