// render_lines: renders chat templates for compare.py.
//
// Reads lines {"template": source, "inputs": [{messages, tools, add_generation_prompt, bos_token, eos_token,
// extra, now}, ...]}; writes for each a line with as many answers: {"text", "pieces": [[text, trusted], ...]}
// or
// {"error": message}.
#include <iostream>
#include <string>

#include "chat_input.h"
#include "text/chat_template.h"

namespace headrace {
namespace {

using Json = nlohmann::ordered_json;

Json render(const ChatTemplate& chat, const Json& given) {
  const auto pieces = chat.render(testing::chat_input(given));
  if (!pieces) return {{"error", pieces.error().message}};
  Json answer = {{"text", ""}, {"pieces", Json::array()}};
  std::string text;
  for (const TextPiece& piece : *pieces) {
    text += piece.text;
    answer["pieces"].push_back(Json::array({piece.text, piece.trusted}));
  }
  answer["text"] = text;
  return answer;
}

Json answers(const Json& line) {
  Json all = Json::array();
  const auto chat = ChatTemplate::parse(line["template"].get<std::string>(), "template");
  for (const Json& input : line["inputs"]) {
    all.push_back(chat ? render(*chat, input) : Json{{"error", chat.error().message}});
  }
  return all;
}

}  // namespace
}  // namespace headrace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << headrace::answers(headrace::Json::parse(line))
                     .dump(-1, ' ', false, headrace::Json::error_handler_t::replace)
              << '\n';
  }
}
