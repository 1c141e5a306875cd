// R0's order for sums over K (docs/numerics.md): T segment sums, T = F * 2^p with F odd; F consecutive sums
// are added in order, then a perfect binary tree over the 2^p results.
#pragma once

#include <cstddef>

namespace headrace {

/// Adds segment sums as they come. Scalar; the kernel tiers repeat it in lanes (ops/cpu/kernels/tree_sum.h).
class TreeSum {
 public:
  explicit TreeSum(size_t segments) : odd_(segments) {
    while (odd_ % 2 == 0 && odd_ > 1) odd_ /= 2;
  }

  void add(float segment) {
    leaf_ = in_leaf_ == 0 ? segment : leaf_ + segment;
    if (++in_leaf_ < odd_) return;
    in_leaf_ = 0;
    float value = leaf_;
    size_t level = 0;
    for (size_t done = leaves_++; done % 2 == 1; done /= 2) value = stack_[level++] + value;
    stack_[level] = value;
    top_ = level;
  }

  /// The sum, once all segments have been added.
  float total() const { return stack_[top_]; }

 private:
  size_t odd_;
  size_t in_leaf_ = 0;
  size_t leaves_ = 0;
  size_t top_ = 0;
  float leaf_ = 0;
  float stack_[32] = {};
};

}  // namespace headrace
