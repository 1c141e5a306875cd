// Thousands of changes to a good file of either form. What keeps the meaning runs with the same logits;
// everything else is refused in words, quickly, or runs; nothing crashes.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include <nlohmann/json.hpp>

#include "gguf_parts.h"
#include "logits.h"
#include "ops/testing/random.h"

namespace headrace::golden {
namespace {

using ops_testing::Random;
using Json = nlohmann::ordered_json;

constexpr size_t kKeeping = 1500;
constexpr size_t kFields = 2500;
constexpr size_t kBytes = 1000;
#ifdef HEADRACE_SANITIZED
constexpr double kSlowestRefusal = 1.0;
#else
constexpr double kSlowestRefusal = 0.1;  // seconds
#endif
constexpr size_t kTokens = 12;

// What became of the mutations.
struct Tally {
  size_t same = 0;
  size_t ran = 0;
  size_t refused = 0;
  double slowest = 0;
};

// Opens and runs what a mutation made. `text` and `bytes` outlive the answer.
template <typename Open>
Result<std::vector<float>> run(const Open& open, Tally& tally) {
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<int32_t> tokens = {1, 5, 9, 100, 7, 3, 250, 44, 45, 46, 2, 17};
  Result<std::vector<float>> logits = [&]() -> Result<std::vector<float>> {
    HEADRACE_TRY(const ModelFile file, open());
    return all_logits(file, std::span(tokens).first(kTokens), kTokens);
  }();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!logits) {
    ++tally.refused;
    tally.slowest = std::max(tally.slowest, seconds);
  } else {
    ++tally.ran;
  }
  return logits;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// A refusal begins with the file's name and says which key, field or tensor it is about.
void expect_named(const std::string& message, const std::vector<std::string>& names,
                  const std::string& what) {
  EXPECT_TRUE(message.starts_with("mutant")) << what << ": " << message;
  const bool named =
      std::ranges::any_of(names, [&](const std::string& n) { return message.find(n) != std::string::npos; });
  EXPECT_TRUE(named) << what << " is refused without a name: " << message;
}

void report(const char* form, const Tally& tally) {
  fmt::print(
      "{:<12} {} mutations: {} kept their meaning and their logits, {} others ran, {} refused, the slowest "
      "in "
      "{:.1f} ms\n",
      form, tally.same + tally.ran + tally.refused, tally.same, tally.ran, tally.refused,
      1000 * tally.slowest);
  EXPECT_EQ(tally.same, kKeeping);
  EXPECT_EQ(tally.same + tally.ran + tally.refused, kKeeping + kFields + kBytes);
  EXPECT_GT(tally.refused, (kFields + kBytes) / 4);
  EXPECT_GT(tally.ran, 0U);
  EXPECT_LT(tally.slowest, kSlowestRefusal);
}

template <typename T, size_t N>
const T& pick(Random& random, const T (&values)[N]) {
  return values[random.below(N)];
}

std::string random_bytes(Random& random, size_t count) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.below(256));
  return bytes;
}

// Flips, cuts, inserts or removes a few bytes among the first `header` of `bytes`.
void damage(Random& random, std::string& bytes, size_t header) {
  const uint32_t kind = random.below(5);
  const size_t at = random.below(static_cast<uint32_t>(header));
  if (kind == 0) {
    bytes.resize(random.below(static_cast<uint32_t>(bytes.size())));
  } else if (kind == 1) {
    bytes.insert(at, random_bytes(random, 1 + random.below(16)));
  } else if (kind == 2) {
    bytes.erase(at, 1 + random.below(16));
  } else {
    for (uint32_t i = 0; i <= random.below(8); ++i) {
      bytes[random.below(static_cast<uint32_t>(header))] ^= static_cast<char>(1 << random.below(8));
    }
  }
}

// ---- GGUF

std::string encoded_number(Random& random, uint32_t type, size_t size) {
  const uint64_t whole[] = {0,         1, 2, 7, 31, 1000, 1 << 20, UINT32_MAX, UINT64_MAX, uint64_t{1} << 63,
                            0x80000000};
  const double real[] = {0,   -1,  1e-30, 1e30, std::numeric_limits<double>::infinity(), std::nan(""),
                         0.5, -0.0};
  constexpr uint32_t kFloat = 6;
  constexpr uint32_t kDouble = 12;
  std::string bytes(size, '\0');
  if (type == kFloat) {
    const auto value = static_cast<float>(pick(random, real));
    std::memcpy(bytes.data(), &value, size);
  } else if (type == kDouble) {
    std::memcpy(bytes.data(), &pick(random, real), size);
  } else {
    std::memcpy(bytes.data(), &pick(random, whole), std::min(size, sizeof(uint64_t)));
  }
  return bytes;
}

void keep_meaning(Random& random, GgufParts& parts) {
  if (random.below(2) == 0) random.shuffle(parts.keys);
  if (random.below(2) == 0) random.shuffle(parts.tensors);
  if (random.below(2) == 0) parts.alignment = 8U << random.below(10);
  for (uint32_t i = random.below(4); i > 0; --i) {
    const uint32_t types[] = {0, 4, 6, 7, 8, 10, 12};
    const uint32_t type = pick(random, types);
    constexpr size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
    std::string value(kSizes[type], '\0');  // 0, false or an empty string
    const size_t at = random.below(static_cast<uint32_t>(parts.keys.size()));
    parts.keys.insert(parts.keys.begin() + static_cast<ptrdiff_t>(at),
                      {fmt::format("unknown.key.{}.{}", i, random.below(1000000)), type, std::move(value)});
  }
}

std::string change_key(Random& random, GgufParts& parts) {
  const size_t at = random.below(static_cast<uint32_t>(parts.keys.size()));
  GgufKeyPart& part = parts.keys[at];
  const std::string what = part.key;
  switch (random.below(5)) {
    case 0:
      parts.keys.erase(parts.keys.begin() + static_cast<ptrdiff_t>(at));
      break;
    case 1:
      parts.keys.push_back(part);
      break;
    case 2:
      part.type = random.below(16);
      break;
    case 3:
      part.key += "_";
      break;
    default:
      if (part.type != 8 && part.type != 9)
        part.value = encoded_number(random, part.type, part.value.size());
      else
        part.value = random_bytes(random, part.value.size());
  }
  return what;
}

std::string change_tensor(Random& random, GgufParts& parts) {
  const size_t at = random.below(static_cast<uint32_t>(parts.tensors.size()));
  GgufTensorPart& part = parts.tensors[at];
  const std::string what = part.name;
  switch (random.below(6)) {
    case 0:
      parts.tensors.erase(parts.tensors.begin() + static_cast<ptrdiff_t>(at));
      break;
    case 1:
      parts.tensors.push_back(part);
      break;
    case 2:
      part.type = random.below(40);
      break;
    case 3:
      part.name += ".extra";
      break;
    case 4:
      part.dims[random.below(static_cast<uint32_t>(part.dims.size()))] += 1 + random.below(1000);
      break;
    default:
      part.data.resize(random.below(static_cast<uint32_t>(part.data.size())));
  }
  return what;
}

std::vector<std::string> names_of(const GgufParts& parts) {
  std::vector<std::string> names = {"GGUF", "key ", "tensor ", "truncated"};
  for (const GgufKeyPart& part : parts.keys) names.push_back(part.key);
  for (const GgufTensorPart& part : parts.tensors) names.push_back(part.name);
  return names;
}

TEST(Mutation, OfAGgufFile) {
  const std::string good = slurp(checkpoints_folder() / "gemma3-window" / "model.gguf");
  const GgufParts parts(good);
  const std::vector<std::string> names = names_of(parts);
  size_t data = 0;
  for (const GgufTensorPart& part : parts.tensors) data += part.data.size();
  const size_t header = good.size() - data;

  Tally tally;
  const auto run_bytes = [&](const std::string& bytes) {
    return run(
        [&]() -> Result<ModelFile> {
          HEADRACE_TRY(GgufFile file, GgufFile::parse("mutant", std::as_bytes(std::span(bytes))));
          return ModelFile(std::move(file));
        },
        tally);
  };
  const std::vector<float> expected = run_bytes(good).value();
  tally = {};
  Random random(1);
  for (size_t i = 0; i < kKeeping; ++i) {
    GgufParts mutant = parts;
    keep_meaning(random, mutant);
    const auto logits = run_bytes(mutant.bytes());
    ASSERT_TRUE(logits) << logits.error().message;
    --tally.ran;
    tally.same += same_bits(*logits, expected);
  }
  for (size_t i = 0; i < kFields; ++i) {
    GgufParts mutant = parts;
    const std::string what = i % 2 == 0 ? change_key(random, mutant) : change_tensor(random, mutant);
    const auto logits = run_bytes(mutant.bytes());
    if (!logits) expect_named(logits.error().message, names, what);
  }
  for (size_t i = 0; i < kBytes; ++i) {
    std::string mutant = good;
    damage(random, mutant, header);
    const auto logits = run_bytes(mutant);
    if (!logits) expect_named(logits.error().message, {"mutant"}, "damage");
  }
  report("GGUF", tally);
}

// ---- safetensors and config.json

struct Folder {
  std::string config;
  Json header;
  std::string data;
  std::string padding;

  std::string weights() const {
    const std::string text = header.dump() + padding;
    std::string bytes(8, '\0');
    const uint64_t length = text.size();
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes + text + data;
  }
};

Folder cut_folder(const std::filesystem::path& path) {
  Folder folder;
  folder.config = slurp(path / "config.json");
  const std::string bytes = slurp(path / "model.safetensors");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  folder.header = Json::parse(bytes.substr(8, length));
  folder.data = bytes.substr(8 + length);
  return folder;
}

// The same members in another order.
void shuffle_members(Random& random, Json& object) {
  std::vector<std::pair<std::string, Json>> members;
  for (const auto& [key, value] : object.items()) members.emplace_back(key, value);
  random.shuffle(members);
  object = Json::object();
  for (const auto& [key, value] : members) object[key] = value;
}

void keep_meaning(Random& random, Folder& folder) {
  if (random.below(2) == 0) shuffle_members(random, folder.header);
  folder.padding = std::string(random.below(64), ' ');  // moves the data: any alignment
  if (random.below(2) == 0) folder.header["__metadata__"] = {{"note", "anything"}, {"format", "pt"}};
  Json config = Json::parse(folder.config);
  if (random.below(2) == 0) shuffle_members(random, config);
  for (uint32_t i = random.below(3); i > 0; --i)
    config[fmt::format("unknown_{}", i)] = {{"a", {1, 2, nullptr}}};
  folder.config = config.dump(static_cast<int>(random.below(4)));
}

Json nonsense(Random& random) {
  const Json values[] = {0,    -1,    1.5,     1e30,          "text",         "",
                         true, false, nullptr, Json::array(), Json::object(), 7,
                         31,   4096,  1e-30,   UINT64_MAX,    {1, 2},         {{"a", 1}}};
  return pick(random, values);
}

std::string member(Random& random, const Json& object) {
  const uint32_t at = random.below(static_cast<uint32_t>(object.size()));
  return std::next(object.begin(), at).key();
}

std::string change_field(Random& random, Folder& folder) {
  if (random.below(2) == 0) {
    Json config = Json::parse(folder.config);
    const std::string field = member(random, config);
    if (random.below(4) == 0)
      config.erase(field);
    else
      config[field] = nonsense(random);
    folder.config = config.dump();
    return field;
  }
  const std::string tensor = member(random, folder.header);
  Json& entry = folder.header[tensor];
  if (!entry.contains("shape")) return tensor;  // __metadata__
  const uint32_t kind = random.below(6);
  if (kind == 0) folder.header.erase(tensor);
  if (kind == 1) entry.erase(member(random, entry));
  if (kind == 2) entry[member(random, entry)] = nonsense(random);
  if (kind == 3) entry["shape"][0] = entry["shape"][0].get<uint64_t>() + 1 + random.below(100);
  if (kind == 4)
    entry["data_offsets"][random.below(2)] = random.below(static_cast<uint32_t>(2 * folder.data.size()));
  if (kind == 5) {
    folder.header[tensor + ".extra"] = entry;
    if (random.below(2) == 0) folder.header.erase(tensor);
  }
  return tensor;
}

TEST(Mutation, OfASafetensorsFolder) {
  const std::filesystem::path path = checkpoints_folder() / "llama-mha-tied-llama3";
  const Folder parts = cut_folder(path);
  std::vector<std::string> names = {"config.json", "model.safetensors", "tensor "};
  Tally tally;
  const auto run_folder = [&](const std::string& config, const std::string& weights) {
    return run(
        [&]() -> Result<ModelFile> {
          HEADRACE_TRY(HfFolder folder, HfFolder::parse("mutant", config, std::as_bytes(std::span(weights))));
          return ModelFile(std::move(folder));
        },
        tally);
  };
  const std::vector<float> expected = run_folder(parts.config, parts.weights()).value();
  tally = {};
  Random random(2);
  for (size_t i = 0; i < kKeeping; ++i) {
    Folder mutant = parts;
    keep_meaning(random, mutant);
    const auto logits = run_folder(mutant.config, mutant.weights());
    ASSERT_TRUE(logits) << logits.error().message;
    --tally.ran;
    tally.same += same_bits(*logits, expected);
  }
  for (size_t i = 0; i < kFields; ++i) {
    Folder mutant = parts;
    const std::string what = change_field(random, mutant);
    const auto logits = run_folder(mutant.config, mutant.weights());
    if (!logits) expect_named(logits.error().message, names, what);
  }
  for (size_t i = 0; i < kBytes; ++i) {
    std::string config = parts.config;
    std::string weights = parts.weights();
    if (i % 2 == 0)
      damage(random, config, config.size());
    else
      damage(random, weights, weights.size() - parts.data.size());
    const auto logits = run_folder(config, weights);
    if (!logits) expect_named(logits.error().message, {"mutant"}, "damage");
  }
  report("safetensors", tally);
}

}  // namespace
}  // namespace headrace::golden
