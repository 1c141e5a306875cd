// The values of a template: Python's, as far as templates meet them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/text.h"

namespace headrace::jinja {

/// Everything that a rendering allocates. Objects live until the rendering ends, so values may point at each
/// other, in cycles too, and no deep chain is ever freed recursively.
struct Object {
  virtual ~Object() = default;
};

struct Sequence;
struct Dict;
struct Namespace;
struct Macro;
struct Loop;
struct Method;
struct Function;

class Value {
 public:
  enum class Kind : uint8_t {
    undefined,
    none,
    boolean,
    integer,
    real,
    text,
    sequence,
    dict,
    name_space,
    macro,
    loop,
    method,
    function,
  };

  Value() : Value(Kind::none) {}
  explicit Value(bool b) : Value(Kind::boolean) { boolean_ = b; }
  explicit Value(int64_t i) : Value(Kind::integer) { integer_ = i; }
  explicit Value(double d) : Value(Kind::real) { real_ = d; }
  explicit Value(const Text* t) : Value(Kind::text) { text_ = t; }
  explicit Value(const Sequence* s) : Value(Kind::sequence) { sequence_ = s; }
  explicit Value(const Dict* d) : Value(Kind::dict) { dict_ = d; }
  explicit Value(Namespace* n) : Value(Kind::name_space) { name_space_ = n; }
  explicit Value(const Macro* m) : Value(Kind::macro) { macro_ = m; }
  explicit Value(Loop* l) : Value(Kind::loop) { loop_ = l; }
  explicit Value(const Method* m) : Value(Kind::method) { method_ = m; }
  explicit Value(const Function* f) : Value(Kind::function) { function_ = f; }

  /// What a lookup of `name` gives when there is nothing; the string must outlive the value.
  static Value undefined(const std::string* name) {
    Value v(Kind::undefined);
    v.hint_ = name;
    return v;
  }
  /// The same with a whole sentence saying why.
  static Value undefined_because(const std::string* reason) {
    Value v = undefined(reason);
    v.hint_is_sentence_ = true;
    return v;
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_text() const { return kind_ == Kind::text; }
  /// An int or, as in Python, a bool.
  bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_number() const { return is_integral() || kind_ == Kind::real; }

  bool boolean() const { return boolean_; }
  int64_t integer() const { return kind_ == Kind::boolean ? int64_t{boolean_} : integer_; }
  double real() const { return kind_ == Kind::real ? real_ : static_cast<double>(integer()); }
  const Text& text() const { return *text_; }
  const Sequence& sequence() const { return *sequence_; }
  const Dict& dict() const { return *dict_; }
  Namespace& name_space() const { return *name_space_; }
  const Macro& macro() const { return *macro_; }
  Loop& loop() const { return *loop_; }
  const Method& method() const { return *method_; }
  const Function& function() const { return *function_; }

  /// For an undefined value: "'name' is undefined" or the reason.
  std::string why_undefined() const;
  /// Two values that are one object.
  bool same_object(const Value& other) const { return kind_ == other.kind_ && hint_ == other.hint_; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_;
  bool hint_is_sentence_ = false;
  union {
    bool boolean_;
    int64_t integer_;
    double real_;
    const Text* text_;
    const Sequence* sequence_;
    const Dict* dict_;
    Namespace* name_space_;
    const Macro* macro_;
    Loop* loop_;
    const Method* method_;
    const Function* function_;
    const std::string* hint_ = nullptr;
  };
};

struct TextObject : Object {
  explicit TextObject(Text t) : text(std::move(t)) {}
  Text text;
};

struct StringObject : Object {
  explicit StringObject(std::string s) : string(std::move(s)) {}
  std::string string;
};

/// Python's iterables with elements. They differ in what may be done to them: an iterator (map, select, items
/// and so on return one) can be walked once and has neither length nor elements by index; a view (of a dict)
/// has a length.
struct Sequence : Object {
  enum class Flavor : uint8_t { list, tuple, range, view, iterator };

  Sequence(Flavor f, std::vector<Value> v) : flavor(f), items(std::move(v)) {}
  bool has_length() const { return flavor != Flavor::iterator; }
  bool has_index() const { return has_length() && flavor != Flavor::view; }

  Flavor flavor;
  std::vector<Value> items;
  mutable bool consumed = false;  // an iterator that was walked
};

/// A dict in insertion order. Lookup is linear: template dicts have a handful of keys, and the work is
/// charged.
struct Dict : Object {
  using Entry = std::pair<Value, Value>;
  explicit Dict(std::vector<Entry> e) : entries(std::move(e)) {}

  /// The value under a string key, or nullptr.
  const Value* find(std::string_view key) const;

  std::vector<Entry> entries;
};

/// namespace(): the one value that templates can change.
struct Namespace : Object {
  std::vector<std::pair<std::string, Value>> attributes;
};

/// A method taken from a value but not called yet. `name` belongs to the template or to a text value.
struct Method : Object {
  Method(Value r, std::string_view n) : receiver(r), name(n) {}
  Value receiver;
  std::string_view name;
};

/// Python's name of the type, for messages.
std::string_view type_name(const Value& value);

}  // namespace headrace::jinja
