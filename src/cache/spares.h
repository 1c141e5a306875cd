// Elements of std::sets that wait for their next use, so that sets which grow and shrink all the time leave
// the heap alone.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace headrace {

/// Serves any number of sets of one type. Takes memory only for more elements than there ever were.
template <typename Set>
class Spares {
 public:
  using Value = typename Set::value_type;

  /// Makes `count` more.
  void add(size_t count) {
    made_ += count;
    spares_.reserve(made_);  // so that all can come back
    for (Set one; count > 0; --count) {
      one.emplace();
      spares_.push_back(one.extract(one.begin()));
    }
  }

  /// As set.insert().
  std::pair<typename Set::iterator, bool> insert(Set& set, const Value& value) {
    if (spares_.empty()) add(made_ + 1);
    auto spare = std::move(spares_.back());
    spares_.pop_back();
    spare.value() = value;
    auto done = set.insert(std::move(spare));
    if (!done.inserted) spares_.push_back(std::move(done.node));
    return {done.position, done.inserted};
  }

  /// As set.erase(); `value` is in the set.
  void erase(Set& set, const Value& value) { spares_.push_back(set.extract(set.find(value))); }

 private:
  std::vector<typename Set::node_type> spares_;
  size_t made_ = 0;
};

}  // namespace headrace
