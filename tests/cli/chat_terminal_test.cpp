// headrace chat before a person: keys, pastes, interruptions, a full context.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <csignal>
#include <fstream>

#include "program.h"
#include "terminal.h"

namespace headrace::testing {
namespace {

std::vector<std::string> chat_with(const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"chat", "-m", llama_file(), "--temp", "0", "-t", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void expect_leaves(Terminal& terminal) {
  EXPECT_TRUE(terminal.enter("/bye")) << terminal.written();
  EXPECT_EQ(terminal.exit_code(), 0) << terminal.written();
}

TEST(ChatTerminal, CommandsLeaveAndHelpAndUnknownOnesAreSaid) {
  for (const char* leave : {"/bye", "/exit", "/quit"}) {
    Terminal terminal(chat_with());
    EXPECT_TRUE(terminal.enter(leave));
    EXPECT_EQ(terminal.exit_code(), 0);
  }
  Terminal terminal(chat_with());
  EXPECT_TRUE(terminal.enter("/help"));
  EXPECT_TRUE(terminal.shows("/system TEXT"));
  EXPECT_TRUE(terminal.enter("/dance"));
  EXPECT_TRUE(terminal.shows("(unknown command /dance"));
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type(kCtrlD);
  EXPECT_EQ(terminal.exit_code(), 0);
}

TEST(ChatTerminal, SettingsAreShownAndCheckedLikeTheFlags) {
  Terminal terminal(chat_with());
  EXPECT_TRUE(terminal.enter("/set"));
  EXPECT_TRUE(terminal.shows("temperature       0"));
  struct Case {
    const char* line;
    const char* answer;
  };
  const Case cases[] = {
      {"/set temperature 0.5", "(temperature is 0.5 from the next answer on)"},
      {"/set temp 0.25", "(temp is 0.25 from"},
      {"/set top-p 1.5", "--top-p: expected 0 to 1, found '1.5'"},
      {"/set top-k", "expected /set NAME VALUE"},
      {"/set seed -2", "expected -1 or 0 to 18446744073709551615"},
      {"/set predict nonsense", "expected -1 to 2147483647"},
      {"/set colour red", "no setting is called colour; there are seed"},
      {"/set logit-bias 3+1", "no setting is called logit-bias"},
      {"/set help 1", "no setting is called help"},
      {"/set", "temperature       0.25"},
  };
  for (const Case& c : cases) {
    EXPECT_TRUE(terminal.enter(c.line)) << c.line;
    EXPECT_TRUE(terminal.shows(c.answer)) << c.line << "\n" << terminal.written();
  }
  expect_leaves(terminal);
}

TEST(ChatTerminal, TheSystemMessageIsShownReplacedAndRemoved) {
  Terminal terminal(chat_with({"-sys", "Be brief."}));
  EXPECT_TRUE(terminal.enter("/system"));
  EXPECT_TRUE(terminal.shows("\nBe brief."));
  EXPECT_TRUE(terminal.enter("/system Be long."));
  EXPECT_TRUE(terminal.shows("holds from the next answer on"));
  EXPECT_TRUE(terminal.enter("/system"));
  EXPECT_TRUE(terminal.shows("\nBe long."));
  EXPECT_TRUE(terminal.enter("/system \"\""));
  EXPECT_TRUE(terminal.enter("/system"));
  EXPECT_TRUE(terminal.shows("(no system message)"));
  expect_leaves(terminal);
}

TEST(ChatTerminal, CtrlCStopsTheAnswerAndNotTheProgram) {
  Terminal terminal(chat_with({"-l", "0-inf", "-l", "2-inf"}));
  EXPECT_TRUE(terminal.enter("hello"));
  EXPECT_TRUE(terminal.shows("hello"));
  EXPECT_TRUE(terminal.shows(" the"));  // this model says it all the time
  terminal.type(kCtrlC);
  EXPECT_TRUE(terminal.shows("(stopped: what there is of the answer stays"));
  expect_leaves(terminal);
}

TEST(ChatTerminal, CtrlCInALongPromptTakesTheMessageBack) {
  Terminal terminal(chat_with({"-b", "1"}));
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type(pasted(std::string(20000, 'x')));
  EXPECT_TRUE(terminal.shows("[paste 1: 20,000 bytes]"));
  terminal.type(kEnter);
  EXPECT_TRUE(terminal.shows("\n"));
  // On the terminal, where reading takes long, it says so.
  EXPECT_TRUE(terminal.shows("reading the prompt")) << terminal.written();
  terminal.type(kCtrlC);
  EXPECT_TRUE(terminal.shows("the message is taken back")) << terminal.written();
  expect_leaves(terminal);
}

TEST(ChatTerminal, CtrlCAtThePromptLeavesTheLineAndTwiceSaysHowToLeave) {
  Terminal terminal(chat_with());
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type("half a line");
  EXPECT_TRUE(terminal.shows("half a line"));
  terminal.type(kCtrlC);
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type(kCtrlC);
  EXPECT_TRUE(terminal.shows(">>> "));
  EXPECT_FALSE(contains(terminal.written(), "to leave"));
  terminal.type(kCtrlC);
  EXPECT_TRUE(terminal.shows("(to leave: /bye or Ctrl-D)"));
  // The same by a signal from outside.
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.signal(SIGINT);
  EXPECT_TRUE(terminal.shows("(to leave"));
  expect_leaves(terminal);
  EXPECT_EQ(terminal.history(), "/bye\n");
}

TEST(ChatTerminal, APastedBlockIsOneMessage) {
  Terminal terminal(chat_with({"-n", "2"}));
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type(pasted("first line\nsecond\x01 line\n/bye\n") + " and more" + kEnter);
  EXPECT_TRUE(terminal.shows("(stopped after 2 tokens")) << terminal.written();
  expect_leaves(terminal);
  EXPECT_EQ(terminal.history(), "first line\\nsecond line\\n/bye and more\n/bye\n");
}

TEST(ChatTerminal, ALongPasteStandsAsALabelUntilItIsSent) {
  Terminal terminal(chat_with({"-n", "2"}));
  EXPECT_TRUE(terminal.shows(">>> "));
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += "line " + std::to_string(i) + "\n";
  terminal.type("see " + pasted(lines) + " above" + kEnter);
  EXPECT_TRUE(terminal.shows("[paste 1: 40 lines]"));
  EXPECT_TRUE(terminal.shows("(stopped after 2 tokens"));
  expect_leaves(terminal);
  EXPECT_TRUE(terminal.history().starts_with("see line 0\\nline 1\\n")) << terminal.history();
  EXPECT_TRUE(contains(terminal.history(), "line 39 above\n"));
}

TEST(ChatTerminal, AnUnendingPasteIsLeftByCtrlC) {
  Terminal terminal(chat_with());
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type("\033[200~text that never ends");
  terminal.type(kCtrlC);
  expect_leaves(terminal);
}

TEST(ChatTerminal, ABlockTakesSeveralLinesOrOne) {
  Terminal terminal(chat_with({"-n", "2"}));
  EXPECT_TRUE(terminal.enter("\"\"\"one"));
  EXPECT_TRUE(terminal.shows("... "));
  terminal.type(std::string("/bye") + kEnter);
  EXPECT_TRUE(terminal.shows("... "));
  terminal.type(std::string("\"\"\"") + kEnter);
  EXPECT_TRUE(terminal.shows("(stopped after 2 tokens")) << terminal.written();
  EXPECT_TRUE(terminal.enter("\"\"\"/etc\"\"\""));
  EXPECT_TRUE(terminal.shows("(stopped after 2 tokens")) << terminal.written();
  EXPECT_TRUE(terminal.enter("\"\"\"never closed"));
  EXPECT_TRUE(terminal.shows("... "));
  terminal.type(kCtrlC);
  EXPECT_TRUE(terminal.shows("(block left"));
  expect_leaves(terminal);
  EXPECT_EQ(terminal.history(), "\"\"\"one\\n/bye\"\"\"\n\"\"\"/etc\"\"\"\n/bye\n");
}

TEST(ChatTerminal, ArrowsBringEarlierLinesBackAlsoFromEarlierChats) {
  Terminal terminal(chat_with());
  EXPECT_TRUE(terminal.enter("/system first"));
  EXPECT_TRUE(terminal.enter("/system second"));
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type(std::string(kUp) + kUp + kEnter);
  EXPECT_TRUE(terminal.shows("holds from"));
  EXPECT_TRUE(terminal.enter("/system"));
  EXPECT_TRUE(terminal.shows("\nfirst"));
  expect_leaves(terminal);
  struct stat info {};
  ASSERT_EQ(::stat(terminal.history_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);

  const std::string state = (terminal.history_path().parent_path().parent_path()).string();
  Terminal later(chat_with(), {{"XDG_STATE_HOME", state}});
  EXPECT_TRUE(later.shows(">>> "));
  later.type(std::string(kUp) + kUp + kUp + kEnter);
  EXPECT_TRUE(later.enter("/system"));
  EXPECT_TRUE(later.shows("\nfirst")) << later.written();
  expect_leaves(later);
}

TEST(ChatTerminal, AHistoryThatCannotBeWrittenDoesNotMatter) {
  Terminal terminal(chat_with(), {{"XDG_STATE_HOME", "/dev/null"}});
  EXPECT_TRUE(terminal.enter("/system x"));
  expect_leaves(terminal);
}

TEST(ChatTerminal, WideCharactersAreEditedWholeInAnyLocale) {
  for (const char* locale : {"C", "C.UTF-8", "xx_YY"}) {
    Terminal terminal(chat_with(), {{"LC_ALL", locale}});
    EXPECT_TRUE(terminal.shows(">>> "));
    terminal.type(std::string("/system gr\xC3\xBC\xC3\x9F \xE6\x97\xA5\xE6\x9C\xAC") + kLeft + "\177" +
                  kEnter);
    EXPECT_TRUE(terminal.enter("/system"));
    EXPECT_TRUE(terminal.shows("\ngr\xC3\xBC\xC3\x9F \xE6\x9C\xAC")) << locale << terminal.written();
    expect_leaves(terminal);
  }
}

TEST(ChatTerminal, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  Terminal terminal(chat_with());
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type(std::string("/system a\xFFz") + kEnter);
  EXPECT_TRUE(terminal.enter("/system"));
  EXPECT_TRUE(terminal.shows("\na\xEF\xBF\xBDz")) << terminal.written();
  expect_leaves(terminal);
}

TEST(ChatTerminal, WithoutACursorToMoveLinesAreStillRead) {
  for (const char* term : {"dumb", ""}) {
    Terminal terminal(chat_with({"-n", "2"}), {{"TERM", term}});
    EXPECT_TRUE(terminal.enter("hello"));
    EXPECT_TRUE(terminal.shows("(stopped after 2 tokens")) << terminal.written();
    EXPECT_TRUE(terminal.shows(">>> "));
    terminal.type(kCtrlC);
    expect_leaves(terminal);
    EXPECT_FALSE(contains(terminal.written(), "\033")) << terminal.written();
  }
  Terminal unknown(chat_with(), {{"TERM", "no-such-terminal"}});
  EXPECT_TRUE(unknown.enter("/system x"));
  expect_leaves(unknown);
}

TEST(ChatTerminal, ATerminalThatVanishesEndsTheProgram) {
  Terminal at_prompt(chat_with());
  EXPECT_TRUE(at_prompt.shows(">>> "));
  at_prompt.vanish();
  EXPECT_LE(at_prompt.exit_code(), 130);
  Terminal in_answer(chat_with());
  EXPECT_TRUE(in_answer.enter("hello"));
  EXPECT_TRUE(in_answer.shows("hello"));
  in_answer.vanish();
  EXPECT_LE(in_answer.exit_code(), 130);
}

TEST(ChatTerminal, SigtermEndsTheProgramAtThePromptAndInAnAnswer) {
  Terminal at_prompt(chat_with());
  EXPECT_TRUE(at_prompt.shows(">>> "));
  at_prompt.signal(SIGTERM);
  EXPECT_EQ(at_prompt.exit_code(), 130);
  Terminal in_answer(chat_with());
  EXPECT_TRUE(in_answer.enter("hello"));
  EXPECT_TRUE(in_answer.shows("hello"));
  in_answer.signal(SIGTERM);
  EXPECT_EQ(in_answer.exit_code(), 130);
}

TEST(ChatTerminal, AChangedWindowLeavesTheLineAsItIs) {
  Terminal terminal(chat_with());
  EXPECT_TRUE(terminal.shows(">>> "));
  terminal.type("/system before");
  EXPECT_TRUE(terminal.shows("before"));
  terminal.resize(20);
  terminal.type(std::string(" after") + kEnter);
  EXPECT_TRUE(terminal.enter("/system"));
  EXPECT_TRUE(terminal.shows("\nbefore after")) << terminal.written();
  expect_leaves(terminal);
}

TEST(ChatTerminal, AModelWithoutATemplateIsRefused) {
  const Outcome outcome = headrace({"chat", "-m", gemma3_file()});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(contains(outcome.err, "no chat template")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "headrace run")) << outcome.err;
}

}  // namespace
}  // namespace headrace::testing
