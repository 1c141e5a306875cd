// Python's semantics of values: truth, equality, order, printing, arithmetic, lookup.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace headrace::jinja {

// Errors of all of these: usage where Python raises TypeError, ValueError or the like; unsupported where we
// stop short of Python; out_of_budget for the limits.

Result<bool> truth(Runtime& runtime, const Value& value);
Result<bool> equal(Runtime& runtime, const Value& a, const Value& b);
/// Whether a < b.
Result<bool> less(Runtime& runtime, const Value& a, const Value& b);
Result<bool> compare(Runtime& runtime, CompareOp op, const Value& a, const Value& b);
/// needle in haystack
Result<bool> contains(Runtime& runtime, const Value& haystack, const Value& needle);
/// Whether a value may be a key of a dict.
bool is_hashable(const Value& value);
/// A dict from entries in order; a later equal key replaces the value of the earlier.
Result<Value> build_dict(Runtime& runtime, std::vector<Dict::Entry> entries);
/// The value under any key, or nullptr.
Result<const Value*> find_key(Runtime& runtime, const Dict& dict, const Value& key);

/// str(value). Text stays itself with its trust; all else is untrusted, for it may come from a message.
Result<Text> to_text(Runtime& runtime, const Value& value);
/// repr(value)
Result<std::string> repr(Runtime& runtime, const Value& value);
std::string format_real(double value);

struct JsonFormat {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // one level of it
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
/// json.dumps(value)
Result<std::string> to_json(Runtime& runtime, const Value& value, const JsonFormat& format);

Result<Value> arithmetic(Runtime& runtime, BinaryOp op, const Value& a, const Value& b);
Result<Value> negate(const Value& value);

/// What iterating over a value visits; marks an iterator as consumed.
Result<std::vector<Value>> elements(Runtime& runtime, const Value& value);
/// len(value)
Result<int64_t> length(const Value& value);
/// One character of a text per element.
Result<std::vector<Value>> characters(Runtime& runtime, const Text& text);

/// value.name as jinja2's sandbox looks it up: Python's attributes first, then the items.
Result<Value> attribute(Runtime& runtime, const Value& object, const std::string& name);
/// value[index]: items first, then attributes.
Result<Value> subscript(Runtime& runtime, const Value& object, const Value& index);
/// value[start:stop:step]; none stands for a missing bound.
Result<Value> slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                    const Value& step);

/// Stable. `keys` decide, `items` are put in their order.
Result<std::vector<Value>> sort_by(Runtime& runtime, const std::vector<Value>& items,
                                   const std::vector<Value>& keys, bool reverse);

}  // namespace headrace::jinja
