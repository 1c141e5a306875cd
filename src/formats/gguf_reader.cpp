#include "formats/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/checked.h"
#include "core/file.h"
#include "formats/gguf_layout.h"

namespace headrace {
namespace {

static_assert(std::endian::native == std::endian::little, "fields are copied as they are stored");

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kSwappedMagic = "FUGG";
constexpr uint32_t kOldestVersion = 2;
constexpr uint32_t kNewestVersion = 3;
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr std::string_view kPartsKey = "split.count";

// The fewest bytes that an entry takes: a length, a type and a one-byte value; a length, the number of
// dimensions, one of them, a type and an offset.
constexpr uint64_t kMinMetadataEntryBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorEntryBytes = 8 + 4 + 8 + 4 + 8;

// Types that a user may meet in published files, so that a refusal can say more than a number.
struct ForeignType {
  uint32_t gguf_type;
  std::string_view name;
};
constexpr ForeignType kForeignTypes[] = {
    {7, "Q5_1"},    {9, "Q8_1"},     {10, "Q2_K"},  {11, "Q3_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"},
    {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},
    {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},   {26, "I32"},    {27, "I64"},   {28, "F64"},
    {29, "IQ1_M"},  {34, "TQ1_0"},   {35, "TQ2_0"}, {39, "MXFP4"},
};

// "10 (Q2_K)", "41".
std::string type_text(uint32_t gguf_type) {
  const auto* found = std::ranges::find(kForeignTypes, gguf_type, &ForeignType::gguf_type);
  if (found == std::end(kForeignTypes)) return fmt::format("{}", gguf_type);
  return fmt::format("{} ({})", gguf_type, found->name);
}

// The indices of `items` sorted by name, if no two share one; `label` turns a name into what messages call
// it.
template <typename Item, typename NameOf, typename Label>
Result<std::vector<uint32_t>> order_by_name(const std::vector<Item>& items, NameOf name_of_item,
                                            Label label) {
  std::vector<uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto name_at = [&](uint32_t index) { return name_of_item(items[index]); };
  std::ranges::sort(order, {}, name_at);
  const auto twice = std::ranges::adjacent_find(order, {}, name_at);
  if (twice == order.end()) return order;
  return make_error(Errc::bad_model, "{} stands twice in the file", label(name_at(*twice)));
}

std::string key_label(std::string_view key) {
  return fmt::format("key '{}'", printable(key));
}

std::string tensor_label(std::string_view name) {
  return fmt::format("tensor {}", printable(name));
}

class Parser {
 public:
  explicit Parser(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<GgufContents> parse() && {
    HEADRACE_RETURN_IF_ERROR(read_header());
    HEADRACE_RETURN_IF_ERROR(read_metadata());
    HEADRACE_RETURN_IF_ERROR(check_keys());
    HEADRACE_RETURN_IF_ERROR(read_tensors());
    HEADRACE_RETURN_IF_ERROR(check_names());
    HEADRACE_RETURN_IF_ERROR(place_tensors(bytes_, round_up(at_, alignment_), alignment_, contents_.tensors));
    HEADRACE_RETURN_IF_ERROR(check_overlaps(contents_.tensors));
    return std::move(contents_);
  }

 private:
  Status read_header();
  Status read_metadata();
  Status check_keys();
  Status read_tensors();
  Status check_names();

  Status check_count(std::string_view what, uint64_t count, uint64_t limit, uint64_t min_entry_bytes) const;
  Result<GgufValue> read_value();
  Result<GgufType> read_type(std::string_view what);
  Status skip_elements(GgufType type, uint64_t count);
  Status read_dims(FileTensor& tensor);

  size_t left() const { return bytes_.size() - at_; }
  Error truncated(uint64_t needed) const;
  Result<std::span<const std::byte>> take(uint64_t size);
  Result<std::string_view> take_string(std::string_view what, uint64_t limit);
  template <typename T>
  Result<T> take_number();

  // An error about the entry being read.
  template <typename... Args>
  Error refuse(Errc code, fmt::format_string<Args...> format, Args&&... args) const {
    return make_error(code, format, std::forward<Args>(args)...).in(subject());
  }
  std::string subject() const;
  void begin(std::string_view kind, uint64_t index) {
    kind_ = kind;
    index_ = index;
    name_.reset();
  }

  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  // What the parser is at, for messages.
  std::string_view kind_ = "header";
  uint64_t index_ = 0;
  std::optional<std::string_view> name_;

  uint64_t n_tensors_ = 0;
  uint64_t n_keys_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  GgufContents contents_;
};

std::string Parser::subject() const {
  if (kind_ == "header") return "header";
  if (!name_) return fmt::format("{} number {}", kind_, index_ + 1);
  return kind_ == "key" ? key_label(*name_) : tensor_label(*name_);
}

Error Parser::truncated(uint64_t needed) const {
  return make_error(Errc::bad_model, "truncated: {} at byte {} needs {} byte{}, {} {} left", subject(), at_,
                    needed, needed == 1 ? "" : "s", left(), left() == 1 ? "is" : "are");
}

Result<std::span<const std::byte>> Parser::take(uint64_t size) {
  if (size > left()) return truncated(size);
  const auto taken = bytes_.subspan(at_, size);
  at_ += size;
  return taken;
}

template <typename T>
Result<T> Parser::take_number() {
  HEADRACE_TRY(const auto bytes, take(sizeof(T)));
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Result<std::string_view> Parser::take_string(std::string_view what, uint64_t limit) {
  HEADRACE_TRY(const uint64_t size, take_number<uint64_t>());
  if (size > limit) {
    return refuse(Errc::bad_model, "{} at byte {} is {} bytes long, at most {} are accepted", what,
                  at_ - sizeof size, size, limit);
  }
  HEADRACE_TRY(const auto bytes, take(size));
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status Parser::check_count(std::string_view what, uint64_t count, uint64_t limit,
                           uint64_t min_entry_bytes) const {
  if (count > limit) {
    return refuse(Errc::bad_model, "claims {} {}, at most {} are accepted", count, what, limit);
  }
  if (count > left() / min_entry_bytes) {
    return refuse(Errc::bad_model, "truncated: claims {} {}, the {} bytes behind it cannot hold them", count,
                  what, left());
  }
  return {};
}

Status Parser::read_header() {
  HEADRACE_TRY(const auto magic, take(kMagic.size()));
  const std::string_view text(reinterpret_cast<const char*>(magic.data()), magic.size());
  if (text == kSwappedMagic) return make_error(Errc::unsupported, "big-endian GGUF files are not supported");
  if (text != kMagic) {
    return make_error(Errc::bad_model, "not a GGUF file: it begins with '{}', expected '{}'", printable(text),
                      kMagic);
  }
  HEADRACE_TRY(const uint32_t version, take_number<uint32_t>());
  // A small version number written by a big-endian machine has its value in the upper bytes.
  if (version != 0 && (version & 0xFFFF) == 0) {
    return make_error(Errc::unsupported, "big-endian GGUF files are not supported");
  }
  if (version < kOldestVersion || version > kNewestVersion) {
    return make_error(Errc::unsupported, "GGUF version {} is not supported, expected {} or {}", version,
                      kOldestVersion, kNewestVersion);
  }
  contents_.version = version;
  HEADRACE_TRY(n_tensors_, take_number<uint64_t>());
  HEADRACE_TRY(n_keys_, take_number<uint64_t>());
  HEADRACE_RETURN_IF_ERROR(check_count("metadata keys", n_keys_, kMaxMetadataKeys, kMinMetadataEntryBytes));
  return check_count("tensors", n_tensors_, kMaxTensors, kMinTensorEntryBytes);
}

Status Parser::read_metadata() {
  for (uint64_t i = 0; i < n_keys_; ++i) {
    begin("key", i);
    HEADRACE_TRY(const std::string_view key, take_string("the name", kMaxNameBytes));
    name_ = key;
    HEADRACE_TRY(const GgufValue value, read_value());
    contents_.entries.push_back({key, value});
  }
  return {};
}

Result<GgufType> Parser::read_type(std::string_view what) {
  HEADRACE_TRY(const uint32_t number, take_number<uint32_t>());
  if (number >= kGgufTypes) {
    return refuse(Errc::bad_model, "{} is number {}, expected less than {}", what, number, kGgufTypes);
  }
  return static_cast<GgufType>(number);
}

Result<GgufValue> Parser::read_value() {
  HEADRACE_TRY(GgufType type, read_type("the value's type"));
  const bool is_array = type == GgufType::array;
  uint64_t count = 1;
  if (is_array) {
    HEADRACE_TRY(type, read_type("the elements' type"));
    if (type == GgufType::array) return refuse(Errc::unsupported, "arrays of arrays are not supported");
    HEADRACE_TRY(count, take_number<uint64_t>());
    HEADRACE_RETURN_IF_ERROR(check_count("array elements", count, kMaxArrayElements, stored_bytes_of(type)));
  }
  const size_t begin = at_;
  HEADRACE_RETURN_IF_ERROR(skip_elements(type, count));
  return GgufValue{type, is_array, count, bytes_.subspan(begin, at_ - begin)};
}

Status Parser::skip_elements(GgufType type, uint64_t count) {
  if (type == GgufType::string) {
    for (uint64_t i = 0; i < count; ++i) {
      HEADRACE_RETURN_IF_ERROR(take_string("the string", kMaxStringBytes));
    }
    return {};
  }
  HEADRACE_TRY(const auto bytes, take(count * stored_bytes_of(type)));
  if (type != GgufType::boolean) return {};
  const auto bad = std::ranges::find_if(bytes, [](std::byte byte) { return byte > std::byte{1}; });
  if (bad == bytes.end()) return {};
  return refuse(Errc::bad_model, "a bool is stored as {}, expected 0 or 1", std::to_integer<int>(*bad));
}

Status Parser::check_keys() {
  const auto key_of = [](const GgufEntry& entry) { return entry.key; };
  HEADRACE_TRY(contents_.by_key, order_by_name(contents_.entries, key_of, key_label));
  for (const GgufEntry& entry : contents_.entries) {
    const uint64_t number = entry.value.is_array ? 0 : entry.value.uint_at(0).value_or(0);
    if (entry.key == kAlignmentKey) {
      if (!std::has_single_bit(number) || number < kMinAlignment || number > kMaxAlignment) {
        return make_error(Errc::bad_model, "key '{}': expected a power of two from {} to {}, found {} {}",
                          entry.key, kMinAlignment, kMaxAlignment, entry.value.type_text(),
                          entry.value.text());
      }
      alignment_ = number;
    }
    if (entry.key == kPartsKey && number > 1) {
      return make_error(Errc::unsupported, "is one of {} parts of a split model: merge them into one file",
                        number);
    }
  }
  return {};
}

Status Parser::read_tensors() {
  for (uint64_t i = 0; i < n_tensors_; ++i) {
    begin("tensor", i);
    FileTensor tensor{};
    HEADRACE_TRY(tensor.name, take_string("the name", kMaxNameBytes));
    name_ = tensor.name;
    HEADRACE_RETURN_IF_ERROR(read_dims(tensor));
    HEADRACE_TRY(const uint32_t number, take_number<uint32_t>());
    const std::optional<DType> type = dtype_from_gguf(number);
    if (!type) return refuse(Errc::unsupported, "type {} is not supported", type_text(number));
    tensor.type = *type;
    HEADRACE_TRY(tensor.offset, take_number<uint64_t>());
    contents_.tensors.push_back(tensor);
  }
  return {};
}

Status Parser::read_dims(FileTensor& tensor) {
  HEADRACE_TRY(tensor.n_dims, take_number<uint32_t>());
  if (tensor.n_dims == 0 || tensor.n_dims > kMaxTensorDims) {
    return refuse(Errc::bad_model, "has {} dimensions, expected 1 to {}", tensor.n_dims, kMaxTensorDims);
  }
  tensor.dims.fill(1);
  for (uint32_t d = 0; d < tensor.n_dims; ++d) {
    HEADRACE_TRY(tensor.dims[d], take_number<uint64_t>());
    if (tensor.dims[d] == 0) return refuse(Errc::bad_model, "dimension {} is 0", d);
  }
  return {};
}

Status Parser::check_names() {
  const auto name_of_tensor = [](const FileTensor& tensor) { return tensor.name; };
  HEADRACE_TRY(contents_.by_name, order_by_name(contents_.tensors, name_of_tensor, tensor_label));
  return {};
}

}  // namespace

Result<GgufContents> read_gguf(std::span<const std::byte> bytes) {
  return Parser(bytes).parse();
}

}  // namespace headrace
