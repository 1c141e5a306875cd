#include "decode/ngram_drafter.h"

#include <algorithm>

namespace headrace {
namespace {

// Where the text that agrees longest with the end goes on, the latest among equals.
struct Match {
  size_t next = 0;
  uint32_t length = 0;
};

Match find_match(std::span<const int32_t> tokens, const NgramOptions& options) {
  Match best;
  const size_t n = tokens.size();
  const size_t first = n > options.look_back ? n - options.look_back : 0;
  // `end` is one past an earlier occurrence of the last token.
  for (size_t end = n - 1; end > first; --end) {
    if (tokens[end - 1] != tokens[n - 1]) continue;
    uint32_t length = 1;
    while (length < options.longest && length < end - first &&
           tokens[end - 1 - length] == tokens[n - 1 - length])
      ++length;
    if (length <= best.length) continue;
    best = {end, length};
    if (length == options.longest) break;
  }
  return best.length >= options.shortest ? best : Match();
}

class NgramDrafter final : public Drafter {
 public:
  explicit NgramDrafter(const NgramOptions& options) : options_(options) {}

  std::string_view name() const override { return "ngram"; }

  void propose(std::span<const DraftRequest> requests) override {
    for (const DraftRequest& request : requests) {
      if (request.most == 0 || request.tokens.size() < 2) continue;
      const Match match = find_match(request.tokens, options_);
      if (match.length == 0) continue;
      const auto trust = static_cast<uint8_t>(std::min(match.length - options_.shortest, kTrustClasses - 1));
      // Past its own end the text is what the draft has made of it: a loop goes on as a loop.
      const size_t n = request.tokens.size();
      int32_t parent = Draft::kText;
      for (uint32_t i = 0; i < request.most; ++i) {
        const size_t at = match.next + i;
        const int32_t token =
            at < n ? request.tokens[at] : request.draft->node(static_cast<uint32_t>(at - n)).token;
        parent = request.draft->add(token, parent, trust);
      }
    }
  }

 private:
  NgramOptions options_;
};

}  // namespace

std::unique_ptr<Drafter> make_ngram_drafter(const NgramOptions& options) {
  return std::make_unique<NgramDrafter>(options);
}

}  // namespace headrace
