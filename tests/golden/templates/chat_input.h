// A conversation as compare.py writes it down.
#pragma once

#include "text/chat_template.h"

namespace headrace::testing {

inline ChatInput chat_input(const nlohmann::ordered_json& given) {
  ChatInput input;
  input.messages = given["messages"];
  input.tools = given["tools"];
  input.add_generation_prompt = given["add_generation_prompt"];
  input.bos_token = given["bos_token"];
  input.eos_token = given["eos_token"];
  input.extra = given["extra"];
  input.now = given["now"].get<std::time_t>();
  return input;
}

}  // namespace headrace::testing
