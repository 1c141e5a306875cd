// headrace chat where the context ends: it is said, and the user chooses.
#include <gtest/gtest.h>

#include "program.h"
#include "terminal.h"

namespace headrace::testing {
namespace {

// A turn takes about 22 tokens of the template, the message's letters and, with this -n, 20 of the answer.
const std::vector<std::string> kSmall = {"-c", "150", "-n", "20"};

std::vector<std::string> chat_with(std::vector<std::string> more) {
  more.insert(more.begin(), {"chat", "-m", llama_file(), "--temp", "0", "-t", "1"});
  return more;
}

// Fills the context but for less than a turn.
void fill(Terminal& terminal) {
  for (const char* message : {"bcd", "fgh"}) {
    EXPECT_TRUE(terminal.enter(message));
    EXPECT_TRUE(terminal.shows("(stopped after 20 tokens")) << terminal.written();
  }
}

void expect_leaves(Terminal& terminal) {
  EXPECT_TRUE(terminal.enter("/bye")) << terminal.written();
  EXPECT_EQ(terminal.exit_code(), 0) << terminal.written();
}

TEST(ChatContext, AFullContextIsSaidAndTheOldestExchangeGoesIfTheUserWants) {
  Terminal terminal(chat_with(kSmall));
  fill(terminal);
  EXPECT_TRUE(terminal.enter("jklmnpqrst"));
  EXPECT_TRUE(terminal.shows("(the context is full: the conversation with this message has"));
  EXPECT_TRUE(terminal.shows("of 150 tokens, an answer needs 20)"));
  EXPECT_TRUE(terminal.shows("d  drop the oldest 1 exchange ("));
  EXPECT_TRUE(terminal.shows("n  don't send it"));
  EXPECT_TRUE(terminal.shows("d/c/"));
  terminal.type(std::string("x") + kEnter);
  EXPECT_TRUE(terminal.shows("one of these letters"));
  EXPECT_TRUE(terminal.shows("? "));
  terminal.type(std::string("d") + kEnter);
  EXPECT_TRUE(terminal.shows("(dropped the oldest 1 exchange: "));
  EXPECT_TRUE(terminal.shows("(stopped after 20 tokens")) << terminal.written();
  expect_leaves(terminal);
}

TEST(ChatContext, AllCanBeForgottenOrTheMessageNotSent) {
  Terminal terminal(chat_with(kSmall));
  fill(terminal);
  for (const char* leave : {"n\r", "\003", "\004"}) {
    EXPECT_TRUE(terminal.enter("jklmnpqrst"));
    EXPECT_TRUE(terminal.shows("d/c/"));
    EXPECT_TRUE(terminal.shows("? "));
    terminal.type(leave);
  }
  EXPECT_TRUE(terminal.enter("jklmnpqrst"));
  EXPECT_TRUE(terminal.shows("d/c/"));
  EXPECT_TRUE(terminal.shows("? "));
  terminal.type("c\r");
  EXPECT_TRUE(terminal.shows("(dropped the oldest 2 exchanges: "));
  EXPECT_TRUE(terminal.shows("(stopped after 20 tokens"));
  // Room again.
  EXPECT_TRUE(terminal.enter("b"));
  EXPECT_TRUE(terminal.shows("(stopped after 20 tokens"));
  expect_leaves(terminal);
}

TEST(ChatContext, TheRestOfTheRoomCanBeUsedAndACutAnswerIsSaid) {
  Terminal terminal(chat_with({"-c", "150"}));
  EXPECT_TRUE(terminal.enter("/set predict 20"));
  fill(terminal);
  EXPECT_TRUE(terminal.enter("jklmnpqrst"));
  EXPECT_TRUE(terminal.shows("g  go on: answer in the "));
  EXPECT_TRUE(terminal.shows("? "));
  terminal.type("g\r");
  EXPECT_TRUE(terminal.shows("(the context is full, and the answer not finished: 150 of 150 tokens)"));
  EXPECT_TRUE(terminal.shows("and go on with the answer"));
  EXPECT_TRUE(terminal.shows("k  keep the answer as it is"));
  EXPECT_TRUE(terminal.shows("? "));
  terminal.type("d\r");
  EXPECT_TRUE(terminal.shows("(dropped the oldest "));
  EXPECT_TRUE(terminal.shows("(stopped after 20 tokens")) << terminal.written();
  expect_leaves(terminal);
}

TEST(ChatContext, ACutAnswerCanStayAsItIs) {
  Terminal terminal(chat_with({"-c", "64"}));
  EXPECT_TRUE(terminal.enter("b"));
  EXPECT_TRUE(terminal.shows("answer not finished: 64 of 64 tokens")) << terminal.written();
  EXPECT_TRUE(terminal.shows("there is nothing older to drop"));
  EXPECT_TRUE(terminal.enter("b"));
  EXPECT_TRUE(terminal.shows("d/n?")) << terminal.written();
  terminal.type("d\r");
  EXPECT_TRUE(terminal.shows("(dropped the oldest 1 exchange: "));
  EXPECT_TRUE(terminal.shows("answer not finished: 64 of 64 tokens"));
  expect_leaves(terminal);
}

TEST(ChatContext, AMessageThatNeverFitsIsNotSent) {
  Terminal terminal(chat_with({"-c", "64"}));
  EXPECT_TRUE(terminal.enter(std::string(80, 'x')));
  EXPECT_TRUE(terminal.shows("of 64 tokens"));
  EXPECT_TRUE(terminal.shows("even alone this message is too long")) << terminal.written();
  expect_leaves(terminal);
}

Outcome piped(const std::string& input, std::vector<std::string> more) {
  return headrace(chat_with(std::move(more)), {.input = input});
}

TEST(ChatContext, WithoutATerminalAFullContextIsAnError) {
  const Outcome outcome = piped("bcd\nfgh\njklmnpqrst\nxyz\n", kSmall);
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_TRUE(contains(outcome.err, "headrace: error: the context is full")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "of 150 tokens")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "--on-full drop")) << outcome.err;
  const Outcome cut = piped("b\n", {"-c", "64"});
  EXPECT_EQ(cut.exit_code, 4);
  EXPECT_NE(cut.out, "");
  EXPECT_TRUE(contains(cut.err, "64 of 64 tokens")) << cut.err;
}

TEST(ChatContext, DroppingIsSaidOnStandardError) {
  std::vector<std::string> flags = kSmall;
  flags.insert(flags.end(), {"--on-full", "drop"});
  const Outcome outcome = piped("bcd\nfgh\njklmnpqrst\nxyz\n", flags);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "(dropped the oldest 1 exchange: ")) << outcome.err;
  EXPECT_FALSE(contains(outcome.out, "dropped"));
  EXPECT_EQ(piped(std::string(200, 'x') + "\n", flags).exit_code, 4);
  flags.back() = "ask";
  EXPECT_EQ(piped("b\n", flags).exit_code, 2);
}

TEST(ChatPipe, AnswersGoToStandardOutputAndNothingElse) {
  const Outcome outcome = piped("bcd\n\n\"\"\"two\nlines\"\"\"\n/bye\nnever\n", {"-n", "3"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(contains(outcome.out, ">>>")) << outcome.out;
  EXPECT_FALSE(contains(outcome.err, ">>>")) << outcome.err;
  EXPECT_FALSE(contains(outcome.out, "stopped")) << outcome.out;
  size_t stops = 0;
  for (size_t at = 0; (at = outcome.err.find("(stopped after 3 tokens", at)) != std::string::npos; ++at)
    ++stops;
  EXPECT_EQ(stops, 2U) << outcome.err;
}

TEST(ChatPipe, FiguresAreShownOnRequestOnly) {
  EXPECT_FALSE(contains(piped("b\n", {"-n", "3"}).err, "prefill"));
  EXPECT_TRUE(contains(piped("b\n", {"-n", "3", "-v"}).err, "prefill"));
}

TEST(ChatPipe, AMistakeEndsTheProgram) {
  EXPECT_EQ(piped("/dance\n", {}).exit_code, 2);
  EXPECT_EQ(piped("/set top-p 7\n", {}).exit_code, 2);
  EXPECT_EQ(piped("\"\"\"open\n", {}).exit_code, 2);
}

TEST(ChatPipe, BytesOfAnyKindAreText) {
  const Outcome outcome = piped(std::string("a\0b\xFF\r\n", 6) + "last line without newline", {"-n", "2"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "not valid UTF-8")) << outcome.err;
}

TEST(ChatPipe, AMessageNeverYieldsSpecialTokens) {
  // As one token the mark would leave room; spelled in ten it does not.
  std::string marks;
  for (int i = 0; i < 10; ++i) marks += "<|im_end|>";
  EXPECT_EQ(piped(marks + "\n", {"-c", "100", "-n", "2"}).exit_code, 4);
}

TEST(ChatPipe, CtrlCEndsTheProgram) {
  const Outcome outcome =
      headrace(chat_with({"-l", "0-inf", "-l", "2-inf"}),
               {.input = "hello\n",
                .interrupt_when = [](const std::string& out, const std::string&) { return !out.empty(); }});
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "(stopped: what there is")) << outcome.err;
}

}  // namespace
}  // namespace headrace::testing
