// GGUF files: metadata and weight tensors of a model in one file (versions 2 and 3, little-endian).
//
// Everything in such a file is outside input. Opening checks all of it but the weights' values: after that,
// names are unique and every tensor lies inside the file, aligned, apart from all others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "core/result.h"
#include "formats/file_tensor.h"
#include "formats/gguf_value.h"

namespace headrace {

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

/// An open file. Movable; names, values and tensor data are views that live as long as it does. Reading from
/// several threads is safe. Each error's message begins with the file's name.
class GgufFile {
 public:
  /// Maps and parses a file. Fails with not_found, io, bad_model (corrupt, contradictory) or unsupported.
  static Result<GgufFile> open(const std::filesystem::path& path);
  /// Parses bytes that the caller keeps alive and unchanged; `name` stands in messages.
  static Result<GgufFile> parse(std::string name, std::span<const std::byte> bytes);

  const std::string& name() const { return name_; }
  uint32_t version() const { return version_; }
  uint64_t file_bytes() const { return file_bytes_; }

  /// In the file's order.
  const std::vector<GgufEntry>& metadata() const { return entries_; }
  const std::vector<FileTensor>& tensors() const { return tensors_; }

  /// nullptr if there is none of that name.
  const GgufValue* find(std::string_view key) const;
  const FileTensor* find_tensor(std::string_view name) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // The value of a key. Fails with bad_model if the key is missing or its value is of another kind. Strings
  // are as stored: they may be no UTF-8 and go through printable() before they reach a person.
  Result<std::string_view> string(std::string_view key) const;
  Result<uint64_t> uint(std::string_view key) const;  // any integer type, not negative
  Result<double> number(std::string_view key) const;  // any integer or float type, finite
  Result<bool> boolean(std::string_view key) const;
  Result<std::vector<std::string_view>> strings(std::string_view key) const;
  Result<std::vector<int64_t>> ints(std::string_view key) const;  // an array of any integer type
  Result<std::vector<float>> floats(std::string_view key) const;  // an array of a float type

  // The same with a value for a missing key; a value of another kind is still an error.
  Result<std::string_view> string_or(std::string_view key, std::string_view otherwise) const;
  Result<uint64_t> uint_or(std::string_view key, uint64_t otherwise) const;
  Result<double> number_or(std::string_view key, double otherwise) const;
  Result<bool> boolean_or(std::string_view key, bool otherwise) const;

  /// Tells the system that this tensor's bytes will not be read again soon. Nothing happens for parse().
  void drop(const FileTensor& tensor) const;

 private:
  GgufFile() = default;
  Result<GgufValue> required(std::string_view key) const;
  Error wrong_kind(std::string_view key, const GgufValue& value, std::string_view expected) const;

  std::string name_;
  std::optional<MappedFile> map_;
  uint64_t file_bytes_ = 0;
  uint32_t version_ = 0;
  std::vector<GgufEntry> entries_;
  std::vector<FileTensor> tensors_;
  std::vector<uint32_t> by_key_;
  std::vector<uint32_t> by_name_;
};

}  // namespace headrace
