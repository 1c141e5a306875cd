#include "cli/full_context.h"

#include "cli/interrupt.h"
#include "cli/output.h"

namespace headrace::cli {
namespace {

std::string plural(size_t count, const char* noun) {
  return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

std::string told(const FullContext& full) {
  if (full.answer_cut) {
    return fmt::format("the context is full, and the answer not finished: {} of {} tokens",
                       grouped(full.used), grouped(full.context));
  }
  return fmt::format(
      "the context is full: the conversation with this message has {} of {} tokens, an answer "
      "needs {}",
      grouped(full.used), grouped(full.context), grouped(full.room));
}

Choice drop(const Conversation::Drop& what, Conversation& conversation) {
  conversation.drop_oldest(what.exchanges);
  note(fmt::format("(dropped the oldest {}: {})", plural(what.exchanges, "exchange"),
                   plural(what.tokens, "token")));
  return Choice::dropped;
}

struct Offers {
  std::optional<Conversation::Drop> drop;
  bool clear = false;
  bool go_on = false;
};

void show(const FullContext& full, const Offers& offers) {
  const char* then = full.answer_cut ? " and go on with the answer" : "";
  if (offers.drop) {
    note(fmt::format("  d  drop the oldest {} ({}){}", plural(offers.drop->exchanges, "exchange"),
                     plural(offers.drop->tokens, "token"), then));
  }
  if (offers.clear) note(fmt::format("  c  clear the conversation before this message{}", then));
  if (offers.go_on) {
    note(
        fmt::format("  g  go on: answer in the {} that are left", plural(full.context - full.used, "token")));
  }
  note(full.answer_cut ? "  k  keep the answer as it is" : "  n  don't send it: nothing changes");
}

Result<Choice> ask(const FullContext& full, const Offers& offers, Conversation& conversation,
                   LineSource& source) {
  const char leave = full.answer_cut ? 'k' : 'n';
  std::string letters;
  if (offers.drop) letters += 'd';
  if (offers.clear) letters += 'c';
  if (offers.go_on) letters += 'g';
  letters += leave;
  std::string prompt;
  for (const char letter : letters) prompt += fmt::format("{}{}", prompt.empty() ? "" : "/", letter);
  for (;;) {
    HEADRACE_TRY(const Line line, source.read(prompt + "? "));
    if (line.kind != Line::Kind::text) {
      clear_interrupt();
      return Choice::leave;
    }
    const size_t first = line.text.find_first_not_of(' ');
    const char letter = first == std::string::npos ? '\0' : static_cast<char>(line.text[first] | 0x20);
    if (letters.find(letter) == std::string::npos) {
      note(fmt::format("  one of these letters, please: {}", prompt));
      continue;
    }
    if (letter == 'd') return drop(*offers.drop, conversation);
    if (letter == 'c') return drop({conversation.exchanges(), 0}, conversation);
    return letter == 'g' ? Choice::go_on : Choice::leave;
  }
}

}  // namespace

Result<Choice> handle_full_context(const FullContext& full, OnFull on_full, Conversation& conversation,
                                   LineSource& source) {
  if (on_full == OnFull::stop) {
    return make_error(Errc::out_of_budget, "{} (--on-full drop would drop the oldest exchanges)", told(full));
  }
  Offers offers;
  HEADRACE_TRY(offers.drop, conversation.drop_for(full.context - full.room));
  note(fmt::format("({})", told(full)));
  if (on_full == OnFull::drop && offers.drop) return drop(*offers.drop, conversation);
  offers.clear = offers.drop && offers.drop->exchanges < conversation.exchanges();
  offers.go_on = !full.answer_cut && full.used < full.context;
  if (!offers.drop && !offers.go_on) {
    note(full.answer_cut
             ? "(the answer stays as it is: there is nothing older to drop)"
             : "(not sent: even alone this message is too long; shorten it, or begin with a larger "
               "--ctx-size)");
    if (!source.interactive()) return make_error(Errc::out_of_budget, "{}", told(full));
    return Choice::leave;
  }
  if (on_full == OnFull::drop) {
    if (!source.interactive()) return make_error(Errc::out_of_budget, "{}", told(full));
    return Choice::leave;
  }
  show(full, offers);
  return ask(full, offers, conversation, source);
}

}  // namespace headrace::cli
