// Tokenizers of GGUF files: bytes become the tokenizer's keys, right and wrong, and a text to encode.
#include <algorithm>
#include <array>
#include <vector>

#include "byte_reader.h"
#include "core/utf8.h"
#include "formats/gguf.h"
#include "formats/testing/gguf_writer.h"
#include "refusal.h"
#include "text/byte_alphabet.h"
#include "text/stream_detokenizer.h"
#include "text/testing/small_vocabulary.h"
#include "text/tokenizer_gguf.h"
#include "text/vocabulary.h"

namespace headrace {
namespace {

using testing::ByteReader;
using testing::GgufWriter;
using testing::SmallVocabulary;

constexpr std::string_view kName = "fuzz.gguf";
constexpr std::array<std::string_view, 3> kModels = {"gpt2", "llama", "bert"};
constexpr std::array<std::string_view, 12> kPreTokenizers = {
    "",       "default",  "gpt-2", "smollm",           "starcoder",      "llama-bpe",
    "llama3", "llama-v3", "qwen2", "deepseek-r1-qwen", "deepseek-coder", "unknown"};
constexpr std::array<std::string_view, 12> kSpellings = {"<|im_start|>",
                                                         "<|im_end|>",
                                                         "<s>",
                                                         "</s>",
                                                         "<0x0A>",
                                                         "<0xZZ>",
                                                         "\xC4\xA0the",
                                                         "\n\n",
                                                         "  ",
                                                         "\xE2\x96\x81",
                                                         "\xE2\x96\x81\xE2\x96\x81",
                                                         "<unk>"};
constexpr size_t kMaxAddedEntries = 24;

struct Recipe {
  GgufWriter file;
  bool lossless = false;  // every text survives encoding and decoding
};

// The keys of a tokenizer; what follows in `in` is the text.
class Cook {
 public:
  explicit Cook(ByteReader& in) : in_(in) {}

  Recipe cook() {
    const std::string_view model = in_.pick<std::string_view>(kModels);
    byte_level_ = model != "llama";
    if (in_.flag()) {
      small_ = byte_level_ ? SmallVocabulary::byte_level() : SmallVocabulary::sentencepiece();
      if (!byte_level_) small_.add(std::string(kSpaceMark));  // its bytes would not decode as a space
      lossless_ = true;
    }
    small_.spec.model = byte_level_ ? TokenizerModel::byte_level_bpe : TokenizerModel::sentencepiece_bpe;
    base_ = small_.spec.tokens.size();
    for (size_t n = in_.below(kMaxAddedEntries); n > 0; --n) add_token();

    recipe_.file.add("tokenizer.ggml.model", model).add("tokenizer.ggml.tokens", small_.spec.tokens);
    std::vector<int32_t> kinds;
    for (const TokenKind kind : small_.spec.kinds) kinds.push_back(static_cast<int32_t>(kind));
    if (wanted()) recipe_.file.add("tokenizer.ggml.token_type", kinds);
    if (byte_level_) {
      recipe_.file.add("tokenizer.ggml.merges", merges());
      if (in_.flag()) recipe_.file.add("tokenizer.ggml.pre", in_.pick<std::string_view>(kPreTokenizers));
    } else {
      recipe_.file.add("tokenizer.ggml.scores", scores());
    }
    for (const char* key : {"bos", "eos", "eot", "unknown", "padding"}) add_id(key);
    for (const char* key : {"add_bos_token", "add_eos_token", "add_space_prefix"}) {
      if (in_.flag()) recipe_.file.add(std::string("tokenizer.ggml.") + key, in_.flag());
    }
    if (in_.flag()) recipe_.file.add("tokenizer.chat_template", in_.string(16));
    recipe_.lossless = lossless_;
    return std::move(recipe_);
  }

 private:
  // Most of the values that might be wrong are right, so that most recipes come far.
  bool wanted() {
    const bool wanted = (in_.byte() & 7) != 0;
    lossless_ = lossless_ && wanted;
    return wanted;
  }

  void add_token() {
    const uint8_t how = in_.byte();
    std::string spelling;
    if ((how & 3) == 0) {
      spelling = in_.pick<std::string_view>(kSpellings);
    } else if ((how & 3) == 1) {
      spelling = in_.string(20);
      lossless_ = false;
    } else if (byte_level_ && base_ > 0) {
      // Two tokens and the merge that joins them.
      const std::string left = any_token();
      const std::string right = any_token();
      small_.spec.merges.push_back(left + " " + right);
      spelling = left + right;
    } else {
      spelling = to_valid_utf8(in_.string(6));
    }
    // The order of the list lets a byte of zeros be a normal token.
    constexpr std::array kKinds = {
        TokenKind::normal, TokenKind::control, TokenKind::user_defined,   TokenKind::unknown,
        TokenKind::unused, TokenKind::byte,    static_cast<TokenKind>(0), static_cast<TokenKind>(7)};
    const TokenKind kind = kKinds[how >> 5];
    lossless_ = lossless_ && (kind == TokenKind::normal || kind == TokenKind::control);
    // Spelled twice, a token would spoil the whole vocabulary: a seldom choice.
    if ((how & 4) == 0 && std::ranges::find(small_.spec.tokens, spelling) != small_.spec.tokens.end()) return;
    small_.add(std::move(spelling), kind);
  }

  const std::string& any_token() {
    return small_.spec.tokens[in_.number<uint16_t>() % small_.spec.tokens.size()];
  }

  std::vector<std::string> merges() {
    if (!wanted()) small_.spec.merges.emplace_back(in_.string(12));
    return small_.spec.merges;
  }

  std::vector<float> scores() {
    if (!wanted()) {
      small_.spec.scores.resize(in_.below(4));
    } else if (in_.flag()) {
      for (size_t i = base_; i < small_.spec.scores.size(); ++i) small_.spec.scores[i] = in_.number<float>();
    }
    return small_.spec.scores;
  }

  void add_id(const std::string& name) {
    const uint8_t how = in_.byte() & 7;
    if (how < 4) return;
    const std::string key = "tokenizer.ggml." + name + "_token_id";
    if (how == 4) {
      recipe_.file.add(key, in_.number<int64_t>());
      lossless_ = false;
      return;
    }
    const size_t choices = small_.spec.tokens.size() - base_;
    const size_t id = choices == 0 ? 0 : base_ + in_.below(choices);
    recipe_.file.add(key, static_cast<uint32_t>(id));
    // A token of the alphabet that is made a control token is lost to text.
    lossless_ = lossless_ && choices > 0 && small_.spec.kinds[id] == TokenKind::control;
  }

  ByteReader& in_;
  SmallVocabulary small_;
  Recipe recipe_;
  bool byte_level_ = true;
  bool lossless_ = false;
  size_t base_ = 0;  // tokens that every text can be written with
};

void check_ids(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  for (const TokenId id : ids) HEADRACE_CHECK(id >= 0 && static_cast<size_t>(id) < tokenizer.vocab_size());
}

void check_decoding(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  for (const bool skip_special : {true, false}) {
    const std::string whole = tokenizer.decode(ids, skip_special);
    HEADRACE_CHECK(is_valid_utf8(whole));
    StreamDetokenizer stream(tokenizer, {.at_sequence_start = true, .skip_special = skip_special});
    std::string streamed;
    for (const TokenId id : ids) streamed += stream.push(id);
    streamed += stream.finish();
    HEADRACE_CHECK(streamed == whole);
  }
}

void check_untrusted(const Tokenizer& tokenizer, std::string_view text, bool lossless) {
  const std::vector<TokenId> ids = tokenizer.encode(text, {.special = false, .bos = false});
  check_ids(tokenizer, ids);
  for (const TokenId id : ids) HEADRACE_CHECK(!tokenizer.is_control(id));
  HEADRACE_CHECK(tokenizer.encode(std::vector<TextPiece>{{std::string(text), false}}, false) == ids);
  if (!lossless) return;
  std::string expected = to_valid_utf8(text);
  if (tokenizer.find("<0x00>")) {  // sentencepiece writes spaces as marks, so marks come back as spaces
    for (size_t at = expected.find(kSpaceMark); at != std::string::npos; at = expected.find(kSpaceMark, at)) {
      expected.replace(at, kSpaceMark.size(), " ");
    }
  }
  HEADRACE_CHECK(tokenizer.decode(ids, false) == expected);
}

void check_vocabulary(const Tokenizer& tokenizer) {
  const auto size = static_cast<TokenId>(tokenizer.vocab_size());
  for (TokenId id = 0; id < size; ++id) {
    if (!tokenizer.spelling(id).empty()) HEADRACE_CHECK(tokenizer.find(tokenizer.spelling(id)) == id);
    HEADRACE_CHECK(tokenizer.decoded_piece(id, false) == tokenizer.piece(id));
  }
  for (const TokenId id : {-1, size}) {
    HEADRACE_CHECK(tokenizer.piece(id).empty() && tokenizer.spelling(id).empty());
    HEADRACE_CHECK(tokenizer.decoded_piece(id, true).empty());
    HEADRACE_CHECK(!tokenizer.is_control(id) && !tokenizer.is_end_of_generation(id));
  }
  if (tokenizer.bos()) HEADRACE_CHECK(tokenizer.is_control(*tokenizer.bos()));
  if (tokenizer.eos()) HEADRACE_CHECK(tokenizer.is_end_of_generation(*tokenizer.eos()));
}

}  // namespace
}  // namespace headrace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headrace;
  ByteReader in(data, size);
  const Recipe recipe = Cook(in).cook();
  const std::string bytes = recipe.file.bytes();
  const auto file = GgufFile::parse(std::string(kName), testing::as_bytes(bytes));
  HEADRACE_CHECK(file);
  const auto tokenizer = load_tokenizer(*file);
  if (!tokenizer) {
    testing::check_refusal(tokenizer.error(), kName);
    return 0;
  }
  check_vocabulary(*tokenizer);
  const std::string_view text = in.rest();
  check_untrusted(*tokenizer, text, recipe.lossless);
  const std::vector<TokenId> ids = tokenizer->encode(text);
  check_ids(*tokenizer, ids);
  check_decoding(*tokenizer, ids);
  // A text that is trusted up to its middle only.
  const size_t half = complete_utf8_prefix(text.substr(0, text.size() / 2));
  const std::vector<TextPiece> pieces = {{std::string(text.substr(0, half)), true},
                                         {std::string(text.substr(half)), false}};
  check_ids(*tokenizer, tokenizer->encode(pieces, true));
  return 0;
}
