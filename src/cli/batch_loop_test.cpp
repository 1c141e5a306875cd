// The loop on an engine that makes its tokens up.
#include "cli/batch_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "cli/batch_folder_testing.h"
#include "text/tokenizer_gguf.h"
#include "tiny_model.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

// Every choice of a request writes "abcdefghij..." from a letter on that its number says.
class AlphabetEngine final : public Engine {
 public:
  explicit AlphabetEngine(size_t sequences) : sequences_(sequences) {}

  const Model& model() const override { panic("not asked for", __FILE__, __LINE__); }
  const Backend& backend() const override { panic("not asked for", __FILE__, __LINE__); }
  uint32_t context() const override { return 64; }
  Result<RequestId> submit(Request request) override {
    if (request.prompt.size() > context()) return make_error(Errc::out_of_budget, "longer than 64");
    ++submitted;
    for (uint32_t i = 0; i < request.n; ++i) choices_.push_back({submitted, i, request.max_new_tokens});
    return RequestId{submitted};
  }
  void cancel(RequestId request) override {
    for (Choice& choice : choices_) choice.cancelled = choice.cancelled || choice.request == request;
  }
  void cancel(RequestId request, uint32_t index) override {
    for (Choice& choice : choices_) {
      if (choice.request == request && choice.index == index) choice.cancelled = true;
    }
  }
  bool idle() const override { return choices_.empty(); }
  // The last ones first, so that lines finish out of order.
  void step(std::vector<Event>& events) override {
    most_choices = std::max(most_choices, choices_.size());
    const size_t first = choices_.size() - std::min(sequences_, choices_.size());
    for (size_t i = first; i < choices_.size(); ++i) step_choice(choices_[i], events);
    std::erase_if(choices_, [](const Choice& choice) { return choice.done; });
  }
  EngineStats stats() const override { return {}; }
  StepLimits limits() const override { return {}; }
  void set_limits(const StepLimits&) override {}
  void clear_cache() override {}
  Status check_books() const override { return {}; }

  uint64_t submitted = 0;
  size_t most_choices = 0;

 private:
  struct Choice {
    RequestId request = 0;
    uint32_t index = 0;
    uint32_t limit = 0;
    uint32_t written = 0;
    bool cancelled = false;
    bool done = false;
  };

  static void step_choice(Choice& choice, std::vector<Event>& events) {
    Event event;
    event.request = choice.request;
    event.choice = choice.index;
    if (choice.cancelled) {
      event.finished = FinishReason::cancelled;
    } else {
      event.has_token = true;
      event.draw.token = static_cast<int32_t>(3 + 'a' + (choice.index * 5 + choice.written++) % 26);
      if (choice.written == choice.limit) event.finished = FinishReason::length;
    }
    choice.done = event.finished != FinishReason::none;
    events.push_back(event);
  }

  size_t sequences_;
  std::deque<Choice> choices_;
};

class BatchLoopTest : public BatchFolder {
 protected:
  static Tokenizer tokenizer() {
    const std::string bytes = testing::tiny_llama().bytes();
    return load_tokenizer(GgufFile::parse("tiny", std::as_bytes(std::span(bytes))).value()).value();
  }

  // Answers the lines and returns the outputs, which have only then a journal behind them.
  void run(const std::vector<std::string>& lines, AlphabetEngine& engine, uint32_t window = 8) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    write("in", text);
    const BatchInput in = input();
    BatchJournal journal = std::move(open(in)).value();
    HEADRACE_CHECK(static_cast<bool>(journal.begin(batch_settings())));
    const BatchPrompts prompts(tokenizer_, 0);
    BatchLoop loop(engine, tokenizer_, prompts, in, journal, {window, "tiny", true});
    const Status done = loop.run();
    ASSERT_TRUE(static_cast<bool>(done)) << done.error().message;
    figures_ = loop.figures();
    answers_.clear();
    errors_.clear();
    for (size_t i = 0; i < in.lines().size(); ++i) {
      auto& to = journal.kind(i) == BatchKind::error ? errors_ : answers_;
      to.push_back(Json::parse(journal.output(i).value()));
    }
  }

  static std::string line(const std::string& id, const std::string& fields) {
    return R"({"custom_id":")" + id + R"(","method":"POST","url":"/v1/completions","body":{"prompt":"x")" +
           fields + "}}";
  }
  Json choice(size_t answer, size_t index) const {
    return answers_.at(answer)["response"]["body"]["choices"].at(index);
  }

  Tokenizer tokenizer_ = tokenizer();
  BatchFigures figures_;
  std::vector<Json> answers_;
  std::vector<Json> errors_;
};

TEST_F(BatchLoopTest, EveryLineIsAnsweredOnceWhateverTheOrder) {
  std::vector<std::string> lines;
  for (int i = 0; i < 50; ++i)
    lines.push_back(line(std::to_string(i), R"(,"max_tokens":)" + std::to_string(1 + i * 7 % 11)));
  AlphabetEngine engine(3);
  run(lines, engine);
  EXPECT_EQ(engine.submitted, 50U);
  EXPECT_LE(engine.most_choices, 8U);
  ASSERT_EQ(answers_.size(), 50U);
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(answers_[i]["custom_id"], std::to_string(i));
    EXPECT_EQ(choice(i, 0)["text"], std::string("abcdefghijk").substr(0, 1 + i * 7 % 11));
  }
  EXPECT_EQ(figures_.prompt_tokens, 50U);
}

TEST_F(BatchLoopTest, AStopStringCancelsItsChoiceAndNoOther) {
  AlphabetEngine engine(8);
  run({line("a", R"(,"max_tokens":12,"n":3,"stop":["cd","never"])")}, engine);
  EXPECT_EQ(choice(0, 0)["text"], "ab");
  EXPECT_EQ(choice(0, 0)["finish_reason"], "stop");
  EXPECT_EQ(choice(0, 1)["text"], "fghijklmnopq");
  EXPECT_EQ(choice(0, 1)["finish_reason"], "length");
  EXPECT_EQ(choice(0, 2)["text"], "klmnopqrstuv");
  EXPECT_EQ(answers_[0]["response"]["body"]["usage"]["completion_tokens"], 4 + 12 + 12);
}

TEST_F(BatchLoopTest, WhatTheEngineRefusesIsTheLinesErrorAndTheRestGoesOn) {
  AlphabetEngine engine(8);
  std::string tokens = "1";
  for (int i = 0; i < 64; ++i) tokens += ",1";
  run({R"({"custom_id":"long","method":"POST","url":"/v1/completions","body":{"prompt":[)" + tokens + "]}}",
       line("a", ""), line("a", ""), line("long", ""), "{"},
      engine);
  ASSERT_EQ(answers_.size(), 1U);
  ASSERT_EQ(errors_.size(), 4U);
  EXPECT_EQ(errors_[0]["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(errors_[1]["error"]["code"], "duplicate_custom_id");
  EXPECT_EQ(errors_[1]["line"], 3);
  EXPECT_EQ(errors_[2]["error"]["message"], "custom_id: line 1 has the same");
  EXPECT_EQ(errors_[3]["line"], 5);
}

TEST_F(BatchLoopTest, FinishedLinesAreNotAskedForAgain) {
  const std::vector<std::string> lines = {line("a", ""), line("b", ""), line("c", "")};
  AlphabetEngine first(8);
  run(lines, first);
  const std::string journal = read("part");
  // As if killed behind the first entry.
  write("part", journal.substr(0, journal.find('\n', journal.find('\n') + 1) + 1));
  AlphabetEngine second(8);
  run(lines, second);
  EXPECT_EQ(second.submitted, 2U);
  EXPECT_EQ(answers_.size(), 3U);
}

}  // namespace
}  // namespace headrace::cli
