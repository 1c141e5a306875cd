// Keeps an engine busy with the lines of a batch, and the journal up to date.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/batch_answer.h"
#include "cli/batch_input.h"
#include "cli/batch_journal.h"
#include "cli/batch_prompt.h"
#include "cli/progress.h"
#include "core/result.h"
#include "engine/engine.h"
#include "engine/text_stream.h"

namespace headrace::cli {

/// What a run has done, without what earlier ones did.
struct BatchFigures {
  uint64_t prompt_tokens = 0;  // of finished lines
  uint64_t reused_tokens = 0;  // of all prompts, found in the prefix cache
  uint64_t generated_tokens = 0;
  double seconds = 0;
};

class BatchLoop {
 public:
  struct Options {
    uint32_t window = 1;  // choices that the engine has at once, running or waiting
    std::string model;    // the name in answers to lines that name none
    bool quiet = false;
    bool drafts = false;  // answers tell what became of them
  };

  /// All of these must outlive the loop. The journal has begun.
  BatchLoop(Engine& engine, const Tokenizer& tokenizer, const BatchPrompts& prompts, const BatchInput& input,
            BatchJournal& journal, Options options);

  /// Runs until all lines are finished. Fails with io, or with cancelled if the user stops it: what is
  /// finished is in the journal.
  Status run();

  const BatchFigures& figures() const { return figures_; }

 private:
  struct Choice {
    TextStream stream;
    BatchChoice answer;
    bool done = false;
  };
  struct Running {
    size_t index = 0;  // of the line
    BatchRequest request;
    uint32_t prompt_tokens = 0;
    std::vector<Choice> choices;
    size_t open = 0;  // choices that are not done
  };

  Status fill();
  Status start(size_t index);
  Status submit(size_t index, BatchRequest request);
  Status refuse(size_t index, const std::optional<std::string>& custom_id, const Refusal& refusal,
                bool responded);
  Status see(const Event& event);
  void take_token(const Running& line, Choice& choice, const Event& event);
  Status finish(Running& line);
  void show();

  Engine& engine_;
  const Tokenizer& tokenizer_;
  const BatchPrompts& prompts_;
  const BatchInput& input_;
  BatchJournal& journal_;
  Options options_;
  BatchFigures figures_;
  Progress progress_;
  size_t next_ = 0;          // line to read
  size_t open_choices_ = 0;  // of all running lines
  std::unordered_map<RequestId, Running> running_;
  std::unordered_map<std::string, uint32_t> seen_;  // custom_id -> its first line's number
};

}  // namespace headrace::cli
