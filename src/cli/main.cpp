#include <pthread.h>

#include "cli/command_line.h"

namespace {

// What a thread here needs is some hundred KiB; the system's 8 MiB would count as memory that the program
// takes.
constexpr size_t kStackBytes = size_t{1} << 20;

void use_small_stacks() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, kStackBytes) == 0) pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

}  // namespace

int main(int argc, char** argv) {
  use_small_stacks();
  return headrace::cli::run_command_line(argc, argv);
}
