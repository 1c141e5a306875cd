// A conversation and the prompt that it makes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace headrace::cli {

/// A system message, exchanges (a message and its answer) and the turn that is being taken. Nothing that
/// anybody said becomes a special token.
class Conversation {
 public:
  Conversation(Tokenizer tokenizer, ChatTemplate chat)
      : tokenizer_(std::move(tokenizer)), template_(std::move(chat)) {}

  const std::string& system() const { return system_; }
  /// From the next prompt on; empty: none. Fails as the template does, for one without a place for it, and
  /// changes nothing then.
  Status set_system(const std::string& system);

  /// Begins a turn.
  void begin(std::string message);
  /// What has come of the answer so far: the prompt goes on from there.
  void set_partial(std::string answer) { turn_.answer = std::move(answer); }
  /// The turn becomes an exchange.
  void keep(std::string answer);
  /// The turn never was.
  void take_back() { turn_ = {}; }

  size_t exchanges() const { return exchanges_.size(); }
  void drop_oldest(size_t count);
  void clear();

  /// The tokens of the turn's prompt without the `without` oldest exchanges. Fails as the template does.
  Result<std::vector<int32_t>> prompt(size_t without = 0) const;

  struct Drop {
    size_t exchanges;
    size_t tokens;  // that go
  };
  /// The fewest exchanges whose absence makes the prompt fit into `limit` tokens; nothing if all don't
  /// suffice.
  Result<std::optional<Drop>> drop_for(size_t limit) const;

 private:
  struct Exchange {
    std::string message;
    std::string answer;
  };

  Tokenizer tokenizer_;
  ChatTemplate template_;
  std::string system_;
  std::vector<Exchange> exchanges_;
  Exchange turn_;
};

}  // namespace headrace::cli
