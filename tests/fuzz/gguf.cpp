// GGUF files: bytes are a file. What parses keeps GgufFile's promises, and models are made of it or refused.
#include <cmath>
#include <limits>
#include <set>

#include "core/file.h"
#include "formats/gguf.h"
#include "models/model.h"
#include "ops/cpu/cpu_backend.h"
#include "refusal.h"

namespace headrace {
namespace {

constexpr std::string_view kName = "fuzz.gguf";
// Far more than the weights of a file of a few kilobytes.
constexpr uint64_t kWeightBudget = 4 << 20;

void check_getters(const GgufFile& file, std::string_view key) {
  const bool known = file.has(key);
  const auto check = [&](const auto& result) {
    if (!result) testing::check_refusal(result.error(), kName);
    HEADRACE_CHECK(known || !result);
  };
  const auto uint = file.uint(key);
  const auto number = file.number(key);
  const auto strings = file.strings(key);
  const auto ints = file.ints(key);
  const auto floats = file.floats(key);
  check(uint);
  check(number);
  check(strings);
  check(ints);
  check(floats);
  check(file.string(key));
  check(file.boolean(key));
  if (number) HEADRACE_CHECK(std::isfinite(*number));
  if (uint) HEADRACE_CHECK(number);
  HEADRACE_CHECK(!(ints && floats));
  if (strings) HEADRACE_CHECK(strings->size() == file.find(key)->count);

  if (known) return;
  HEADRACE_CHECK(file.string_or(key, "other").value() == "other");
  HEADRACE_CHECK(file.uint_or(key, 7).value() == 7);
  HEADRACE_CHECK(file.number_or(key, 0.5).value() == 0.5);
  HEADRACE_CHECK(file.boolean_or(key, true).value());
}

void check_metadata(const GgufFile& file) {
  std::set<std::string_view> keys;
  for (const GgufEntry& entry : file.metadata()) {
    HEADRACE_CHECK(keys.insert(entry.key).second);
    HEADRACE_CHECK(file.find(entry.key) == &entry.value);
    HEADRACE_CHECK(testing::is_printable_text(entry.value.text()));
    check_getters(file, entry.key);
  }
  check_getters(file, "a key that no file has");
}

void check_tensors(const GgufFile& file, std::span<const std::byte> bytes) {
  std::set<std::string_view> names;
  std::set<std::pair<uint64_t, uint64_t>> extents;
  const uint64_t alignment = file.uint_or("general.alignment", 32).value();
  size_t touched = 0;
  for (const FileTensor& tensor : file.tensors()) {
    HEADRACE_CHECK(names.insert(tensor.name).second);
    HEADRACE_CHECK(file.find_tensor(tensor.name) == &tensor);
    HEADRACE_CHECK(!shape_text(tensor).empty());
    HEADRACE_CHECK(tensor.data.size() == bytes_of(tensor.type, tensor.row_elements() * tensor.rows()));
    HEADRACE_CHECK(tensor.offset % alignment == 0);
    HEADRACE_CHECK(tensor.offset < bytes.size() && tensor.data.size() <= bytes.size() - tensor.offset);
    HEADRACE_CHECK(tensor.data.data() == bytes.data() + tensor.offset);
    extents.emplace(tensor.offset, tensor.offset + tensor.data.size());
    for (const std::byte byte : tensor.data) touched += static_cast<size_t>(byte);
    file.drop(tensor);
  }
  HEADRACE_CHECK(touched <= bytes.size() * 255);  // no byte is two tensors'
  HEADRACE_CHECK(extents.size() == file.tensors().size());
  uint64_t end = 0;
  for (const auto& [begin, behind] : extents) {
    HEADRACE_CHECK(begin >= end);
    end = behind;
  }
}

void check_model(const ModelFile& file) {
  const auto info = describe_model(file);
  if (!info) {
    testing::check_refusal(info.error(), kName);
  } else {
    HEADRACE_CHECK(info->n_layers > 0 && info->d_model > 0 && info->d_head > 0 && info->vocab_size > 0);
    HEADRACE_CHECK(info->n_kv_heads > 0 && info->n_heads % info->n_kv_heads == 0);
    HEADRACE_CHECK(testing::is_printable_text(info->name));
  }
  static const std::unique_ptr<Backend> backend = make_cpu_backend(cpu::Tier::portable, 1);
  MemoryLedger ledger(kWeightBudget);
  const auto model = load_model(file, *backend, ledger);
  if (!model) {
    testing::check_refusal(model.error(), kName);
  } else {
    HEADRACE_CHECK(info);
    HEADRACE_CHECK(!(*model)->layer_groups().empty());
  }
}

}  // namespace
}  // namespace headrace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headrace;
  const auto bytes = std::as_bytes(std::span(data, size));
  auto file = GgufFile::parse(std::string(kName), bytes);
  if (!file) {
    testing::check_refusal(file.error(), kName);
    return 0;
  }
  check_metadata(*file);
  check_tensors(*file, bytes);
  check_model(std::move(file).value());
  return 0;
}
