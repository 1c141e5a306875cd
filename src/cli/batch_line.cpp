#include "cli/batch_line.h"

#include <utility>

#include "cli/batch_body.h"
#include "cli/fnv.h"
#include "cli/json_limits.h"
#include "core/utf8.h"

namespace headrace::cli {
namespace {

using Json = nlohmann::ordered_json;

// A key that the later errors are reported under, so it is read first.
void read_custom_id(JsonFields& fields, std::optional<std::string>& id) {
  const Json* value = fields.require("custom_id");
  if (value == nullptr) return;
  if (!value->is_string()) return fields.wrong("custom_id", "a string", *value);
  const auto& text = value->get_ref<const std::string&>();
  if (text.empty()) return fields.refuse("custom_id", "invalid_value", "is empty");
  if (text.size() > kMaxCustomIdBytes) {
    return fields.refuse("custom_id", "invalid_value",
                         fmt::format("has {} bytes, the limit is {}", text.size(), kMaxCustomIdBytes));
  }
  id = text;
}

void read_method(JsonFields& fields) {
  const Json* value = fields.require("method");
  if (value != nullptr && *value != "POST") fields.wrong("method", "'POST'", *value);
}

void read_url(JsonFields& fields, BatchEndpoint& endpoint) {
  const Json* value = fields.require("url");
  if (value == nullptr) return;
  if (*value == "/v1/chat/completions") {
    endpoint = BatchEndpoint::chat;
  } else if (*value == "/v1/completions") {
    endpoint = BatchEndpoint::completions;
  } else {
    fields.wrong("url", "'/v1/chat/completions' or '/v1/completions'", *value);
  }
}

// The line's outside; returns the body.
const Json* read_envelope(const Json& line, BatchLine& out, BatchEndpoint& endpoint,
                          std::optional<Refusal>& refusal) {
  JsonFields fields(line, "", refusal);
  read_custom_id(fields, out.custom_id);
  read_method(fields);
  read_url(fields, endpoint);
  const Json* body = fields.require("body");
  if (body != nullptr && !body->is_object()) fields.wrong("body", "an object", *body);
  fields.refuse_others();
  return refusal ? nullptr : body;
}

std::optional<Refusal> read_text(std::string_view text, Json& line) {
  if (text.size() > kMaxBatchLineBytes) {
    return Refusal{"line_too_long",
                   fmt::format("the line has {} bytes, the limit is {}", text.size(), kMaxBatchLineBytes),
                   ""};
  }
  if (!is_valid_utf8(text)) return Refusal{"invalid_utf8", "the line is not UTF-8", ""};
  Result<Json> parsed = parse_json_within_limits(text, "the line");
  if (!parsed) {
    const bool limit = parsed.error().code == Errc::out_of_budget;
    return Refusal{limit ? "json_limit" : "invalid_json", parsed.error().message, ""};
  }
  if (!parsed->is_object()) {
    return Refusal{"invalid_json", fmt::format("the line: expected an object, found {}", parsed->type_name()),
                   ""};
  }
  line = std::move(parsed).value();
  return std::nullopt;
}

}  // namespace

BatchLine parse_batch_line(std::string_view text) {
  BatchLine out;
  Json line;
  BatchRequest request;
  std::optional<Refusal> refusal = read_text(text, line);
  const Json* body = refusal ? nullptr : read_envelope(line, out, request.endpoint, refusal);
  if (body != nullptr) {
    request.custom_id = *out.custom_id;
    request.sampling.seed = fnv1a(request.custom_id);
    read_batch_body(*body, request, refusal);
    out.body_refused = refusal.has_value();
  }
  if (refusal)
    out.content = std::move(*refusal);
  else
    out.content = std::move(request);
  return out;
}

}  // namespace headrace::cli
