#include "cli/bench_list.h"

#include <algorithm>

#include "cli/numbers.h"

namespace headrace::cli {
namespace {

// first[-last[+step]] or first[-last[*factor]]
struct Range {
  uint32_t first = 0;
  uint32_t last = 0;
  char op = '+';
  uint32_t step = 1;
};

// Without a sign.
std::optional<uint32_t> parse_digits(std::string_view text) {
  if (text.starts_with('+')) return std::nullopt;
  return parse_number<uint32_t>(text);
}

std::optional<Range> parse_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = parse_digits(text.substr(0, dash));
  if (!first) return std::nullopt;
  Range range = {.first = *first, .last = *first};
  if (dash == std::string_view::npos) return range;
  text.remove_prefix(dash + 1);
  const size_t op = text.find_first_of("+*");
  const auto last = parse_digits(text.substr(0, op));
  if (!last || *last < *first) return std::nullopt;
  range.last = *last;
  if (op == std::string_view::npos) return range;
  const auto step = parse_digits(text.substr(op + 1));
  range.op = text[op];
  if (!step || (range.op == '+' ? *step == 0 : *step < 2 || *first == 0)) return std::nullopt;
  range.step = *step;
  return range;
}

}  // namespace

Result<std::vector<uint32_t>> parse_numbers(std::string_view text, uint32_t low, uint32_t high) {
  std::vector<uint32_t> numbers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const std::optional<Range> range = parse_range(part);
    if (!range || range->first < low || range->last > high) {
      return make_error(Errc::usage,
                        "expected numbers from {} to {} as in 128,512 or 128-512+128, found '{}'", low, high,
                        text);
    }
    for (uint64_t n = range->first; n <= range->last;
         n = range->op == '+' ? n + range->step : n * range->step) {
      if (numbers.size() == kMaxListNumbers) {
        return make_error(Errc::usage, "expected at most {} numbers, found '{}'", kMaxListNumbers, text);
      }
      numbers.push_back(static_cast<uint32_t>(n));
    }
    begin = end + 1;
  }
  return numbers;
}

CLI::Option* add_numbers(CLI::App& app, const std::string& names, std::vector<uint32_t>& numbers,
                         uint32_t low, uint32_t high, const std::string& help) {
  return app
      .add_option_function<std::vector<std::string>>(
          names,
          [&numbers, low, high](const std::vector<std::string>& texts) {
            numbers.clear();
            for (const std::string& text : texts) {
              const std::vector<uint32_t> more = parse_numbers(text, low, high).value();
              numbers.insert(numbers.end(), more.begin(), more.end());
            }
          },
          help)
      ->check([low, high](const std::string& text) {
        const Result<std::vector<uint32_t>> parsed = parse_numbers(text, low, high);
        return parsed ? std::string() : parsed.error().message;
      })
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("LIST");
}

Result<PromptAndAnswer> parse_prompt_and_answer(std::string_view text, uint32_t high) {
  const size_t comma = text.find(',');
  if (comma != std::string_view::npos) {
    const auto prompt = parse_digits(text.substr(0, comma));
    const auto answer = parse_digits(text.substr(comma + 1));
    if (prompt && answer && *prompt <= high && *answer <= high) return PromptAndAnswer{*prompt, *answer};
  }
  return make_error(Errc::usage, "expected two numbers up to {} as in 512,128, found '{}'", high, text);
}

}  // namespace headrace::cli
