#include "decode/ngram_drafter.h"

#include <algorithm>

namespace headrace {
namespace {

// An earlier place that agrees with the end of the text.
struct Match {
  size_t next = 0;      // the token that followed there
  uint32_t length = 0;  // tokens that agree
};
constexpr size_t kMostMatches = 32;  // the latest

class NgramDrafter final : public Drafter {
 public:
  explicit NgramDrafter(const NgramOptions& options) : options_(options) { matches_.reserve(kMostMatches); }

  std::string_view name() const override { return "ngram"; }

  void propose(std::span<const DraftRequest> requests) override {
    for (const DraftRequest& request : requests) {
      if (request.most == 0 || request.tokens.size() < 2) continue;
      find_matches(request.tokens);
      extend(request);
    }
  }

 private:
  void find_matches(std::span<const int32_t> tokens) {
    matches_.clear();
    const size_t n = tokens.size();
    const size_t first = n > options_.look_back ? n - options_.look_back : 0;
    // `end` is one past an earlier occurrence of the last token.
    for (size_t end = n - 1; end > first && matches_.size() < kMostMatches; --end) {
      if (tokens[end - 1] != tokens[n - 1]) continue;
      uint32_t length = 1;
      while (length < options_.longest && length < end - first &&
             tokens[end - 1 - length] == tokens[n - 1 - length])
        ++length;
      if (length >= options_.shortest) matches_.push_back({end, length});
    }
  }

  // Longer agreements outvote shorter ones, later ones earlier ones of equal length.
  const Match& best() const {
    return *std::ranges::max_element(matches_, {}, [](const Match& m) { return m.length; });
  }

  // Token by token: the best match says what follows, and those that say otherwise are left behind.
  void extend(const DraftRequest& request) {
    const size_t n = request.tokens.size();
    // Past its own end the text is what the draft has made of it: a loop goes on as a loop.
    const auto token_at = [&](size_t at) {
      return at < n ? request.tokens[at] : request.draft->node(static_cast<uint32_t>(at - n)).token;
    };
    int32_t parent = Draft::kText;
    for (uint32_t i = 0; i < request.most && !matches_.empty(); ++i) {
      const Match chosen = best();
      const int32_t token = token_at(chosen.next);
      const size_t voters = matches_.size();
      std::erase_if(matches_, [&](const Match& m) { return token_at(m.next) != token; });
      const bool contested = matches_.size() < voters;
      parent = request.draft->add(token, parent, trust_of(chosen.length, contested, voters));
      for (Match& m : matches_) {
        ++m.next;
        ++m.length;
      }
    }
  }

  static uint8_t trust_of(uint32_t length, bool contested, size_t voters) {
    const uint8_t by_length = length <= 2 ? 0 : length == 3 ? 1 : length <= 5 ? 2 : length <= 9 ? 3 : 4;
    const uint8_t by_votes = contested ? 0 : voters == 1 ? 1 : 2;
    return static_cast<uint8_t>(3 * by_length + by_votes);
  }

  NgramOptions options_;
  std::vector<Match> matches_;
};

}  // namespace

std::unique_ptr<Drafter> make_ngram_drafter(const NgramOptions& options) {
  return std::make_unique<NgramDrafter>(options);
}

}  // namespace headrace
