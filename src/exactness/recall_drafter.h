// A drafter for tests: remembers what was answered before and gets some of it wrong on purpose, so that rows
// are accepted and rejected whatever the model is.
#pragma once

#include <functional>
#include <memory>

#include "decode/drafter.h"

namespace headrace::exactness {

/// Calls visit(prompt, answer) for each text that is known; an answer may go on in any way beyond what was
/// asked before.
using KnownTexts =
    std::function<void(const std::function<void(std::span<const int32_t>, std::span<const int32_t>)>& visit)>;

/// Texts that nobody knows get tokens made up. `vocab`: tokens that there are.
std::unique_ptr<Drafter> make_recall_drafter(KnownTexts texts, uint32_t vocab);

}  // namespace headrace::exactness
