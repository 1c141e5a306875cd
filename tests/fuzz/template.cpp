// Chat templates: an input is a template, a line of %%%%, and JSON with what the template gets to see.
#include <string>

#include "core/utf8.h"
#include "refusal.h"
#include "text/chat_template.h"
#include "text/jinja/limits.h"

namespace headrace {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kName = "fuzz";
constexpr std::string_view kSeparator = "\n%%%%\n";
constexpr std::time_t kNow = 1721800000;
// A character that stands in the values of the seeds (U+F8FF). Only an escape could write it otherwise.
constexpr std::string_view kForeign = "\xEF\xA3\xBF";

ChatInput read_input(std::string_view text) {
  ChatInput input;
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.now = kNow;
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return input;
  const auto take = [&](const char* name, Json& place) {
    const auto found = json.find(name);
    if (found == json.end()) return;
    place = std::move(*found);
    json.erase(found);
  };
  take("messages", input.messages);
  take("tools", input.tools);
  Json prompt;
  take("add_generation_prompt", prompt);
  input.add_generation_prompt = prompt != false;
  input.extra = std::move(json);
  return input;
}

void check_error(const Error& error, bool parsing) {
  HEADRACE_CHECK(error.code == Errc::unsupported || error.code == Errc::out_of_budget ||
                 error.code == (parsing ? Errc::bad_model : Errc::usage));
  HEADRACE_CHECK(testing::is_printable_text(error.message));
}

void check_pieces(const std::vector<TextPiece>& pieces, std::string_view source) {
  const bool source_is_innocent =
      source.find(kForeign) == std::string_view::npos && source.find('\\') == std::string_view::npos;
  size_t bytes = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const TextPiece& piece = pieces[i];
    HEADRACE_CHECK(!piece.text.empty() && is_valid_utf8(piece.text));
    HEADRACE_CHECK(i == 0 || piece.trusted != pieces[i - 1].trusted);
    if (piece.trusted && source_is_innocent) HEADRACE_CHECK(piece.text.find(kForeign) == std::string::npos);
    bytes += piece.text.size();
  }
  HEADRACE_CHECK(bytes <= jinja::kMaxOutputBytes);
}

}  // namespace
}  // namespace headrace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headrace;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view source = input.substr(0, input.find(kSeparator));
  const std::string_view json = input.substr(std::min(input.size(), source.size() + kSeparator.size()));
  const auto chat_template = ChatTemplate::parse(source, std::string(kName));
  if (!chat_template) {
    check_error(chat_template.error(), true);
    return 0;
  }
  const auto pieces = chat_template->render(read_input(json));
  if (!pieces) {
    check_error(pieces.error(), false);
  } else {
    check_pieces(*pieces, source);
  }
  return 0;
}
