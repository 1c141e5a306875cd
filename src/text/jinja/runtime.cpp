#include "text/jinja/runtime.h"

#include "core/file.h"

namespace headrace::jinja {

Status Runtime::work(uint64_t units) {
  if (units > work_left_) {
    work_left_ = 0;
    return make_error(Errc::out_of_budget, "the template takes more than {} steps", kMaxWork);
  }
  work_left_ -= units;
  return {};
}

Status Runtime::fits(uint64_t bytes) const {
  if (bytes <= bytes_left_) return {};
  return make_error(Errc::out_of_budget, "the template's values take more than {}",
                    human_bytes(kMaxValueBytes));
}

Status Runtime::reserve(uint64_t bytes) {
  HEADRACE_RETURN_IF_ERROR(fits(bytes));
  bytes_left_ -= bytes;
  return {};
}

Result<Value> Runtime::text(Text text) {
  HEADRACE_RETURN_IF_ERROR(work_on_bytes(text.size()));
  const uint64_t bytes = text.size();
  HEADRACE_TRY(const TextObject* object, make<TextObject>(bytes, std::move(text)));
  return Value(&object->text);
}

Result<Value> Runtime::sequence(Sequence::Flavor flavor, std::vector<Value> items) {
  HEADRACE_RETURN_IF_ERROR(work(1 + items.size()));
  const uint64_t bytes = items.size() * sizeof(Value);
  HEADRACE_TRY(const Sequence* object, make<Sequence>(bytes, flavor, std::move(items)));
  return Value(object);
}

Result<Value> Runtime::dict(std::vector<Dict::Entry> entries) {
  HEADRACE_RETURN_IF_ERROR(work(1 + entries.size()));
  const uint64_t bytes = entries.size() * sizeof(Dict::Entry);
  HEADRACE_TRY(const Dict* object, make<Dict>(bytes, std::move(entries)));
  return Value(object);
}

Status Nested::status() const {
  if (runtime_.depth_ <= kMaxDepth) return {};
  return make_error(Errc::out_of_budget, "the template nests calls or data deeper than {}", kMaxDepth);
}

}  // namespace headrace::jinja
