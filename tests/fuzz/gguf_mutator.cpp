// Changes GGUF files where it matters: numbers to ones that overflow or just miss, strings together with
// their lengths, whole entries together with their counts. A third of the changes are libFuzzer's own.
#include <array>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

namespace {

constexpr size_t kTensorCountAt = 8;
constexpr size_t kKeyCountAt = 16;
constexpr uint32_t kString = 8;
constexpr uint32_t kArray = 9;
constexpr std::array<size_t, 13> kValueBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

struct Range {
  size_t begin;
  size_t end;
  size_t size() const { return end - begin; }
};

// Where things lie in a file, as far as it can be followed.
class Map {
 public:
  explicit Map(std::string_view file) : file_(file) {
    if (file.size() < kKeyCountAt + 8) return;
    numbers = {{4, 8}, {kTensorCountAt, kTensorCountAt + 8}, {kKeyCountAt, kKeyCountAt + 8}};
    const uint64_t n_tensors = number({kTensorCountAt, kTensorCountAt + 8});
    const uint64_t n_keys = number({kKeyCountAt, kKeyCountAt + 8});
    at_ = kKeyCountAt + 8;
    for (uint64_t i = 0; ok_ && i < n_keys; ++i) {
      const size_t begin = at_;
      string();
      value();
      if (ok_) keys.push_back({begin, at_});
    }
    for (uint64_t i = 0; ok_ && i < n_tensors; ++i) {
      const size_t begin = at_;
      string();
      const uint64_t n_dims = integer(4);
      for (uint64_t d = 0; ok_ && d < n_dims; ++d) integer(8);
      integer(4);
      integer(8);
      if (ok_) tensors.push_back({begin, at_});
    }
  }

  uint64_t number(Range range) const {
    uint64_t value = 0;
    std::memcpy(&value, file_.data() + range.begin, range.size());
    return value;
  }

  std::vector<Range> numbers;
  std::vector<Range> strings;  // without their lengths, which stand in the 8 bytes before
  std::vector<Range> keys;
  std::vector<Range> tensors;

 private:
  Range take(uint64_t size) {
    ok_ = ok_ && size <= file_.size() - at_;
    const Range range{at_, at_ + (ok_ ? static_cast<size_t>(size) : 0)};
    at_ = range.end;
    return range;
  }
  uint64_t integer(size_t size) {
    const Range range = take(size);
    if (!ok_) return 0;
    numbers.push_back(range);
    return number(range);
  }
  void string() {
    const Range body = take(integer(8));
    if (ok_) strings.push_back(body);
  }
  void value() {
    uint64_t type = integer(4);
    uint64_t count = 1;
    if (type == kArray) {
      type = integer(4);
      count = integer(8);
    }
    ok_ = ok_ && type < kValueBytes.size() && type != kArray;
    for (uint64_t i = 0; ok_ && i < count; ++i) {
      if (type == kString) {
        string();
      } else {
        const Range element = take(kValueBytes[type]);
        if (ok_) numbers.push_back(element);
      }
    }
  }

  std::string_view file_;
  size_t at_ = 0;
  bool ok_ = true;
};

using Random = std::minstd_rand;

template <typename T>
const T& any(const std::vector<T>& choices, Random& random) {
  return choices[random() % choices.size()];
}

void write(std::string& file, Range range, uint64_t value) {
  std::memcpy(file.data() + range.begin, &value, range.size());
}

void change_number(std::string& file, const Map& map, Random& random) {
  const Range range = any(map.numbers, random);
  const uint64_t old = map.number(range);
  const uint64_t power = uint64_t{1} << random() % 64;
  const std::array<uint64_t, 10> choices = {
      random() % 16, old + 1,   old - 1,     old * 2,           ~old,
      power,         power - 1, old + power, file.size() - old, old ^ power};
  write(file, range, choices[random() % choices.size()]);
}

void change_string(std::string& file, const Map& map, Random& random, size_t max_size) {
  const Range body = any(map.strings, random);
  const size_t room = std::min<size_t>(max_size - file.size(), 32);
  std::string text = file.substr(body.begin, body.size());
  if (random() % 2 == 0) {
    text = file.substr(any(map.strings, random).begin, text.size());
  } else {
    text.resize(body.size() + room);
    text.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text.data()), body.size(), text.size()));
  }
  file.replace(body.begin, body.size(), text);
  write(file, {body.begin - 8, body.begin}, text.size());
}

// Repeats or removes an entry, and counts it.
void change_entries(std::string& file, const std::vector<Range>& entries, size_t count_at, Random& random,
                    size_t max_size) {
  const Range entry = any(entries, random);
  const bool remove = random() % 2 == 0;
  if (!remove && file.size() + entry.size() > max_size) return;
  if (remove) {
    file.erase(entry.begin, entry.size());
  } else {
    file.insert(any(entries, random).begin, file.substr(entry.begin, entry.size()));
  }
  write(file, {count_at, count_at + 8}, entries.size() + (remove ? -1 : 1));
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed);
  std::string file(reinterpret_cast<const char*>(data), size);
  const Map map(file);
  const size_t action = random() % 6;
  if (action <= 1 && !map.numbers.empty()) {
    change_number(file, map, random);
  } else if (action == 2 && !map.strings.empty()) {
    change_string(file, map, random, max_size);
  } else if (action == 3 && !map.keys.empty() && (map.tensors.empty() || random() % 2 == 0)) {
    change_entries(file, map.keys, kKeyCountAt, random, max_size);
  } else if (action == 3 && !map.tensors.empty()) {
    change_entries(file, map.tensors, kTensorCountAt, random, max_size);
  } else {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  if (file.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, file.data(), file.size());
  return file.size();
}
