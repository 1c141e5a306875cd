#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "sanitized.h"

namespace headrace::testing {
namespace {

constexpr std::chrono::seconds kPatience{kSanitized ? 300 : 60};
constexpr std::chrono::milliseconds kLook{2};

class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "headrace-cli-XXXXXX").string();
    HEADRACE_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

int gone_reader() {
  int ends[2];
  HEADRACE_CHECK(::pipe(ends) == 0);
  ::close(ends[0]);
  return ends[1];
}

int open_output(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  HEADRACE_CHECK(fd >= 0);
  return fd;
}

[[noreturn]] void become(const std::vector<std::string>& arguments,
                         const std::vector<std::string>& environment, const Surroundings& surroundings,
                         int in, int out, int err) {
  std::vector<char*> argv;
  std::string program = HEADRACE_PROGRAM;
  std::vector<std::string> copies = arguments;
  argv.push_back(program.data());
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<std::string> variables = environment;
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  if (surroundings.file_bytes) {
    const rlimit limit = {*surroundings.file_bytes, *surroundings.file_bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ::execve(program.c_str(), argv.data(), envp.data());
  ::_exit(127);
}

}  // namespace

std::string content_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

const std::filesystem::path& test_folder() {
  static const TestFolder folder;
  return folder.path();
}

std::string file_with(const std::string& name, const std::string& bytes) {
  const std::filesystem::path path = test_folder() / name;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return path.string();
}

std::string llama_file() {
  const std::filesystem::path path = test_folder() / "llama.gguf";
  if (!std::filesystem::exists(path)) HEADRACE_CHECK(static_cast<bool>(tiny_llama().write(path)));
  return path.string();
}

std::string gemma3_file() {
  const std::filesystem::path path = test_folder() / "gemma3.gguf";
  if (!std::filesystem::exists(path)) HEADRACE_CHECK(static_cast<bool>(tiny_gemma3().write(path)));
  return path.string();
}

Outcome headrace(const std::vector<std::string>& arguments, const Surroundings& surroundings) {
  const std::filesystem::path out_path = surroundings.stdout_path.empty()
                                             ? test_folder() / "stdout"
                                             : std::filesystem::path(surroundings.stdout_path);
  const std::filesystem::path err_path = test_folder() / "stderr";
  std::vector<std::string> environment = {"PATH=/usr/bin:/bin", "HOME=" + test_folder().string()};
  for (const auto& [name, value] : surroundings.environment) environment.push_back(name + "=" + value);
  const int in = ::open(file_with("stdin", surroundings.input).c_str(), O_RDONLY);
  const int out = surroundings.reader_gone ? gone_reader() : open_output(out_path);
  const int err = open_output(err_path);

  const pid_t child = ::fork();
  HEADRACE_CHECK(child >= 0);
  if (child == 0) become(arguments, environment, surroundings, in, out, err);
  for (const int fd : {in, out, err}) ::close(fd);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool interrupted = !surroundings.interrupt_when;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (!interrupted && surroundings.interrupt_when(content_of(out_path), content_of(err_path))) {
      ::kill(child, surroundings.signal);
      interrupted = true;
    }
    if (std::chrono::steady_clock::now() > deadline) ::kill(child, SIGKILL);
    std::this_thread::sleep_for(kLook);
  }
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (surroundings.stdout_path.empty() && !surroundings.reader_gone) outcome.out = content_of(out_path);
  outcome.err = content_of(err_path);
  return outcome;
}

}  // namespace headrace::testing
