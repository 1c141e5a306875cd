#include "exactness/testing/toy_engine.h"

#include <algorithm>
#include <array>
#include <limits>

#include "exactness/random.h"

namespace headrace::testing {
namespace {

using exactness::mix;

constexpr uint32_t kPage = 64;
constexpr uint32_t kLayers = 3;
constexpr uint32_t kVocab = 500;
constexpr uint64_t kVisible = uint64_t{1} << 40;  // of the bits that hidden states show

class ToyModel final : public Model {
 public:
  explicit ToyModel(const ToyModelOptions& options) {
    info_.n_layers = kLayers;
    info_.vocab_size = kVocab;
    info_.context_length = options.context_length;
    if (options.window > 0) groups_.push_back({"window", 1, 1, 64, options.window});
    groups_.push_back({"full", options.window > 0 ? kLayers - 1 : kLayers, 1, 64, 0});
  }
  size_t workspace_floats(size_t) const override { return 0; }
  void forward(const Ops&, const Step&, Workspace&, Mat) const override {}
  void logits(const Ops&, ConstMat, Mat) const override {}
};

struct Page {
  std::array<std::array<uint64_t, kLayers>, kPage> tokens{};
  uint32_t owners = 0;
  uint32_t uses = 0;
};

struct Sequence {
  RequestId id = 0;
  uint32_t choice = 0;
  Request request;
  Place place;
  std::vector<int32_t> tokens;
  uint32_t computed = 0;
  uint32_t from_cache = 0;
  uint32_t scored_to = 0;  // what was computed again is not scored again
  std::vector<uint32_t> pages;
  RequestReport report;
  bool admitted_once = false;
  bool cancelled = false;
  bool rests = false;  // preempted in this step
  bool done = false;

  uint32_t known() const { return static_cast<uint32_t>(tokens.size()); }
  uint32_t left() const { return known() - computed; }
};

struct Cached {
  std::vector<int32_t> tokens;
  std::vector<uint32_t> pages;
  uint64_t salt = 0;
};

class ToyEngine final : public Engine {
 public:
  ToyEngine(std::unique_ptr<Model> model, const EngineOptions& options, ToyFault fault)
      : model_(std::move(model)), options_(options), fault_(fault), pages_(options.kv_tokens / kPage) {
    for (const LayerGroup& group : model_->layer_groups()) window_ = std::max(window_, group.window);
  }

  const Model& model() const override { return *model_; }
  const Backend& backend() const override { panic("a toy has no backend", __FILE__, __LINE__); }
  uint32_t context() const override { return options_.context; }
  Result<RequestId> submit(Request request) override;
  void cancel(RequestId request) override {
    for (Sequence& s : sequences_) s.cancelled |= s.id == request;
    for (Sequence& s : waiting_) s.cancelled |= s.id == request;
  }
  void cancel(RequestId request, uint32_t) override { cancel(request); }
  bool idle() const override { return sequences_.empty() && waiting_.empty(); }
  void step(std::vector<Event>& events) override;
  EngineStats stats() const override {
    EngineStats stats = stats_;
    stats.running = static_cast<uint32_t>(sequences_.size());
    stats.waiting = static_cast<uint32_t>(waiting_.size());
    return stats;
  }
  StepLimits limits() const override { return limits_; }
  void set_limits(const StepLimits& limits) override { limits_ = limits; }
  void clear_cache() override {
    for (const Cached& cached : cached_) release(cached.pages);
    cached_.clear();
  }
  Status check_books() const override;

 private:
  void release(const std::vector<uint32_t>& pages) {
    for (const uint32_t page : pages) --pages_[page].owners;
  }
  size_t used() const {
    return static_cast<size_t>(std::ranges::count_if(pages_, [](const Page& p) { return p.owners > 0; }));
  }
  size_t allowed_pages() const {
    if (limits_.kv_tokens == 0) return pages_.size();
    return std::min<size_t>(pages_.size(), std::max<size_t>(limits_.kv_tokens, options_.context) / kPage);
  }
  std::optional<uint32_t> take_page();
  void keep(Sequence& s);
  void drop_cancelled(std::vector<Event>& events);
  bool make_room(const Sequence& s);
  size_t first_in_line() const;
  void give_way();
  void preempt(size_t index);
  void find_prefix(Sequence& s);
  uint32_t plan_rows(Sequence& s, uint32_t budget);
  void admit(uint32_t& budget);
  uint64_t run_row(Sequence& s, uint32_t position, uint32_t step_rows);
  void output(Sequence& s, size_t index, uint32_t position, uint64_t hidden, std::vector<Event>& events);

  std::unique_ptr<Model> model_;
  EngineOptions options_;
  ToyFault fault_;
  uint32_t window_ = 0;
  StepLimits limits_;
  EngineStats stats_;
  std::vector<Page> pages_;
  std::vector<Cached> cached_;  // oldest first
  std::vector<Sequence> waiting_;
  std::vector<Sequence> sequences_;
  std::vector<std::pair<RequestId, uint32_t>> planned_;  // of the step; places in sequences_ move
  std::vector<uint32_t> counts_;
  RequestId next_ = 1;
  int64_t now_ = 0;
};

Result<RequestId> ToyEngine::submit(Request request) {
  if (request.prompt.empty() || request.prompt.size() > options_.context)
    return make_error(Errc::usage, "a prompt of {} tokens", request.prompt.size());
  for (uint32_t i = 0; i < request.n; ++i) {
    Sequence s;
    s.id = next_;
    s.choice = i;
    s.tokens = request.prompt;
    s.request = request;
    s.place = {now_ - int64_t{request.priority} * kStepsPerPriority, next_ * 8 + i};
    waiting_.push_back(std::move(s));
  }
  return next_++;
}

std::optional<uint32_t> ToyEngine::take_page() {
  const size_t allowed =
      limits_.kv_tokens == 0 ? pages_.size() : std::max<size_t>(limits_.kv_tokens, options_.context) / kPage;
  while (used() >= allowed && !cached_.empty()) {
    release(cached_.front().pages);
    cached_.erase(cached_.begin());
  }
  if (used() >= allowed) return std::nullopt;
  const auto page = std::ranges::find(pages_, 0U, &Page::owners);
  const auto old = page->tokens[0];
  page->tokens = {};
  page->owners = 1;
  if (++page->uses > 2 && fault_ == ToyFault::stale_page) page->tokens[0] = old;
  return static_cast<uint32_t>(page - pages_.begin());
}

// What a sequence computed stays behind for others.
void ToyEngine::keep(Sequence& s) {
  if (limits_.prefix_cache && s.computed > 0) {
    Cached cached = {.tokens = s.tokens, .pages = s.pages, .salt = s.request.cache_salt};
    cached.tokens.resize(s.computed);
    cached.pages.resize((s.computed + kPage - 1) / kPage);
    for (const uint32_t page : cached.pages) ++pages_[page].owners;
    cached_.push_back(std::move(cached));
  }
  release(s.pages);
  s.pages.clear();
}

Status ToyEngine::check_books() const {
  std::vector<uint32_t> owners(pages_.size());
  for (const Cached& cached : cached_)
    for (const uint32_t page : cached.pages) ++owners[page];
  for (const Sequence& s : sequences_)
    for (const uint32_t page : s.pages) ++owners[page];
  for (size_t i = 0; i < pages_.size(); ++i) {
    if (owners[i] != pages_[i].owners)
      return make_error(Errc::io, "page {}: expected {} owners, found {}", i, owners[i], pages_[i].owners);
  }
  return {};
}

void ToyEngine::drop_cancelled(std::vector<Event>& events) {
  const auto drop = [&](Sequence& s) {
    if (!s.cancelled) return false;
    keep(s);
    Event event;
    event.request = s.id;
    event.choice = s.choice;
    event.finished = FinishReason::cancelled;
    if (fault_ != ToyFault::lost_end || s.id % 16 != 0) events.push_back(std::move(event));
    return true;
  };
  for (auto* list : {&sequences_, &waiting_}) {
    for (size_t i = 0; i < list->size();) {
      if (drop((*list)[i]))
        list->erase(list->begin() + static_cast<ptrdiff_t>(i));
      else
        ++i;
    }
  }
}

void ToyEngine::preempt(size_t index) {
  Sequence s = std::move(sequences_[index]);
  sequences_.erase(sequences_.begin() + static_cast<ptrdiff_t>(index));
  if (fault_ == ToyFault::page_leak && !s.pages.empty()) ++pages_[s.pages.front()].owners;
  keep(s);
  s.computed = 0;
  s.rests = true;
  ++s.report.preemptions;
  ++stats_.preemptions;
  waiting_.push_back(std::move(s));
}

// Preempts the last in line behind `s`, or nobody.
bool ToyEngine::make_room(const Sequence& s) {
  size_t last = sequences_.size();
  for (size_t i = 0; i < sequences_.size(); ++i) {
    const bool planned = std::ranges::count(planned_, std::pair(sequences_[i].id, sequences_[i].choice)) > 0;
    if (planned || sequences_[i].place <= s.place) continue;
    if (last == sequences_.size() || sequences_[last].place < sequences_[i].place) last = i;
  }
  if (last == sequences_.size()) return false;
  preempt(last);
  return true;
}

size_t ToyEngine::first_in_line() const {
  size_t first = waiting_.size();
  for (size_t i = 0; i < waiting_.size(); ++i)
    if (!waiting_[i].rests && (first == waiting_.size() || waiting_[i].place < waiting_[first].place))
      first = i;
  return first;
}

// Who is first in line takes the place of those of lower priority, if there is no other.
void ToyEngine::give_way() {
  const size_t first = first_in_line();
  if (first == waiting_.size()) return;
  const int32_t priority = waiting_[first].request.priority;
  const size_t needed = (waiting_[first].known() + kPage - 1) / kPage;
  while (!sequences_.empty()) {
    size_t held = 0;
    for (const Sequence& s : sequences_) held += s.pages.size();
    if (sequences_.size() < limits_.sequences && held + needed <= allowed_pages()) return;
    const auto last = std::ranges::max_element(sequences_, {}, &Sequence::place);
    if (last->request.priority >= priority) return;
    preempt(static_cast<size_t>(last - sequences_.begin()));
  }
}

void ToyEngine::find_prefix(Sequence& s) {
  s.from_cache = 0;
  const Cached* best = nullptr;
  uint32_t most = s.known() - 1;
  // Rows whose output is still wanted are computed, whoever else has computed them.
  const auto last = static_cast<uint32_t>(s.request.prompt.size()) - 1;
  if (s.request.score_from && s.scored_to < last)
    most = std::min(most, std::max(*s.request.score_from, s.scored_to + 1) - 1);
  for (const Cached& cached : cached_) {
    if (!limits_.prefix_cache || cached.salt != s.request.cache_salt) continue;
    const auto [a, b] = std::ranges::mismatch(s.tokens, cached.tokens);
    const uint32_t same = std::min(most, static_cast<uint32_t>(a - s.tokens.begin()));
    if (same <= s.from_cache) continue;
    s.from_cache = same;
    best = &cached;
  }
  if (best != nullptr) {
    const uint32_t whole = s.from_cache / kPage;
    s.pages.assign(best->pages.begin(), best->pages.begin() + whole);
    for (const uint32_t page : s.pages) ++pages_[page].owners;
    if (s.from_cache % kPage != 0) {
      const auto tokens = pages_[best->pages[whole]].tokens;
      if (const auto copy = take_page()) {
        pages_[*copy].tokens = tokens;
        s.pages.push_back(*copy);
      } else {
        s.from_cache = whole * kPage;
      }
    }
  }
  if (!s.admitted_once) s.report.reuse.tokens = s.from_cache;
  s.computed = s.from_cache;
  if (fault_ == ToyFault::reuse_by_one && s.from_cache % kPage != 0 && s.left() > 1) ++s.computed;
  s.admitted_once = true;
}

// Rows that `s` gets in this step, with pages for them.
uint32_t ToyEngine::plan_rows(Sequence& s, uint32_t budget) {
  uint32_t count = std::min(budget, s.left());
  if (limits_.chunk > 0) count = std::min(count, limits_.chunk);
  while (s.pages.size() * kPage < s.computed + count) {
    const std::optional<uint32_t> page = take_page();
    if (!page) break;
    s.pages.push_back(*page);
  }
  const auto room = static_cast<uint32_t>(s.pages.size() * kPage) - s.computed;
  return std::min(count, room);
}

void ToyEngine::admit(uint32_t& budget) {
  while (budget > 0) {
    const size_t first = first_in_line();
    if (first == waiting_.size()) return;
    Sequence s = std::move(waiting_[first]);
    waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(first));
    uint32_t count = 0;
    if (sequences_.size() < limits_.sequences) {
      find_prefix(s);
      while ((count = plan_rows(s, budget)) == 0 && make_room(s)) {
      }
    }
    if (count == 0) {
      release(s.pages);
      s.pages.clear();
      s.computed = 0;
      waiting_.push_back(std::move(s));
      return;
    }
    budget -= count;
    planned_.emplace_back(s.id, s.choice);
    counts_.push_back(count);
    sequences_.push_back(std::move(s));
  }
}

uint64_t ToyEngine::run_row(Sequence& s, uint32_t position, uint32_t step_rows) {
  Page& own = pages_[s.pages[position / kPage]];
  uint64_t h = mix(static_cast<uint64_t>(s.tokens[position]), position);
  const bool again = s.report.preemptions > 0 && position + 1 == s.known();
  if (fault_ == ToyFault::preempted_token && again) ++h;
  if (fault_ == ToyFault::position_512 && position % 512 == 0 && position > 0 && s.computed > 0) ++h;
  for (uint32_t layer = 0; layer < kLayers; ++layer) {
    uint64_t& value = own.tokens[position % kPage][layer];
    if (fault_ != ToyFault::stale_page || position % kPage != 0 || value == 0) value = mix(h, layer);
    uint32_t window = layer == 0 ? window_ : 0;
    if (window > 0 && fault_ == ToyFault::window_wide) ++window;
    if (window > 0 && fault_ == ToyFault::window_narrow) --window;
    if (window > 0 && fault_ == ToyFault::window_retires && s.computed > 0 && position % kPage == 0) --window;
    const uint32_t begin = window > 0 && position + 1 > window ? position + 1 - window : 0;
    uint64_t seen = layer;
    for (uint32_t p = begin; p <= position; ++p) {
      uint64_t key = pages_[s.pages[p / kPage]].tokens[p % kPage][layer];
      if (fault_ == ToyFault::other_type && p < s.from_cache) key &= ~uint64_t{1};
      seen = (seen ^ key) * 0x9E3779B97F4A7C15U;
      seen ^= seen >> 32;
    }
    h = mix(h, seen);
    const bool two = limits_.decode_threads == 2 || limits_.batch_threads == 2;
    if (fault_ == ToyFault::rows_256 && step_rows >= 256 && layer == 2) h ^= kVisible;
    if (fault_ == ToyFault::batch_norm && step_rows == 1 && layer == 1) h ^= kVisible;
    if (fault_ == ToyFault::order_of_two && two && layer == 1) h ^= kVisible;
    const float hidden[2] = {static_cast<float>(h >> 40), static_cast<float>(h >> 16 & 0xFFFFFF)};
    LayerObserver* observer = options_.observer;
    if (observer != nullptr && observer->wants(s.id)) observer->see(s.id, s.choice, position, layer, hidden);
  }
  return h;
}

// The token after `position`: scored if it is the prompt's, drawn if it is new.
void ToyEngine::output(Sequence& s, size_t index, uint32_t position, uint64_t hidden,
                       std::vector<Event>& events) {
  const Request& request = s.request;
  const uint32_t next = position + 1;
  const auto prompt_tokens = static_cast<uint32_t>(request.prompt.size());
  Event event;
  event.request = s.id;
  event.choice = s.choice;
  event.has_token = true;
  event.position = next;
  uint64_t key = mix(hidden, 99);
  event.draw.logprob = -static_cast<double>(key >> 40);
  if (request.score_from && next >= *request.score_from && next < prompt_tokens && next > s.scored_to) {
    s.scored_to = next;
    event.scored = true;
    event.draw.token = request.prompt[next];
    events.push_back(std::move(event));
  } else if (next == s.known() && request.max_new_tokens > 0) {
    if (request.sampling.temperature > 0)
      key = mix(mix(key, request.sampling.seed), request.sampling.choice + s.choice);
    if (fault_ == ToyFault::draw_by_index) key = mix(key, index);
    event.draw.token = static_cast<int32_t>(key % kVocab);
    for (uint32_t i = 0; i < request.sampling.n_top_logprobs; ++i)
      event.draw.top.push_back({static_cast<int32_t>(i), event.draw.logprob - i});
    s.tokens.push_back(event.draw.token);
    s.done = s.known() - prompt_tokens >= request.max_new_tokens || s.known() >= options_.context;
    if (s.done) {
      event.finished = FinishReason::length;
      event.report = s.report;
    }
    events.push_back(std::move(event));
  } else if (next == s.known()) {
    s.done = true;
    event.has_token = false;
    event.finished = FinishReason::length;
    event.report = s.report;
    events.push_back(std::move(event));
  }
}

void ToyEngine::step(std::vector<Event>& events) {
  ++now_;
  drop_cancelled(events);
  for (Sequence& s : waiting_) s.rests = false;
  planned_.clear();
  counts_.clear();
  give_way();
  uint32_t budget = limits_.rows;
  // Those that write first, each kind in line.
  for (const bool writes : {true, false}) {
    std::ranges::sort(sequences_, {}, &Sequence::place);
    for (size_t i = 0; i < sequences_.size() && budget > 0; ++i) {
      if ((sequences_[i].left() == 1) != writes) continue;
      const std::pair who(sequences_[i].id, sequences_[i].choice);
      if (std::ranges::count(planned_, who) > 0) continue;
      uint32_t count = 0;
      while ((count = plan_rows(sequences_[i], budget)) == 0) {
        if (!make_room(sequences_[i])) break;
        i = static_cast<size_t>(
            std::ranges::find_if(sequences_,
                                 [&](const Sequence& s) { return std::pair(s.id, s.choice) == who; }) -
            sequences_.begin());
      }
      if (count == 0) {
        preempt(i--);
        continue;
      }
      budget -= count;
      planned_.push_back(who);
      counts_.push_back(count);
    }
  }
  admit(budget);
  uint32_t rows = 0;
  for (const uint32_t count : counts_) rows += count;
  stats_.last_step_rows = rows;
  stats_.rows += rows;
  stats_.steps += rows > 0 ? 1 : 0;
  for (size_t i = 0; i < planned_.size(); ++i) {
    Sequence& s = *std::ranges::find_if(
        sequences_, [&](const Sequence& r) { return std::pair(r.id, r.choice) == planned_[i]; });
    const uint32_t begin = s.computed;
    for (uint32_t position = begin; position < begin + counts_[i]; ++position) {
      const uint64_t hidden = run_row(s, position, rows);
      if (window_ > 0 && position >= window_ + kPage && position % kPage == 0) ++stats_.retired_pages;
      output(s, i, position, hidden, events);
    }
    s.computed += counts_[i];
  }
  for (Sequence& s : sequences_)
    if (s.done) keep(s);
  std::erase_if(sequences_, [](const Sequence& s) { return s.done; });
}

}  // namespace

std::unique_ptr<Model> toy_model(const ToyModelOptions& options) {
  return std::make_unique<ToyModel>(options);
}

std::unique_ptr<Engine> toy_engine(std::unique_ptr<Model> model, const EngineOptions& options,
                                   ToyFault fault) {
  return std::make_unique<ToyEngine>(std::move(model), options, fault);
}

}  // namespace headrace::testing
