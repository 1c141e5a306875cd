// The stages around the model in a tokenizer.json, recognised by what they are made of.
#pragma once

#include <optional>

#include "core/result.h"
#include "text/json_field.h"
#include "text/tokenizer_spec.h"

namespace headrace {

/// What the post-processor puts around a text.
struct TextFrame {
  std::optional<TokenId> before;
  std::optional<TokenId> after;
};

/// Sets what the normalizer, pre-tokenizer and decoder of `document` decide: model, pre_tokenizer, nfc,
/// space_prefix and strips_leading_space. Fails with unsupported, naming the stage and what is supported, if
/// they are not together those of a family that we know; with bad_model for a stage that is not well-formed.
Status read_pipeline(const JsonField& document, TokenizerSpec& spec);

/// Fails as read_pipeline() does. The ids are not checked against the vocabulary.
Result<TextFrame> read_post_processor(const JsonField& document);

}  // namespace headrace
