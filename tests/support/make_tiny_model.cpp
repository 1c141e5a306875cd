// make_tiny_model OUT.gguf llama|gemma3 [TYPE [WINDOW]]: a tiny model as a file, for tests that run the
// program.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tiny_model.h"

int main(int argc, char** argv) {
  using namespace headrace;
  using namespace headrace::testing;
  const std::string_view family = argc > 2 ? argv[2] : "";
  const std::optional<DType> type = argc > 3 ? dtype_from_name(argv[3]) : DType::F32;
  const auto window = argc > 4 ? static_cast<uint32_t>(std::atoi(argv[4])) : kTinyGemma3Window;
  if ((family != "llama" && family != "gemma3") || !type || argc > 5 || window == 0) {
    std::fputs("usage: make_tiny_model OUT.gguf llama|gemma3 [TYPE [WINDOW]]\n", stderr);
    return 2;
  }
  const GgufWriter file =
      family == "llama" ? tiny_llama({.type = *type}) : tiny_gemma3({.type = *type, .window = window});
  if (const Status written = file.write(argv[1]); !written) {
    std::fprintf(stderr, "make_tiny_model: %s\n", written.error().message.c_str());
    return 1;
  }
  return 0;
}
