// Batches of a few lines, for tests of `headrace batch`.
#pragma once

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "program.h"

namespace headrace::testing {

using Json = nlohmann::ordered_json;

inline std::string batch_line(const std::string& id, const std::string& url, const std::string& body) {
  return R"({"custom_id":)" + Json(id).dump() + R"(,"method":"POST","url":"/v1/)" + url + R"(","body":{)" +
         body + "}}";
}

inline std::string chat_line(const std::string& id, const std::string& text, const std::string& fields = "") {
  return batch_line(id, "chat/completions",
                    R"("messages":[{"role":"user","content":)" + Json(text).dump() + "}]" + fields);
}

inline std::string completion_line(const std::string& id, const std::string& text,
                                   const std::string& fields = "") {
  return batch_line(id, "completions", R"("prompt":)" + Json(text).dump() + fields);
}

/// Chats and completions with common beginnings, of several lengths, some with choices, stop strings,
/// log-probabilities or no end. Their ids are id-0, id-1, ...
inline std::vector<std::string> mixed_lines(size_t count) {
  const std::string fields[] = {
      R"(,"max_tokens":24)",
      R"(,"max_tokens":48,"ignore_eos":true,"temperature":0)",
      R"(,"max_tokens":30,"n":3,"top_p":0.9)",
      R"(,"max_tokens":60,"ignore_eos":true,"stop":["e","th"],"seed":5)",
      R"(,"max_tokens":12,"presence_penalty":0.5,"frequency_penalty":0.25,"priority":3)",
  };
  std::vector<std::string> lines;
  for (size_t i = 0; i < count; ++i) {
    const std::string id = "id-" + std::to_string(i);
    const std::string text =
        "the thing in there that " + std::string(i * 7 % 40, 'a' + static_cast<char>(i % 26));
    const std::string& chosen = fields[i % std::size(fields)];
    if (i % 3 == 0)
      lines.push_back(
          chat_line(id, text, chosen + (i % 2 == 0 ? R"(,"logprobs":true,"top_logprobs":2)" : "")));
    else
      lines.push_back(completion_line(id, text, chosen + (i % 2 == 0 ? R"(,"logprobs":2)" : "")));
  }
  return lines;
}

/// The files of one batch in test_folder(), made anew.
class Batch {
 public:
  Batch(const std::string& name, const std::vector<std::string>& lines) : name_(name) {
    for (const std::string& path : {output_path(), errors_path(), journal_path()})
      std::filesystem::remove(path);
    write(lines);
  }

  void write(const std::vector<std::string>& lines) const {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    file_with(name_ + ".jsonl", text);
  }

  std::string input_path() const { return path(".jsonl"); }
  std::string output_path() const { return path(".out.jsonl"); }
  std::string errors_path() const { return path(".out.errors.jsonl"); }
  std::string journal_path() const { return path(".out.jsonl.part"); }

  Outcome run(const std::vector<std::string>& flags = {}, const Surroundings& surroundings = {}) const {
    return run_with(llama_file(), flags, surroundings);
  }
  Outcome run_with(const std::string& model, const std::vector<std::string>& flags = {},
                   const Surroundings& surroundings = {}) const {
    std::vector<std::string> arguments = {"batch", "-m", model, input_path(), output_path()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return headrace(arguments, surroundings);
  }

  std::string output() const { return content_of(output_path()); }
  std::vector<Json> answers() const { return lines_of(output_path()); }
  std::vector<Json> errors() const { return lines_of(errors_path()); }
  /// Whole lines in the journal; the first is its header.
  size_t journal_lines() const {
    const std::string text = content_of(journal_path());
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

 private:
  std::string path(const std::string& suffix) const { return (test_folder() / (name_ + suffix)).string(); }
  static std::vector<Json> lines_of(const std::string& path) {
    std::vector<Json> lines;
    std::istringstream text(content_of(path));
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line, nullptr, false));
    return lines;
  }

  std::string name_;
};

}  // namespace headrace::testing
