#include <algorithm>
#include <array>
#include <optional>

#include "core/file.h"
#include "core/utf8.h"
#include "text/jinja/token.h"
#include "text/jinja/unicode.h"

namespace headrace::jinja {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Longest first: the first that matches is the token.
constexpr std::array<std::string_view, 25> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                         "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                         ">",  "<",  "=",  ".",  ":",  "|",  ","};

std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      text += '\n';
    } else {
      text += source[i];
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();  // keep_trailing_newline is off
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : owned_(normalize_newlines(source)), source_(owned_) {}

  Result<std::vector<Token>> run();

 private:
  bool at(std::string_view text) const { return source_.substr(position_).starts_with(text); }
  char peek(size_t ahead = 0) const {
    return position_ + ahead < source_.size() ? source_[position_ + ahead] : '\0';
  }
  size_t skip_space(size_t from) const;
  void advance_to(size_t end) {
    line_ += static_cast<uint32_t>(std::count(source_.begin() + static_cast<ptrdiff_t>(position_),
                                              source_.begin() + static_cast<ptrdiff_t>(end), '\n'));
    position_ = end;
  }
  void push(TokenKind kind, std::string text = {}) { tokens_.push_back({kind, line_, std::move(text)}); }

  void push_data(size_t end, char sign, bool is_variable);
  std::optional<size_t> raw_tag_end(size_t tag, std::string_view keyword) const;
  size_t block_close(size_t from) const;
  Status lex_raw(size_t close);
  Status lex_comment();
  Status lex_tag(bool is_variable);
  bool close_tag(bool is_variable);
  Status lex_token();
  Status lex_string();
  Status append_escape(std::string& value);
  Status lex_number();
  Status lex_operator();

  std::string owned_;
  std::string_view source_;
  size_t position_ = 0;
  uint32_t line_ = 1;
  std::vector<Token> tokens_;
  std::string brackets_;  // closers that are awaited
};

size_t Lexer::skip_space(size_t from) const {
  while (from < source_.size()) {
    const Utf8Char c = decode_utf8(source_, from);
    if (!is_space(c.code_point)) break;
    from += c.size;
  }
  return from;
}

// Emits the text up to the tag at `end`, with the white space removed that the tag's sign or lstrip_blocks
// asks for.
void Lexer::push_data(size_t end, char sign, bool is_variable) {
  std::string_view text = source_.substr(position_, end - position_);
  if (sign == '-') {
    size_t kept = 0;
    for (size_t i = 0; i < text.size();) {
      const Utf8Char c = decode_utf8(text, i);
      i += c.size;
      if (!is_space(c.code_point)) kept = i;
    }
    text = text.substr(0, kept);
  } else if (sign != '+' && !is_variable) {
    const size_t newline = text.rfind('\n');
    const bool starts_line = position_ == 0 || source_[position_ - 1] == '\n';
    if (newline != std::string_view::npos || starts_line) {
      const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      if (skip_space(position_ + start) >= end) text = text.substr(0, start);
    }
  }
  if (!text.empty()) push(TokenKind::data, std::string(text));
  advance_to(end);
}

// Where "{%- keyword" with its closing goes up to the closing, or nothing if another tag stands there.
std::optional<size_t> Lexer::raw_tag_end(size_t tag, std::string_view keyword) const {
  size_t i = tag + 2;
  if (i < source_.size() && (source_[i] == '-' || source_[i] == '+')) ++i;
  i = skip_space(i);
  if (!source_.substr(i).starts_with(keyword)) return std::nullopt;
  i = skip_space(i + keyword.size());
  const std::string_view rest = source_.substr(i);
  if (rest.starts_with("%}") || rest.starts_with("-%}") || rest.starts_with("+%}")) return i;
  return std::nullopt;
}

// The end of "%}", "-%}" or "+%}" at `from`, with the white space that it swallows.
size_t Lexer::block_close(size_t from) const {
  if (source_[from] == '-') return skip_space(from + 3);
  if (source_[from] == '+') return from + 3;
  const size_t end = from + 2;
  return end < source_.size() && source_[end] == '\n' ? end + 1 : end;  // trim_blocks
}

Status Lexer::lex_raw(size_t close) {
  const uint32_t start = line_;
  // Unlike every other, a raw block's own tag swallows no newline.
  const size_t body = source_[close] == '%' ? close + 2 : block_close(close);
  advance_to(body);
  for (size_t tag = source_.find("{%", body); tag != std::string_view::npos;
       tag = source_.find("{%", tag + 1)) {
    const std::optional<size_t> end = raw_tag_end(tag, "endraw");
    if (!end) continue;
    push_data(tag, source_[tag + 2], false);
    advance_to(block_close(*end));
    return {};
  }
  return error_at(start, Errc::bad_model, "raw block without endraw");
}

Status Lexer::lex_comment() {
  const size_t close = source_.find("#}", position_);
  if (close == std::string_view::npos) return error_at(line_, Errc::bad_model, "comment without '#}}'");
  const char sign = close > position_ ? source_[close - 1] : '\0';
  const size_t end = close + 2;
  if (sign == '-') {
    advance_to(skip_space(end));
  } else if (sign != '+' && end < source_.size() && source_[end] == '\n') {
    advance_to(end + 1);
  } else {
    advance_to(end);
  }
  return {};
}

// Consumes the tag's closing if it stands here; inside brackets "}}" is two brackets.
bool Lexer::close_tag(bool is_variable) {
  if (!brackets_.empty()) return false;
  if (is_variable) {
    if (!at("}}") && !at("-}}")) return false;
    push(TokenKind::variable_end);
    advance_to(at("-") ? skip_space(position_ + 3) : position_ + 2);
    return true;
  }
  if (!at("%}") && !at("-%}") && !at("+%}")) return false;
  push(TokenKind::block_end);
  advance_to(block_close(position_));
  return true;
}

Status Lexer::lex_tag(bool is_variable) {
  const uint32_t start = line_;
  brackets_.clear();
  push(is_variable ? TokenKind::variable_begin : TokenKind::block_begin);
  position_ += 2;
  if (peek() == '-' || peek() == '+') ++position_;
  while (position_ < source_.size()) {
    advance_to(skip_space(position_));
    if (close_tag(is_variable)) return {};
    if (position_ < source_.size()) HEADRACE_RETURN_IF_ERROR(lex_token());
  }
  return error_at(start, Errc::bad_model, "tag without '{}'", is_variable ? "}}" : "%}");
}

Status Lexer::lex_token() {
  const char c = peek();
  if (is_digit(c)) return lex_number();
  if (c == '"' || c == '\'') return lex_string();
  if (!is_name_start(c)) return lex_operator();
  size_t end = position_;
  while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
  push(TokenKind::name, std::string(source_.substr(position_, end - position_)));
  advance_to(end);
  return {};
}

Status Lexer::lex_operator() {
  for (const std::string_view op : kOperators) {
    if (!at(op)) continue;
    if (op == "(") brackets_ += ')';
    if (op == "[") brackets_ += ']';
    if (op == "{") brackets_ += '}';
    if (op == ")" || op == "]" || op == "}") {
      if (brackets_.empty()) return error_at(line_, Errc::bad_model, "unexpected '{}'", op);
      if (brackets_.back() != op[0]) {
        return error_at(line_, Errc::bad_model, "unexpected '{}', expected '{}'", op, brackets_.back());
      }
      brackets_.pop_back();
    }
    push(TokenKind::op, std::string(op));
    advance_to(position_ + op.size());
    return {};
  }
  const Utf8Char c = decode_utf8(source_, position_);
  return error_at(line_, Errc::bad_model, "unexpected character '{}'",
                  printable(source_.substr(position_, c.size)));
}

Status Lexer::lex_number() {
  const auto digits = [this](size_t from) {  // digits with single underscores between them
    while (from < source_.size() &&
           (is_digit(source_[from]) ||
            (source_[from] == '_' && from + 1 < source_.size() && is_digit(source_[from + 1])))) {
      ++from;
    }
    return from;
  };
  size_t end = position_;
  TokenKind kind = TokenKind::integer;
  const char mark = static_cast<char>(peek(1) | 0x20);
  if (peek() == '0' && (mark == 'x' || mark == 'o' || mark == 'b')) {
    end += 2;
    while (end < source_.size() && (hex_digit(source_[end]) >= 0 || source_[end] == '_')) ++end;
  } else {
    end = digits(end);
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      kind = TokenKind::real;
      end = digits(end + 1);
    }
    if (end + 1 < source_.size() && (source_[end] | 0x20) == 'e') {
      const size_t exponent = end + 1 + (source_[end + 1] == '+' || source_[end + 1] == '-' ? 1 : 0);
      if (exponent < source_.size() && is_digit(source_[exponent])) {
        kind = TokenKind::real;
        end = digits(exponent);
      }
    }
  }
  std::string text(source_.substr(position_, end - position_));
  std::erase(text, '_');
  push(kind, std::move(text));
  advance_to(end);
  return {};
}

Status Lexer::lex_string() {
  const uint32_t start = line_;
  const char quote = peek();
  std::string value;
  advance_to(position_ + 1);
  while (position_ < source_.size() && peek() != quote) {
    if (peek() == '\\') {
      HEADRACE_RETURN_IF_ERROR(append_escape(value));
    } else {
      value += peek();
      advance_to(position_ + 1);
    }
  }
  if (position_ >= source_.size())
    return error_at(start, Errc::bad_model, "string without closing {}", quote);
  advance_to(position_ + 1);
  tokens_.push_back({TokenKind::string, start, std::move(value)});
  return {};
}

// Python's escapes. One that Python does not know stands for itself, backslash included.
Status Lexer::append_escape(std::string& value) {
  constexpr std::string_view kLetters = "\n\\'\"abfnrtv";
  constexpr std::array<std::string_view, kLetters.size()> kMeanings = {"",   "\\", "'",  "\"", "\a", "\b",
                                                                       "\f", "\n", "\r", "\t", "\v"};
  const char c = peek(1);
  if (const size_t i = kLetters.find(c); c != '\0' && i != std::string_view::npos) {
    value += kMeanings[i];
    advance_to(position_ + 2);
    return {};
  }
  uint32_t code_point = 0;
  size_t end = position_ + 1;
  if (c >= '0' && c <= '7') {
    while (end < position_ + 4 && end < source_.size() && source_[end] >= '0' && source_[end] <= '7') {
      code_point = code_point * 8 + static_cast<uint32_t>(source_[end++] - '0');
    }
  } else if (c == 'x' || c == 'u' || c == 'U') {
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
    for (++end; end < position_ + 2 + digits; ++end) {
      const int digit = end < source_.size() ? hex_digit(source_[end]) : -1;
      if (digit < 0)
        return error_at(line_, Errc::bad_model, "escape \\{} needs {} hexadecimal digits", c, digits);
      code_point = code_point * 16 + static_cast<uint32_t>(digit);
    }
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
      return error_at(line_, Errc::bad_model, "escape \\{} names U+{:X}, which is not a character", c,
                      code_point);
    }
  } else if (c == 'N') {
    return error_at(line_, Errc::unsupported, "escape \\N is not supported");
  } else {
    value += '\\';
    advance_to(end);
    return {};
  }
  append_utf8(value, code_point);
  advance_to(end);
  return {};
}

Result<std::vector<Token>> Lexer::run() {
  while (position_ < source_.size()) {
    size_t tag = source_.find('{', position_);
    while (tag != std::string_view::npos &&
           (tag + 1 >= source_.size() ||
            std::string_view("%{#").find(source_[tag + 1]) == std::string_view::npos)) {
      tag = source_.find('{', tag + 1);
    }
    if (tag == std::string_view::npos) {
      push(TokenKind::data, std::string(source_.substr(position_)));
      advance_to(source_.size());
      break;
    }
    const char type = source_[tag + 1];
    push_data(tag, tag + 2 < source_.size() ? source_[tag + 2] : '\0', type == '{');
    if (type == '#') {
      position_ += 2;
      if (peek() == '-' || peek() == '+') ++position_;
      HEADRACE_RETURN_IF_ERROR(lex_comment());
    } else if (const auto close = type == '%' ? raw_tag_end(tag, "raw") : std::nullopt; close) {
      HEADRACE_RETURN_IF_ERROR(lex_raw(*close));
    } else {
      HEADRACE_RETURN_IF_ERROR(lex_tag(type == '{'));
    }
  }
  push(TokenKind::end);
  return std::move(tokens_);
}

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace headrace::jinja
