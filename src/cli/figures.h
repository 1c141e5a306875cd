// The line of figures at the end of a run, and its numbers for --json.
#pragma once

#include <string>

#include "cli/open_model.h"
#include "cli/output.h"
#include "engine/text_generator.h"

namespace headrace::cli {

/// "load 0.41 s | prefill 34 tokens, 812 tok/s | decode 128 tokens, 201 tok/s | cpu avx512, exact, 2
/// threads". The first generated token belongs to the prefill, so the rate of decoding counts the others.
std::string figures_line(const OpenModel& model, const GenerateResult& result);

/// As OpenAI's completion_tokens_details has them.
Json drafts_json(const GenerateResult& result);

Json timings_json(const OpenModel& model, const GenerateResult& result);

/// "end_token", "stop_string", "length", "context", "cancelled".
std::string finish_text(const GenerateResult& result);

}  // namespace headrace::cli
