// Lines of a batch: what is understood keeps within its limits; what is refused says why, in a line of JSON.
#include "cli/batch_line.h"

#include "cli/batch_answer.h"
#include "cli/fnv.h"
#include "refusal.h"
#include "schedule/admission.h"

namespace headrace::cli {
namespace {

void check_sampling_limits(const SamplingParams& sampling, size_t vocabulary) {
  HEADRACE_CHECK(sampling.n_top_logprobs <= kMaxChatTopLogprobs);
  HEADRACE_CHECK(sampling.logprobs || sampling.n_top_logprobs == 0);
  SamplingParams params = sampling;
  params.logit_bias.clear();  // token ids are the model's business
  HEADRACE_CHECK(static_cast<bool>(check_sampling(params, vocabulary)));
  for (const auto& [token, bias] : sampling.logit_bias) {
    HEADRACE_CHECK(token >= 0 && bias >= -100 && bias <= 100);
  }
}

void check_request(const BatchRequest& request, const std::optional<std::string>& custom_id) {
  HEADRACE_CHECK(custom_id == request.custom_id && !request.custom_id.empty());
  HEADRACE_CHECK(request.custom_id.size() <= kMaxCustomIdBytes);
  HEADRACE_CHECK(request.n >= 1 && request.n <= kMaxBatchChoices);
  HEADRACE_CHECK(!request.max_tokens || *request.max_tokens >= 1);
  HEADRACE_CHECK(request.priority >= -kMaxPriority && request.priority <= kMaxPriority);
  check_sampling_limits(request.sampling, 1000);
  if (request.endpoint == BatchEndpoint::chat) {
    HEADRACE_CHECK(request.messages.is_array() && !request.messages.empty());
    HEADRACE_CHECK(request.tools.is_array() || request.tools.is_null());
    return;
  }
  HEADRACE_CHECK(request.max_tokens.has_value());
  if (const auto* tokens = std::get_if<std::vector<int32_t>>(&request.prompt)) {
    for (const int32_t token : *tokens) HEADRACE_CHECK(token >= 0);
  }
}

void check_refused(const BatchLine& line, const Refusal& refusal, std::string_view text) {
  HEADRACE_CHECK(!refusal.code.empty() && !refusal.message.empty());
  HEADRACE_CHECK(testing::is_printable_text(refusal.message));
  HEADRACE_CHECK(!line.body_refused || line.custom_id);
  const BatchInputLine place = {.offset = 0, .bytes = text.size(), .hash = fnv1a(text), .number = 1};
  const std::string output = error_line(place, line.custom_id, refusal, line.body_refused);
  HEADRACE_CHECK(output.find('\n') == std::string::npos && nlohmann::json::accept(output));
}

}  // namespace
}  // namespace headrace::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headrace::cli;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const BatchLine line = parse_batch_line(text);
  if (const auto* refusal = std::get_if<Refusal>(&line.content))
    check_refused(line, *refusal, text);
  else
    check_request(std::get<BatchRequest>(line.content), line.custom_id);
  return 0;
}
