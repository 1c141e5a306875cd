// The verbs, one file each. Registering adds a verb's flags; when the user has chosen it, parsing sets
// `action` to what shall be done.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "core/result.h"

namespace headrace::cli {

using Action = std::function<Status()>;

void register_run(CLI::App& app, Action& action);
void register_chat(CLI::App& app, Action& action);
void register_batch(CLI::App& app, Action& action);
void register_bench(CLI::App& app, Action& action);
void register_apply_template(CLI::App& app, Action& action);
void register_info(CLI::App& app, Action& action);
void register_plan(CLI::App& app, Action& action);
void register_perplexity(CLI::App& app, Action& action);
void register_verify(CLI::App& app, Action& action);
void register_pull(CLI::App& app, Action& action);
void register_doctor(CLI::App& app, Action& action);
void register_tokenize(CLI::App& app, Action& action);
void register_detokenize(CLI::App& app, Action& action);
void register_completion(CLI::App& app, Action& action);
void register_man(CLI::App& app, Action& action);

}  // namespace headrace::cli
