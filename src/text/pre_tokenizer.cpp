#include "text/pre_tokenizer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/file.h"

namespace headrace {
namespace {

// White space as Unicode defines it. PCRE2's \s differs: it has U+180E besides.
#define SPACE R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})"

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^)" SPACE
                              R"(\p{L}\p{N}]+|[)" SPACE R"(]+(?![^)" SPACE R"(])|[)" SPACE R"(]+)";
constexpr const char* kOneDigit = R"(\p{N})";

// Llama 3 and Qwen 2 differ in how many digits make a word.
#define LLAMA3_UP_TO_DIGITS R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)"
#define LLAMA3_AFTER_DIGITS                                                                   \
  R"(| ?[^)" SPACE R"(\p{L}\p{N}]+[\r\n]*|[)" SPACE R"(]*[\r\n]+|[)" SPACE R"(]+(?![^)" SPACE \
  R"(])|[)" SPACE R"(]+)"
constexpr const char* kLlama3 = LLAMA3_UP_TO_DIGITS R"(\p{N}{1,3})" LLAMA3_AFTER_DIGITS;
constexpr const char* kQwen2 = LLAMA3_UP_TO_DIGITS R"(\p{N})" LLAMA3_AFTER_DIGITS;

constexpr const char* kLineEnd = R"([\r\n])";
constexpr const char* kSpaceAndLetters = "[" SPACE R"(]?\p{L}+)";
constexpr const char* kSpaceAndPunctuation = "[" SPACE R"(]?\p{P}+)";
constexpr const char* kEastAsian = R"([\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]+)";

#undef LLAMA3_AFTER_DIGITS
#undef LLAMA3_UP_TO_DIGITS
#undef SPACE

constexpr size_t kMaxPatterns = 5;

struct Known {
  std::string_view name;
  std::array<const char*, kMaxPatterns> patterns;
  bool keeps_known_words;
};

constexpr Known kKnown[] = {
    {"gpt-2", {kGpt2}, false},
    {"default", {kGpt2}, false},
    {"smollm", {kOneDigit, kGpt2}, false},
    {"starcoder", {kOneDigit, kGpt2}, false},
    {"llama-bpe", {kLlama3}, true},
    {"llama3", {kLlama3}, true},
    {"llama-v3", {kLlama3}, true},
    {"qwen2", {kQwen2}, false},
    {"deepseek-r1-qwen", {kQwen2}, false},
    {"deepseek-coder", {kLineEnd, kSpaceAndLetters, kSpaceAndPunctuation, kEastAsian, kOneDigit}, false},
};

constexpr std::string_view kNameIfNoneIsGiven = "gpt-2";

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

}  // namespace

class PreTokenizer::Pattern {
 public:
  static Result<std::shared_ptr<const Pattern>> compile(const char* source) {
    int error = 0;
    size_t offset = 0;
    auto pattern = std::make_shared<Pattern>();
    pattern->code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source), PCRE2_ZERO_TERMINATED,
                                       PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
    pattern->context_.reset(pcre2_match_context_create(nullptr));
    if (!pattern->code_ || !pattern->context_) {
      return make_error(Errc::unsupported, "PCRE2 does not compile \"{}\": error {} at {}", source, error,
                        offset);
    }
    // Without the just-in-time compiler matching is slower, and the same.
    pcre2_jit_compile(pattern->code_.get(), PCRE2_JIT_COMPLETE);
    // Each pattern takes linear time, so the limits against runaway patterns would only hit long texts.
    constexpr uint32_t kUnlimited = std::numeric_limits<uint32_t>::max();
    pcre2_set_match_limit(pattern->context_.get(), kUnlimited);
    pcre2_set_depth_limit(pattern->context_.get(), kUnlimited);
    pcre2_set_heap_limit(pattern->context_.get(), kUnlimited);
    return std::shared_ptr<const Pattern>(std::move(pattern));
  }

  /// Appends every match in `text` and every stretch between matches. What PCRE2 fails on stays one word, so
  /// that no text is lost.
  void split(std::string_view text, std::vector<std::string_view>& words) const {
    const std::unique_ptr<pcre2_match_data, Free> data(pcre2_match_data_create(1, nullptr));
    size_t at = 0;
    while (data && at < text.size() && match(text, at, data.get())) {
      const size_t* range = pcre2_get_ovector_pointer(data.get());
      if (range[0] > at) words.push_back(text.substr(at, range[0] - at));
      words.push_back(text.substr(range[0], range[1] - range[0]));
      at = range[1];
    }
    if (at < text.size()) words.push_back(text.substr(at));
  }

 private:
  bool match(std::string_view text, size_t at, pcre2_match_data* data) const {
    const auto run = [&](uint32_t options) {
      return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                         PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | options, data, context_.get());
    };
    int found = run(0);
    // The interpreter keeps its stack on the heap, so it can do what compiled code ran out of stack for.
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = run(PCRE2_NO_JIT);
    return found >= 0;
  }

  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_context, Free> context_;
};

Result<PreTokenizer> PreTokenizer::create(std::string_view name) {
  if (name.empty()) name = kNameIfNoneIsGiven;
  for (const Known& known : kKnown) {
    if (known.name != name) continue;
    PreTokenizer splitter;
    splitter.keeps_known_words_ = known.keeps_known_words;
    for (const char* source : known.patterns) {
      if (source == nullptr) break;
      HEADRACE_TRY(auto pattern, Pattern::compile(source));
      splitter.patterns_.push_back(std::move(pattern));
    }
    return splitter;
  }
  return make_error(Errc::unsupported, "tokenizer.ggml.pre: pre-tokenizer \"{}\" is not known",
                    printable(name));
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> words{text};
  for (const std::shared_ptr<const Pattern>& pattern : patterns_) {
    std::vector<std::string_view> finer;
    finer.reserve(words.size());
    for (const std::string_view word : words) pattern->split(word, finer);
    words = std::move(finer);
  }
  return words;
}

}  // namespace headrace
