#include "text/tokenizer_json_file.h"

#include <cstddef>
#include <exception>
#include <limits>
#include <optional>

#include "core/file.h"
#include "text/tokenizer_json.h"

namespace headrace {
namespace {

using Json = nlohmann::json;

// How much of a name or a token a message shows.
constexpr size_t kShownBytes = 60;

std::string shown(std::string_view text) {
  return printable(text, kShownBytes);
}

// What nlohmann's parser calls, member for member; false ends the parsing.
class Reader {
 public:
  /// `file` may be null: then nothing is kept apart.
  explicit Reader(TokenizerJsonFile* file) : file_(file) {}

  Json take_document() { return std::move(root_); }
  std::optional<Error>& error() { return error_; }

  bool null() { return value("null", Json()); }
  bool boolean(bool b) { return value("true or false", Json(b)); }
  bool number_float(double x, const std::string&) { return value("a fraction", Json(x)); }
  bool binary(Json::binary_t&) { return false; }
  bool number_integer(int64_t n) {
    return part_ == Part::vocab ? token(n) : value("a negative number", Json(n));
  }
  bool number_unsigned(uint64_t n) {
    if (part_ != Part::vocab) return value("a number", Json(n));
    constexpr auto kMost = std::numeric_limits<int64_t>::max();
    return token(n > uint64_t{kMost} ? kMost : static_cast<int64_t>(n));
  }
  bool string(std::string& text) {
    if (part_ == Part::merges) return merge(text);
    if (part_ == Part::pair) return half_of_merge(text);
    return value("a string", Json(std::move(text)));
  }

  bool start_object(size_t) {
    if (part_ != Part::document) return unexpected("an object");
    if (at_model_member("vocab")) {
      part_ = Part::vocab;
      return true;
    }
    return open(Json::object());
  }
  bool start_array(size_t) {
    if (part_ == Part::merges) {
      part_ = Part::pair;
      halves_ = 0;
      return count_merge();
    }
    if (part_ != Part::document) return unexpected("an array");
    if (at_model_member("merges")) {
      part_ = Part::merges;
      return true;
    }
    return open(Json::array());
  }
  bool end_object() {
    if (part_ == Part::vocab) {
      part_ = Part::document;
    } else {
      close();
    }
    return true;
  }
  bool end_array() {
    if (part_ == Part::pair) {
      if (halves_ != 2) return unexpected(fmt::format("{} strings", halves_));
      part_ = Part::merges;
    } else if (part_ == Part::merges) {
      part_ = Part::document;
    } else {
      close();
    }
    return true;
  }
  bool key(std::string& name) {
    key_ = std::move(name);
    if (part_ != Part::document) return true;
    if (open_.back()->contains(key_)) return fail(Errc::bad_model, "{}: is there twice", place());
    if (at_model_member("vocab") && std::exchange(seen_vocab_, true))
      return fail(Errc::bad_model, "{}: is there twice", place());
    if (at_model_member("merges") && std::exchange(seen_merges_, true))
      return fail(Errc::bad_model, "{}: is there twice", place());
    return true;
  }

  // The parser's own words may quote the file at any length.
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    return fail(Errc::bad_model, "not valid JSON at byte {}", position);
  }

 private:
  enum class Part { document, vocab, merges, pair };

  template <typename... Args>
  bool fail(Errc code, fmt::format_string<Args...> format, Args&&... args) {
    if (!error_) error_ = make_error(code, format, std::forward<Args>(args)...);
    return false;
  }

  bool at_model_member(std::string_view name) const {
    return file_ != nullptr && open_.size() == 2 && names_.back() == "model" && open_.back()->is_object() &&
           key_ == name;
  }

  // Where the value stands that is being read.
  std::string place() const {
    std::string path;
    const auto step = [&](const Json& parent, const std::string& name) {
      if (parent.is_array()) {
        path += fmt::format("[{}]", parent.size());
      } else {
        path += (path.empty() ? "" : ".") + shown(name);
      }
    };
    for (size_t i = 0; i < open_.size(); ++i) {
      const bool last = i + 1 == open_.size();
      // What is open already stands in its parent.
      if (open_[i]->is_array() && !last) {
        path += fmt::format("[{}]", open_[i]->size() - 1);
      } else {
        step(*open_[i], last ? key_ : names_[i + 1]);
      }
    }
    return path;
  }

  bool unexpected(std::string_view found) {
    switch (part_) {
      case Part::vocab:
        return fail(Errc::bad_model, "model.vocab[\"{}\"]: expected an id, found {}", shown(key_), found);
      case Part::merges:
        return fail(Errc::bad_model, "model.merges[{}]: expected two tokens, found {}", file_->merges.size(),
                    found);
      case Part::pair:
        return fail(Errc::bad_model, "model.merges[{}]: expected two tokens, found {}",
                    file_->merges.size() - 1, found);
      case Part::document:
        break;
    }
    return fail(Errc::bad_model, "{}: unexpected {}", place(), found);
  }

  Json* insert(Json json) {
    if (++values_ > kMaxTokenizerJsonValues) {
      fail(Errc::out_of_budget, "more than {} values besides vocabulary and merges", kMaxTokenizerJsonValues);
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(json);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(json));
      return &open_.back()->back();
    }
    return &((*open_.back())[key_] = std::move(json));
  }

  bool value(std::string_view what, Json json) {
    if (part_ != Part::document) return unexpected(what);
    return insert(std::move(json)) != nullptr;
  }

  bool open(Json json) {
    if (open_.size() == kMaxTokenizerJsonDepth)
      return fail(Errc::out_of_budget, "{}: more than {} levels deep", place(), kMaxTokenizerJsonDepth);
    Json* container = insert(std::move(json));
    if (container == nullptr) return false;
    names_.push_back(key_);
    open_.push_back(container);
    return true;
  }

  void close() {
    open_.pop_back();
    names_.pop_back();
  }

  bool token(int64_t id) {
    if (file_->vocab.size() == kMaxTokenizerJsonTokens)
      return fail(Errc::out_of_budget, "model.vocab has more than {} tokens", kMaxTokenizerJsonTokens);
    file_->vocab.emplace_back(std::move(key_), id);
    return true;
  }

  bool count_merge() {
    if (file_->merges.size() == kMaxTokenizerJsonMerges)
      return fail(Errc::out_of_budget, "model.merges has more than {} entries", kMaxTokenizerJsonMerges);
    file_->merges.emplace_back();
    return true;
  }

  bool merge(std::string& text) {
    const size_t space = text.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == text.size() ||
        text.find(' ', space + 1) != std::string::npos) {
      return unexpected(fmt::format("\"{}\"", shown(text)));
    }
    if (!count_merge()) return false;
    file_->merges.back() = std::move(text);
    return true;
  }

  bool half_of_merge(const std::string& text) {
    if (++halves_ > 2) return unexpected("more");
    if (text.empty() || text.find(' ') != std::string::npos)
      return unexpected(fmt::format("\"{}\"", shown(text)));
    std::string& joined = file_->merges.back();
    if (halves_ == 2) joined += ' ';
    joined += text;
    return true;
  }

  TokenizerJsonFile* file_;
  Json root_;
  std::vector<Json*> open_;         // the containers around the value that comes next
  std::vector<std::string> names_;  // the member that each of them is of the one before it
  std::string key_;
  Part part_ = Part::document;
  int halves_ = 0;
  size_t values_ = 0;
  bool seen_vocab_ = false;
  bool seen_merges_ = false;
  std::optional<Error> error_;
};

Result<Json> read(std::string_view text, TokenizerJsonFile* file) {
  if (text.size() > kMaxTokenizerJsonBytes) {
    return make_error(Errc::out_of_budget, "{} bytes, at most {} are supported", text.size(),
                      kMaxTokenizerJsonBytes);
  }
  Reader reader(file);
  try {
    const bool parsed = Json::sax_parse(text, &reader);
    if (reader.error()) return *std::move(reader.error());
    if (!parsed) return make_error(Errc::bad_model, "not valid JSON");
  } catch (const std::exception& failure) {
    return make_error(Errc::bad_model, "cannot be read: {}", failure.what());
  }
  Json document = reader.take_document();
  if (!document.is_object())
    return make_error(Errc::bad_model, "expected an object, found {}", document.type_name());
  return document;
}

}  // namespace

Result<TokenizerJsonFile> parse_tokenizer_json(std::string_view text) {
  TokenizerJsonFile file;
  HEADRACE_TRY(file.document, read(text, &file));
  return file;
}

Result<nlohmann::json> parse_tokenizer_config(std::string_view text) {
  return read(text, nullptr);
}

}  // namespace headrace
