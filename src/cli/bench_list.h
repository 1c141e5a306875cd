// Lists of numbers as llama-bench takes them: "128,512", "1-4", "128-1024+128", "1-64*2".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "core/result.h"

namespace headrace::cli {

/// More numbers than anybody can wait for are a slip.
inline constexpr size_t kMaxListNumbers = 1024;

/// The numbers of `text`, in its order; each within [low, high]. Fails with usage.
Result<std::vector<uint32_t>> parse_numbers(std::string_view text, uint32_t low, uint32_t high);

/// A flag with such a list; when it is repeated, the lists are joined.
CLI::Option* add_numbers(CLI::App& app, const std::string& names, std::vector<uint32_t>& numbers,
                         uint32_t low, uint32_t high, const std::string& help);

/// "512,128": how many tokens of a prompt, and how many that follow.
struct PromptAndAnswer {
  uint32_t prompt = 0;
  uint32_t answer = 0;

  friend bool operator==(const PromptAndAnswer&, const PromptAndAnswer&) = default;
};
Result<PromptAndAnswer> parse_prompt_and_answer(std::string_view text, uint32_t high);

}  // namespace headrace::cli
