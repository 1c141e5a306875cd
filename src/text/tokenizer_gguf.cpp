#include "text/tokenizer_gguf.h"

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/file.h"
#include "formats/gguf.h"

namespace headrace {
namespace {

// Sentencepiece files of old leave these out and rely on Llama 2's values.
constexpr uint64_t kLlamaUnk = 0;
constexpr uint64_t kLlamaBos = 1;
constexpr uint64_t kLlamaEos = 2;

Result<TokenizerModel> read_model(const GgufFile& file) {
  HEADRACE_TRY(const std::string_view name, file.string("tokenizer.ggml.model"));
  if (name == "gpt2") return TokenizerModel::byte_level_bpe;
  if (name == "llama") return TokenizerModel::sentencepiece_bpe;
  return make_error(Errc::unsupported,
                    "{}: tokenizer.ggml.model \"{}\" is not supported, only gpt2 and llama are", file.name(),
                    printable(name));
}

Result<std::vector<TokenKind>> read_kinds(const GgufFile& file) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  std::vector<TokenKind> kinds;
  if (!file.has(kKey)) return kinds;
  HEADRACE_TRY(const std::vector<int64_t> numbers, file.ints(kKey));
  kinds.reserve(numbers.size());
  for (const int64_t number : numbers) {
    if (number < static_cast<int64_t>(TokenKind::normal) || number > static_cast<int64_t>(TokenKind::byte)) {
      return make_error(Errc::bad_model, "{}: {}: entry {} is {}, expected 1 to 6", file.name(), kKey,
                        kinds.size(), number);
    }
    kinds.push_back(static_cast<TokenKind>(number));
  }
  return kinds;
}

Result<std::optional<TokenId>> read_id(const GgufFile& file, std::string_view key,
                                       std::optional<uint64_t> otherwise) {
  std::optional<uint64_t> id = otherwise;
  if (file.has(key)) {
    HEADRACE_TRY(id, file.uint(key));
  }
  if (!id) return std::optional<TokenId>();
  if (*id > static_cast<uint64_t>(std::numeric_limits<TokenId>::max())) {
    return make_error(Errc::bad_model, "{}: {} is {}, too large for a token id", file.name(), key, *id);
  }
  return std::optional<TokenId>(static_cast<TokenId>(*id));
}

Result<std::vector<std::string>> read_strings(const GgufFile& file, std::string_view key) {
  HEADRACE_TRY(const std::vector<std::string_view> views, file.strings(key));
  return std::vector<std::string>(views.begin(), views.end());
}

}  // namespace

Result<Tokenizer> load_tokenizer(const GgufFile& file) {
  TokenizerSpec spec;
  HEADRACE_TRY(spec.model, read_model(file));
  const bool sentencepiece = spec.model == TokenizerModel::sentencepiece_bpe;
  HEADRACE_TRY(spec.tokens, read_strings(file, "tokenizer.ggml.tokens"));
  HEADRACE_TRY(spec.kinds, read_kinds(file));
  if (sentencepiece) {
    HEADRACE_TRY(spec.scores, file.floats("tokenizer.ggml.scores"));
  } else {
    HEADRACE_TRY(spec.merges, read_strings(file, "tokenizer.ggml.merges"));
    HEADRACE_TRY(spec.pre_tokenizer, file.string_or("tokenizer.ggml.pre", ""));
    spec.nfc = spec.pre_tokenizer == "qwen2";  // the format has no key for it
  }
  const auto if_llama = [&](uint64_t id) {
    return sentencepiece ? std::optional<uint64_t>(id) : std::nullopt;
  };
  HEADRACE_TRY(spec.bos, read_id(file, "tokenizer.ggml.bos_token_id", if_llama(kLlamaBos)));
  HEADRACE_TRY(spec.eos, read_id(file, "tokenizer.ggml.eos_token_id", if_llama(kLlamaEos)));
  HEADRACE_TRY(spec.eot, read_id(file, "tokenizer.ggml.eot_token_id", std::nullopt));
  HEADRACE_TRY(spec.unk, read_id(file, "tokenizer.ggml.unknown_token_id", if_llama(kLlamaUnk)));
  HEADRACE_TRY(spec.pad, read_id(file, "tokenizer.ggml.padding_token_id", std::nullopt));
  // Llama 3 files from before the flag existed want the token, too.
  const bool add_bos = sentencepiece || spec.pre_tokenizer == "llama-bpe";
  HEADRACE_TRY(spec.add_bos, file.boolean_or("tokenizer.ggml.add_bos_token", add_bos));
  HEADRACE_TRY(spec.add_eos, file.boolean_or("tokenizer.ggml.add_eos_token", false));
  HEADRACE_TRY(spec.strips_leading_space, file.boolean_or("tokenizer.ggml.add_space_prefix", sentencepiece));
  spec.strips_leading_space = spec.strips_leading_space && sentencepiece;
  if (spec.strips_leading_space) spec.space_prefix = SpacePrefix::always;
  HEADRACE_TRY(spec.chat_template, file.string_or("tokenizer.chat_template", ""));

  Result<Tokenizer> tokenizer = Tokenizer::create(std::move(spec));
  if (!tokenizer) return std::move(tokenizer).error().in(file.name());
  return tokenizer;
}

}  // namespace headrace
