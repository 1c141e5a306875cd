// headrace chat: a conversation on the terminal, or line by line from a pipe.
#include <unistd.h>
#include <memory>
#include <optional>

#include "cli/chat_entry.h"
#include "cli/chat_settings.h"
#include "cli/chat_turn.h"
#include "cli/conversation.h"
#include "cli/full_context.h"
#include "cli/interrupt.h"
#include "cli/line_source.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/text_input.h"
#include "cli/verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "core/utf8.h"

namespace headrace::cli {
namespace {

constexpr const char* kCommands =
    "  /set               show the settings of sampling\n"
    "  /set NAME VALUE    change one, from the next answer on\n"
    "  /system            show the system message\n"
    "  /system TEXT       replace it; \"\" removes it\n"
    "  /clear             forget the conversation (not the system message)\n"
    "  /help              this\n"
    "  /bye               leave (also /exit, /quit, Ctrl-D)\n"
    "  \"\"\"                begins a message of several lines, and ends it; so does pasting one\n"
    "  Ctrl-C             stops an answer, or leaves a line";

struct ChatFlags {
  ModelFlags model;
  EngineFlags engine;
  ChatSettings settings;
  std::string system;
  std::optional<OnFull> on_full;
  bool verbose = false;
};

class Chat {
 public:
  Chat(OpenModel& model, const ChatFlags& flags, Conversation conversation,
       std::unique_ptr<LineSource> source)
      : model_(model),
        settings_(flags.settings),
        conversation_(std::move(conversation)),
        source_(std::move(source)),
        turn_{.on_full = flags.on_full.value_or(source_->interactive() ? OnFull::ask : OnFull::stop),
              .quiet = flags.model.quiet,
              .verbose = flags.verbose} {}

  Status talk();

 private:
  Status obey(const Command& command);
  Status set(const std::string& rest);
  Status system(const std::string& text);
  /// A mistake is said; where nobody reads along, it ends the program.
  Status mistake(const Status& status) const;
  void on_interrupt(bool empty_line);

  OpenModel& model_;
  ChatSettings settings_;
  Conversation conversation_;
  std::unique_ptr<LineSource> source_;
  TurnOptions turn_;
  int idle_interrupts_ = 0;
  bool done_ = false;
};

Status Chat::talk() {
  while (!done_) {
    HEADRACE_TRY(Entry entry, read_entry(*source_));
    if (told_to_end()) return make_error(Errc::cancelled, "told to end");
    if (entry.kind == Entry::Kind::end) return {};
    if (entry.kind == Entry::Kind::interrupted) {
      if (!source_->interactive()) return make_error(Errc::cancelled, "interrupted");
      clear_interrupt();
      on_interrupt(entry.empty_line);
      continue;
    }
    idle_interrupts_ = 0;
    if (entry.kind == Entry::Kind::command) {
      HEADRACE_RETURN_IF_ERROR(mistake(obey(entry.command)));
      continue;
    }
    const Status taken = take_turn(model_, settings_, turn_, conversation_, *source_, std::move(entry.text));
    if (told_to_end()) return make_error(Errc::cancelled, "told to end");
    // Only a message that the template refuses, or that does not fit, leaves the conversation as it was.
    if (!taken && (taken.error().code == Errc::io || turn_.on_full == OnFull::stop)) return taken;
    HEADRACE_RETURN_IF_ERROR(mistake(taken));
    if (!source_->interactive() && interrupted()) return make_error(Errc::cancelled, "interrupted");
    clear_interrupt();
  }
  return {};
}

Status Chat::mistake(const Status& status) const {
  if (status || !source_->interactive()) return status;
  note(fmt::format("({})", printable(status.error().message, 2000)));
  return {};
}

void Chat::on_interrupt(bool empty_line) {
  idle_interrupts_ = empty_line ? idle_interrupts_ + 1 : 0;
  if (idle_interrupts_ >= 2) note("(to leave: /bye or Ctrl-D)");
}

Status Chat::obey(const Command& command) {
  const std::string& name = command.name;
  if (name == "/bye" || name == "/exit" || name == "/quit") {
    done_ = true;
  } else if (name == "/help") {
    note(kCommands);
  } else if (name == "/clear") {
    conversation_.clear();
    note("(the conversation is forgotten)");
  } else if (name == "/set") {
    return set(command.rest);
  } else if (name == "/system") {
    return system(command.rest);
  } else {
    return make_error(Errc::usage,
                      "unknown command {}: /help shows what there is, {}{}{} sends it as a message",
                      printable(name), kBlockMark, printable(name), kBlockMark);
  }
  return {};
}

Status Chat::set(const std::string& rest) {
  if (rest.empty()) {
    std::string lines = describe(settings_);
    lines.pop_back();
    note(lines);
    return {};
  }
  const size_t space = rest.find_first_of(" \t");
  if (space == std::string::npos) return make_error(Errc::usage, "expected /set NAME VALUE, found no value");
  const std::string name = rest.substr(0, space);
  const std::string value = rest.substr(rest.find_first_not_of(" \t", space));
  HEADRACE_RETURN_IF_ERROR(change_setting(settings_, name, value));
  note(fmt::format("({} is {} from the next answer on)", name, value));
  return {};
}

Status Chat::system(const std::string& text) {
  if (text.empty()) {
    note(conversation_.system().empty() ? "(no system message)" : conversation_.system());
    return {};
  }
  const bool remove = text == "\"\"";
  HEADRACE_RETURN_IF_ERROR(conversation_.set_system(remove ? "" : to_valid_utf8(text)));
  note(remove ? "(no system message from the next answer on; what was said stays)"
              : "(the system message holds from the next answer on; what was said stays)");
  return {};
}

Result<Conversation> begin_conversation_of(const OpenModel& model, const std::string& system) {
  const std::string& source = model.tokenizer.chat_template();
  if (source.empty()) {
    return make_error(Errc::usage,
                      "{}: the model has no chat template, so it can't hold a conversation; "
                      "headrace run continues a text",
                      printable(model.path));
  }
  HEADRACE_TRY(ChatTemplate chat, ChatTemplate::parse(source, "of the model"));
  Conversation conversation(model.tokenizer, std::move(chat));
  if (!system.empty()) {
    const Status fine = conversation.set_system(system);
    if (!fine) return Error{fine.error()}.in("--system-prompt");
  }
  return conversation;
}

Status chat(ChatFlags& flags) {
  if (flags.model.quiet) spdlog::set_level(spdlog::level::err);
  const bool asks = flags.on_full == OnFull::ask;
  if (asks && (::isatty(STDIN_FILENO) != 1 || ::isatty(STDERR_FILENO) != 1)) {
    return make_error(Errc::usage, "--on-full ask: there is no terminal to ask on");
  }
  warn_unless_utf8(flags.system);
  HEADRACE_TRY(OpenModel model, open_model(flags.model, flags.engine));
  HEADRACE_TRY(Conversation conversation, begin_conversation_of(model, to_valid_utf8(flags.system)));
  HEADRACE_RETURN_IF_ERROR(check_sampling(flags.settings.sampling.params, model.tokenizer.vocab_size()));
  begin_conversation();
  std::unique_ptr<LineSource> source = open_line_source();
  if (source->interactive() && !flags.model.quiet) {
    note(fmt::format("{}: a context of {} tokens. /help shows the commands, /bye leaves.",
                     printable(std::filesystem::path(model.path).filename().string()),
                     grouped(model.engine->context())));
  }
  return Chat(model, flags, std::move(conversation), std::move(source)).talk();
}

}  // namespace

void register_chat(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App& verb = *app.add_subcommand("chat", "Hold a conversation");
  add_model_flag(verb, flags->model);
  begin_group(verb, kPromptGroup);
  add_system_flag(verb, flags->system);
  verb.get_option("--system-prompt")->description("The system message (also -sys)");
  add_predict_flag(verb, flags->settings.predict);
  verb.get_option("--predict")->description("Tokens of an answer; -1: until the model ends it [-1]");
  add_sampling_flags(verb, flags->settings.sampling);
  add_engine_flags(verb, flags->engine);
  add_speculation_flags(verb, flags->engine.speculation);
  verb.add_option_function<std::string>(
          "--on-full",
          [flags](const std::string& text) {
            flags->on_full = text == "ask" ? OnFull::ask : text == "drop" ? OnFull::drop : OnFull::stop;
          },
          "When the context is full: ask what to do, drop the oldest exchanges, or stop [ask; stop without a "
          "terminal]")
      ->check([](const std::string& text) {
        const bool known = text == "ask" || text == "drop" || text == "stop";
        return known ? std::string() : "expected ask, drop or stop, found '" + text + "'";
      })
      ->type_name("ask|drop|stop");
  add_quiet_flag(verb, flags->model.quiet);
  verb.add_flag("--verbose,-v", flags->verbose, "Show the figures of each answer");
  verb.footer(
      std::string("\nIn the conversation:\n") + kCommands +
      "\n\nWithout a terminal each line of standard input (or block) is a message, and a mistake ends the\n"
      "program. Answers go to standard output, everything else to standard error.\n\n"
      "Example:\n  headrace chat -m smollm2:135m -sys \"Answer in one sentence.\"\n");
  verb.callback([flags, &action] { action = [flags] { return chat(*flags); }; });
}

}  // namespace headrace::cli
