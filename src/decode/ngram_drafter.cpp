#include "decode/ngram_drafter.h"

#include <algorithm>
#include <array>

namespace headrace {
namespace {

// An earlier place that agrees with the end of the text.
struct Match {
  size_t next = 0;      // the token that followed there
  uint32_t length = 0;  // tokens that agree
};
constexpr size_t kMostMatches = 32;  // the latest

// A way that was not the likeliest is gone down this many tokens later.
constexpr uint32_t kDoubt = 2;

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
  static const Match& best(std::span<const Match> matches) {
    return *std::ranges::max_element(matches, {}, [](const Match& m) { return m.length; });
  }

  // A place where the draft may go on: what may follow a node, by matches that agree with all before.
  struct Path {
    int32_t parent = Draft::kText;
    size_t first = 0;  // of its matches
    size_t count = 0;
    uint32_t depth = 0;
    uint32_t doubt = 0;  // other ways that were likelier, from the text to here
    uint32_t priority() const { return depth + kDoubt * doubt; }
  };

  // Node by node: the best match of a path says what follows, those that say otherwise are left behind or, as
  // long as the draft may have one branch more, become a path of their own.
  void extend(const DraftRequest& request) {
    std::array<Path, kMaxDraftBranches> paths;
    size_t n_paths = 1;
    paths[0] = {.count = matches_.size()};
    const size_t most_paths = std::min<size_t>(request.branches, kMaxDraftBranches);
    while (request.draft->size() < request.most) {
      Path* next = nullptr;
      for (Path& path : std::span(paths).first(n_paths)) {
        if (path.count > 0 && (next == nullptr || path.priority() < next->priority())) next = &path;
      }
      if (next == nullptr) return;
      Path& path = *next;
      const std::span<Match> matches = std::span(matches_).subspan(path.first, path.count);
      const Match chosen = best(matches);
      const int32_t token = token_at(request, path.parent, chosen.next);
      const size_t agree = agreeing_first(
          matches, [&](const Match& m) { return token_at(request, path.parent, m.next) == token; });
      const size_t others = path.count - agree;
      const uint8_t trust = trust_of(chosen.length, others > 0, path.count);
      if (others > 0 && n_paths < most_paths)
        paths[n_paths++] = {path.parent, path.first + agree, others, path.depth, path.doubt + 1};
      path.parent = request.draft->add(token, path.parent, trust);
      path.count = agree;
      ++path.depth;
      for (Match& m : matches.first(agree)) {
        ++m.next;
        ++m.length;
      }
    }
  }

  // Moves them to the front, the order of all others kept, without memory of the heap; returns their number.
  template <typename Agrees>
  static size_t agreeing_first(std::span<Match> matches, Agrees agrees) {
    size_t count = 0;
    for (size_t i = 0; i < matches.size(); ++i) {
      if (!agrees(matches[i])) continue;
      const Match match = matches[i];
      std::copy_backward(matches.begin() + static_cast<ptrdiff_t>(count),
                         matches.begin() + static_cast<ptrdiff_t>(i),
                         matches.begin() + static_cast<ptrdiff_t>(i) + 1);
      matches[count++] = match;
    }
    return count;
  }

  // Past its own end the text is what the draft has made of it: a loop goes on as a loop.
  static int32_t token_at(const DraftRequest& request, int32_t parent, size_t at) {
    const size_t n = request.tokens.size();
    if (at < n) return request.tokens[at];
    const Draft& draft = *request.draft;
    int32_t node = parent;
    while (draft.node(static_cast<uint32_t>(node)).depth > at - n + 1)
      node = draft.node(static_cast<uint32_t>(node)).parent;
    return draft.node(static_cast<uint32_t>(node)).token;
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
