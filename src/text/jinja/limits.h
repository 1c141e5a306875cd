// What a chat template may spend. Templates come with downloaded models: one that loops, recurses or
// multiplies strings must end in an error, and an honest one never comes near these figures.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headrace::jinja {

inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;
/// Levels of brackets, operators and tags inside each other. Bounds the stack of the parser and of everything
/// that walks a tree later.
inline constexpr size_t kMaxNesting = 150;
/// Nested evaluations, macro calls included, and levels of nested data.
inline constexpr size_t kMaxDepth = 400;
/// Units of work of one rendering: about one per node evaluated, element visited or 32 bytes of text touched.
inline constexpr uint64_t kMaxWork = 10'000'000;
/// Of them, what a macro call takes for its scope and its arguments.
inline constexpr uint64_t kMacroCallWork = 10;
inline constexpr uint64_t kMaxLoopIterations = 1'000'000;
/// Bytes of all values that one rendering creates; they are freed together at its end.
inline constexpr uint64_t kMaxValueBytes = uint64_t{256} << 20;
inline constexpr size_t kMaxOutputBytes = size_t{64} << 20;
/// Elements of range(): jinja2's own limit.
inline constexpr uint64_t kMaxRange = 100'000;

}  // namespace headrace::jinja
