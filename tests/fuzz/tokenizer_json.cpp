// Hugging Face's tokenizer.json. An input is up to three texts with a zero byte between them: tokenizer.json,
// tokenizer_config.json, and a text to encode.
#include "text/tokenizer_json.h"

#include "core/utf8.h"
#include "refusal.h"
#include "text/stream_detokenizer.h"

namespace headrace {
namespace {

constexpr std::string_view kName = "fuzz";

std::string_view cut(std::string_view& rest) {
  const size_t end = rest.find('\0');
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {true, false}) {
    const std::vector<TokenId> ids = tokenizer.encode(text, {.special = special, .bos = false});
    for (const TokenId id : ids) {
      HEADRACE_CHECK(id >= 0 && static_cast<size_t>(id) < tokenizer.vocab_size());
      HEADRACE_CHECK(special || !tokenizer.is_control(id));
    }
    const std::string whole = tokenizer.decode(ids, false);
    HEADRACE_CHECK(is_valid_utf8(whole));
    StreamDetokenizer stream(tokenizer, {.at_sequence_start = true, .skip_special = false});
    std::string streamed;
    for (const TokenId id : ids) streamed += stream.push(id);
    streamed += stream.finish();
    HEADRACE_CHECK(streamed == whole);
  }
}

}  // namespace
}  // namespace headrace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headrace;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view tokenizer_json = cut(rest);
  const std::string_view config_json = cut(rest);
  const auto tokenizer = load_tokenizer_json(std::string(kName), tokenizer_json, config_json, "");
  if (!tokenizer) {
    testing::check_refusal(tokenizer.error(), kName);
    return 0;
  }
  check_text(*tokenizer, rest);
  return 0;
}
