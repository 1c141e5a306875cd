#include "engine/engine.h"

namespace headrace {

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::none:
      return "none";
    case FinishReason::end_token:
      return "end_token";
    case FinishReason::length:
      return "length";
    case FinishReason::context:
      return "context";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::expired:
      return "expired";
  }
  return "none";
}

}  // namespace headrace
