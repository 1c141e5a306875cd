// Safetensors files: named tensors behind a JSON header (github.com/huggingface/safetensors, "Format").
//
// Everything in such a file is outside input. Opening checks all of it but the values: after that, names are
// unique, and the tensors fill the file's data without gap or overlap.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/result.h"
#include "formats/file_tensor.h"

namespace headrace {

/// Of the JSON header; that of a model with 100,000 tensors fits.
inline constexpr uint64_t kMaxSafetensorsHeader = uint64_t{16} << 20;

/// An open file. Movable; names and tensor data are views that live as long as it does. Reading from several
/// threads is safe. Each error's message begins with the file's name.
class SafetensorsFile {
 public:
  /// Maps and parses a file. Fails with not_found, io, bad_model (corrupt) or unsupported (an element type).
  static Result<SafetensorsFile> open(const std::filesystem::path& path);
  /// Parses bytes that the caller keeps alive and unchanged; `name` stands in messages.
  static Result<SafetensorsFile> parse(std::string name, std::span<const std::byte> bytes);

  const std::string& name() const { return name_; }
  uint64_t file_bytes() const { return file_bytes_; }
  /// F32, F16 and BF16, by name. The file's shape [n, k] is dims {k, n}; its scalar [] is dims {1}.
  const std::vector<FileTensor>& tensors() const { return tensors_; }
  /// nullptr if there is none of that name.
  const FileTensor* find_tensor(std::string_view name) const;
  /// The header's "__metadata__".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// Tells the system that this tensor's bytes will not be read again soon. Nothing happens for parse().
  void drop(const FileTensor& tensor) const;

 private:
  SafetensorsFile() = default;

  std::string name_;
  std::optional<MappedFile> map_;
  uint64_t file_bytes_ = 0;
  // The views of tensors_ go into its keys, which stay where they are when the map is moved.
  std::map<std::string, FileTensor, std::less<>> by_name_;
  std::vector<FileTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace headrace
