#include "models/hf_checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "core/file.h"
#include "formats/json_text.h"
#include "models/hf_names.h"

namespace headrace {
namespace {

using Json = nlohmann::json;

// A value of config.json under the name that a Checkpoint gives it.
struct Fact {
  Json value;
  std::string label;
};
using Facts = std::map<std::string, Fact, std::less<>>;

// What may stand beside rope_theta, under its name in a Checkpoint.
constexpr HfField kRopeFields[] = {
    {"rope.scaling.factor", "factor"},
    {"rope.scaling.original_context_length", "original_max_position_embeddings"},
    {"rope.scaling.low_freq_factor", "low_freq_factor"},
    {"rope.scaling.high_freq_factor", "high_freq_factor"},
    {"rope.scaling.attention_factor", "attention_factor"},
    {"rope.scaling.yarn_beta_fast", "beta_fast"},
    {"rope.scaling.yarn_beta_slow", "beta_slow"},
};

// Fields that change what is computed, each with the only value that is computed here.
struct OnlyValue {
  std::string_view field;
  std::string_view value;
};
constexpr OnlyValue kOnlyValues[] = {
    {"quantization_config", "null"},
    {"partial_rotary_factor", "1.0"},
    {"text_config", "null"},
};

std::string label_of(std::string_view field) {
  return fmt::format("config.json: {}", field);
}

// nullptr for a field that is missing or null: transformers makes no difference.
const Json* present(const Json& object, std::string_view field) {
  const auto found = object.find(field);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

class HfCheckpoint final : public Checkpoint {
 public:
  HfCheckpoint(const HfFolder& folder, const HfFamily& family) : folder_(folder), family_(family) {}

  // Collects the facts; everything else only looks at them.
  Status read() {
    const Json& config = folder_.config();
    read_fields(common_hf_fields());
    read_fields(family_.fields);
    for (const OnlyValue& only : kOnlyValues) {
      const Json* value = present(config, only.field);
      if (value != nullptr && *value != Json::parse(only.value))
        return unsupported(label_of(only.field), *value);
    }
    if (const Json* activation = present(config, family_.activation_field)) {
      if (*activation != family_.activation)
        return unsupported(label_of(family_.activation_field), *activation);
    }
    if (const Json* tied = present(config, "tie_word_embeddings")) {
      if (!tied->is_boolean()) return wrong_kind(label_of("tie_word_embeddings"), *tied, "true or false");
      tied_ = tied->get<bool>();
    } else {
      tied_ = family_.tied_by_default;
    }
    return read_rope();
  }

  const std::string& name() const override { return folder_.name(); }
  std::string_view architecture() const override { return family_.architecture; }
  std::string title() const override {
    const Json* title = present(folder_.config(), "_name_or_path");
    return title != nullptr && title->is_string() ? title->get<std::string>() : std::string();
  }

  bool has(std::string_view key) const override { return facts_.contains(key); }
  bool is_array(std::string_view key) const override {
    const auto fact = facts_.find(key);
    return fact != facts_.end() && fact->second.value.is_array();
  }
  Result<uint64_t> uint(std::string_view key) const override {
    HEADRACE_TRY(const Fact* fact, required(key));
    if (!fact->value.is_number_unsigned())
      return wrong_kind(fact->label, fact->value, "a whole number of 0 or more");
    return fact->value.get<uint64_t>();
  }
  Result<double> number(std::string_view key) const override {
    HEADRACE_TRY(const Fact* fact, required(key));
    if (!fact->value.is_number() || !std::isfinite(fact->value.get<double>())) {
      return wrong_kind(fact->label, fact->value, "a finite number");
    }
    return fact->value.get<double>();
  }
  Result<bool> boolean(std::string_view key) const override {
    HEADRACE_TRY(const Fact* fact, required(key));
    if (!fact->value.is_boolean()) return wrong_kind(fact->label, fact->value, "true or false");
    return fact->value.get<bool>();
  }
  Result<std::string> string(std::string_view key) const override {
    HEADRACE_TRY(const Fact* fact, required(key));
    if (!fact->value.is_string()) return wrong_kind(fact->label, fact->value, "a string");
    return fact->value.get<std::string>();
  }
  Result<std::vector<int64_t>> ints(std::string_view key) const override {
    return array<int64_t>(key, "whole numbers", [](const Json& value) {
      return value.is_number_integer() &&
             (!value.is_number_unsigned() || value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
    });
  }
  Result<std::vector<std::string>> strings(std::string_view key) const override {
    return array<std::string>(key, "strings", [](const Json& value) { return value.is_string(); });
  }
  std::string label(std::string_view key) const override {
    const auto fact = facts_.find(key);
    if (fact != facts_.end()) return fact->second.label;
    for (const std::span<const HfField> fields : {common_hf_fields(), family_.fields}) {
      const auto field = std::ranges::find(fields, key, &HfField::key);
      if (field != fields.end()) return label_of(field->field);
    }
    for (const HfField& field : kRopeFields) {
      if (field.key == key) return fmt::format("{}.{}", rope_label_, field.field);
    }
    return label_of(key);
  }

  const std::vector<FileTensor>& tensors() const override { return folder_.weights().tensors(); }
  const FileTensor* find_tensor(std::string_view name) const override {
    const std::optional<std::string> own = hf_tensor_name(family_, name);
    return own ? folder_.weights().find_tensor(*own) : nullptr;
  }
  std::string tensor_label(std::string_view name) const override {
    return hf_tensor_name(family_, name).value_or(std::string(name));
  }
  std::string shape_label(std::span<const uint64_t> dims) const override {
    std::vector<uint64_t> rows_first(dims.begin(), dims.end());
    std::ranges::reverse(rows_first);
    return fmt::format("[{}]", fmt::join(rows_first, ", "));
  }
  bool is_ignored(const FileTensor& tensor) const override {
    // Old files store the frequencies that transformers computes anew; some store the tied table twice.
    return tensor.name.ends_with(".rotary_emb.inv_freq") || (tied_ && tensor.name == "lm_head.weight");
  }
  void drop(const FileTensor& tensor) const override { folder_.weights().drop(tensor); }

  bool tied_output() const override { return tied_; }
  bool rope_neighbours() const override { return false; }
  float norm_offset() const override { return family_.norm_offset; }

 private:
  Error unsupported(const std::string& label, const Json& value) const {
    return make_error(Errc::unsupported, "{}: {}: {} is not supported", name(), label, describe(value));
  }
  Error wrong_kind(const std::string& label, const Json& value, std::string_view expected) const {
    return make_error(Errc::bad_model, "{}: {}: expected {}, found {}", name(), label, expected,
                      describe(value));
  }
  Result<const Fact*> required(std::string_view key) const {
    const auto fact = facts_.find(key);
    if (fact == facts_.end()) return make_error(Errc::bad_model, "{}: {} is missing", name(), label(key));
    return &fact->second;
  }
  template <typename T, typename Fits>
  Result<std::vector<T>> array(std::string_view key, std::string_view expected, Fits fits) const {
    HEADRACE_TRY(const Fact* fact, required(key));
    if (!fact->value.is_array() || !std::ranges::all_of(fact->value, fits)) {
      return wrong_kind(fact->label, fact->value, fmt::format("an array of {}", expected));
    }
    return fact->value.template get<std::vector<T>>();
  }

  void read_fields(std::span<const HfField> fields) {
    for (const HfField& field : fields) {
      if (const Json* value = present(folder_.config(), field.field)) {
        facts_[std::string(field.key)] = {*value, label_of(field.field)};
      } else if (!field.value.empty()) {
        facts_[std::string(field.key)] = {Json::parse(field.value), label_of(field.field)};
      }
    }
  }

  // transformers 4 writes rope_theta, rope_scaling and rope_local_base_freq; 5 writes rope_parameters, for
  // models with two kinds of layers one for each kind.
  Status read_rope() {
    const Json& config = folder_.config();
    for (const char* field : {"rope_parameters", "rope_scaling"}) {
      const Json* rope = present(config, field);
      if (rope == nullptr) continue;
      if (!rope->is_object()) return wrong_kind(label_of(field), *rope, "an object");
      const Json* full = present(*rope, "full_attention");
      const Json* window = present(*rope, "sliding_attention");
      if (full == nullptr && window == nullptr)
        return read_rope(label_of(field), *rope, "rope.freq_base", true);
      for (const Json* part : {full, window}) {
        if (part == nullptr) continue;
        const bool is_full = part == full;
        const std::string label =
            fmt::format("{}.{}", label_of(field), is_full ? "full_attention" : "sliding_attention");
        if (!part->is_object()) return wrong_kind(label, *part, "an object");
        HEADRACE_RETURN_IF_ERROR(
            read_rope(label, *part, is_full ? "rope.freq_base" : "rope.freq_base_swa", is_full));
      }
      return {};
    }
    return {};
  }

  Status read_rope(const std::string& label, const Json& rope, const char* base_key, bool may_scale) {
    if (may_scale) rope_label_ = label;
    for (const auto& [field, value] : rope.items()) {
      if (value.is_null()) continue;
      const std::string field_label = fmt::format("{}.{}", label, printable(field));
      if (field == "rope_theta") {
        facts_[base_key] = {value, field_label};
      } else if (field == "rope_type" || field == "type") {
        if (!value.is_string()) return wrong_kind(field_label, value, "a string");
        if (value == "default") continue;
        if (!may_scale) return unsupported(field_label, value);
        facts_["rope.scaling.type"] = {value, field_label};
      } else {
        const auto known = std::ranges::find(kRopeFields, field, &HfField::field);
        if (known == std::end(kRopeFields) || !may_scale) return unsupported(field_label, value);
        facts_[std::string(known->key)] = {value, field_label};
      }
    }
    return {};
  }

  const HfFolder& folder_;
  const HfFamily& family_;
  Facts facts_;
  std::string rope_label_ = label_of("rope_parameters");
  bool tied_ = false;
};

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_hf_checkpoint(const HfFolder& folder) {
  const Json* type = present(folder.config(), "model_type");
  if (type == nullptr || !type->is_string()) {
    return make_error(Errc::bad_model, "{}: config.json: model_type: expected a string, found {}",
                      folder.name(), type == nullptr ? "nothing" : describe(*type));
  }
  const auto& name = type->get_ref<const std::string&>();
  const HfFamily* family = find_hf_family(name);
  if (family == nullptr) {
    return make_error(Errc::unsupported, "{}: config.json: model_type '{}' is not supported (supported: {})",
                      folder.name(), printable(name), known_hf_families());
  }
  auto checkpoint = std::make_unique<HfCheckpoint>(folder, *family);
  HEADRACE_RETURN_IF_ERROR(checkpoint->read());
  return std::unique_ptr<Checkpoint>(std::move(checkpoint));
}

}  // namespace headrace
