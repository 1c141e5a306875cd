#include "hub/http.h"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <ctime>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "core/file.h"

namespace headrace {
namespace {

constexpr long kMaxRedirects = 10;
constexpr auto kMaxBackoff = std::chrono::milliseconds(8'000);
constexpr auto kCancelPoll = std::chrono::milliseconds(20);
constexpr std::string_view kUserAgent = "headrace/0.1";

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// libcurl may write to a connection that the peer has closed; the signal must not end the program.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;
  ~NoSigpipe() {
    const timespec at_once{};
    if (!was_pending_) sigtimedwait(&sigpipe_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t sigpipe_{}, before_{};
  bool was_pending_ = false;
};

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

template <typename Number>
std::optional<Number> whole_number(std::string_view text) {
  Number value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_transient(CURLcode code) {
  constexpr std::array kTransient = {
      CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY,
      CURLE_COULDNT_CONNECT,      CURLE_OPERATION_TIMEDOUT,
      CURLE_PARTIAL_FILE,         CURLE_RECV_ERROR,
      CURLE_SEND_ERROR,           CURLE_GOT_NOTHING,
      CURLE_SSL_CONNECT_ERROR,    CURLE_HTTP2,
      CURLE_HTTP2_STREAM,
  };
  return std::find(kTransient.begin(), kTransient.end(), code) != kTransient.end();
}

bool is_transient(long status) {
  constexpr std::array kTransient = {408L, 425L, 429L, 500L, 502L, 503L, 504L};
  return std::find(kTransient.begin(), kTransient.end(), status) != kTransient.end();
}

bool is_set(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

bool is_success(long status) {
  return status >= 200 && status < 300;
}

template <typename Value>
void set(void* curl, CURLoption option, Value value) {
  HEADRACE_CHECK(curl_easy_setopt(curl, option, value) == CURLE_OK);
}

}  // namespace

struct HttpSession::Transfer {
  const HttpSink& sink;
  const std::atomic<bool>* cancel;
  std::chrono::milliseconds stall_timeout;
  HttpHead head;
  Status sink_status;
  curl_off_t received = 0;
  std::chrono::steady_clock::time_point last_byte = std::chrono::steady_clock::now();
  bool stalled = false;
};

HttpSession::HttpSession(HttpPolicy policy) : policy_(std::move(policy)) {
  static std::once_flag once;
  std::call_once(once, [] { HEADRACE_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
  curl_ = curl_easy_init();
  HEADRACE_CHECK(curl_ != nullptr);
}

HttpSession::~HttpSession() {
  curl_easy_cleanup(curl_);
}

size_t HttpSession::take_header(char* data, size_t size, size_t count, void* transfer) {
  HttpHead& head = static_cast<Transfer*>(transfer)->head;
  const std::string_view line = trim({data, size * count});
  if (line.starts_with("HTTP/")) {
    head = HttpHead{};  // the answer after a redirect or a proxy's
    const std::string_view rest = trim(line.substr(std::min(line.find(' '), line.size())));
    head.status = whole_number<long>(rest.substr(0, rest.find(' '))).value_or(0);
  } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1));
    if (equal_ignoring_case(name, "etag")) head.etag = value;
    if (equal_ignoring_case(name, "content-type")) head.content_type = value;
    if (equal_ignoring_case(name, "content-range")) head.content_range = value;
    if (equal_ignoring_case(name, "content-length")) head.content_length = whole_number<uint64_t>(value);
  }
  return size * count;
}

size_t HttpSession::take_body(char* data, size_t size, size_t count, void* transfer) {
  auto* state = static_cast<Transfer*>(transfer);
  if (!is_success(state->head.status)) return size * count;
  state->sink_status = state->sink(state->head, std::as_bytes(std::span(data, size * count)));
  return state->sink_status ? size * count : 0;
}

// Called by libcurl with every piece, and about once a second while nothing comes. Its own low-speed limit
// averages over several seconds, too blunt for short limits.
int HttpSession::watch_over(void* transfer, curl_off_t, curl_off_t received, curl_off_t, curl_off_t) {
  auto* state = static_cast<Transfer*>(transfer);
  const auto now = std::chrono::steady_clock::now();
  if (std::exchange(state->received, received) != received) state->last_byte = now;
  state->stalled = now - state->last_byte > state->stall_timeout;
  return state->stalled || is_set(state->cancel) ? 1 : 0;
}

HttpOutcome HttpSession::get(const Url& url, const std::vector<std::string>& headers, const HttpSink& sink,
                             const std::atomic<bool>* cancel) {
  Transfer transfer{
      .sink = sink, .cancel = cancel, .stall_timeout = policy_.stall_timeout, .head = {}, .sink_status = {}};
  std::array<char, CURL_ERROR_SIZE> detail{};
  std::unique_ptr<curl_slist, FreeList> lines;
  for (const std::string& header : headers) {
    curl_slist* longer = curl_slist_append(lines.get(), header.c_str());
    HEADRACE_CHECK(longer != nullptr);
    static_cast<void>(lines.release());
    lines.reset(longer);
  }

  curl_easy_reset(curl_);  // keeps connections
  set(curl_, CURLOPT_URL, url.address().c_str());
  set(curl_, CURLOPT_PROTOCOLS_STR, "http,https");
  set(curl_, CURLOPT_REDIR_PROTOCOLS_STR, url.is_https() ? "https" : "http,https");
  set(curl_, CURLOPT_FOLLOWLOCATION, 1L);
  set(curl_, CURLOPT_MAXREDIRS, kMaxRedirects);
  set(curl_, CURLOPT_SSL_VERIFYPEER, 1L);
  set(curl_, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!policy_.ca_bundle.empty()) {
    std::error_code ignored;
    const bool folder = std::filesystem::is_directory(policy_.ca_bundle, ignored);
    set(curl_, folder ? CURLOPT_CAPATH : CURLOPT_CAINFO, policy_.ca_bundle.c_str());
  }
  if (!url.user().empty() || !url.password().empty()) {
    set(curl_, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    set(curl_, CURLOPT_USERNAME, url.user().c_str());
    set(curl_, CURLOPT_PASSWORD, url.password().c_str());
  }
  set(curl_, CURLOPT_NOSIGNAL, 1L);
  set(curl_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(policy_.connect_timeout.count()));
  set(curl_, CURLOPT_USERAGENT, kUserAgent.data());
  set(curl_, CURLOPT_HTTPHEADER, lines.get());
  set(curl_, CURLOPT_ERRORBUFFER, detail.data());
  set(curl_, CURLOPT_HEADERFUNCTION, &HttpSession::take_header);
  set(curl_, CURLOPT_HEADERDATA, &transfer);
  set(curl_, CURLOPT_WRITEFUNCTION, &HttpSession::take_body);
  set(curl_, CURLOPT_WRITEDATA, &transfer);
  set(curl_, CURLOPT_NOPROGRESS, 0L);
  set(curl_, CURLOPT_XFERINFOFUNCTION, &HttpSession::watch_over);
  set(curl_, CURLOPT_XFERINFODATA, &transfer);

  CURLcode code = CURLE_OK;
  {
    const NoSigpipe guard;
    code = curl_easy_perform(curl_);
  }

  HttpOutcome outcome;
  outcome.head = std::move(transfer.head);
  const char* final_address = nullptr;
  if (curl_easy_getinfo(curl_, CURLINFO_EFFECTIVE_URL, &final_address) == CURLE_OK &&
      final_address != nullptr) {
    outcome.final_address = final_address;
  }
  set(curl_, CURLOPT_ERRORBUFFER, static_cast<char*>(nullptr));

  if (code == CURLE_ABORTED_BY_CALLBACK && transfer.stalled) {
    outcome.error = make_error(Errc::network, "{}: the server sent nothing for {} ms", url.display(),
                               policy_.stall_timeout.count());
    outcome.worth_retrying = true;
  } else if (code == CURLE_ABORTED_BY_CALLBACK) {
    outcome.error = make_error(Errc::cancelled, "{}: cancelled", url.display());
  } else if (!transfer.sink_status) {
    outcome.error = transfer.sink_status.error();
  } else if (code != CURLE_OK) {
    const std::string why = detail[0] != '\0' ? detail.data() : curl_easy_strerror(code);
    outcome.error = make_error(Errc::network, "{}: {}", url.display(), printable(why, CURL_ERROR_SIZE));
    outcome.worth_retrying = is_transient(code);
  } else if (!is_success(outcome.head.status)) {
    const bool gone = outcome.head.status == 404 || outcome.head.status == 410;
    outcome.error = make_error(gone ? Errc::not_found : Errc::network,
                               "{}: the server answered with status {}", url.display(), outcome.head.status);
    outcome.worth_retrying = is_transient(outcome.head.status);
  }
  return outcome;
}

bool Retries::again(bool made_progress, const std::atomic<bool>* cancel) {
  if (made_progress) {
    failed_ = 0;
    pause_ = policy_.first_backoff;
  }
  if (++failed_ >= policy_.attempts) return false;
  const auto until = std::chrono::steady_clock::now() + pause_;
  pause_ = std::min<std::chrono::milliseconds>(2 * pause_, kMaxBackoff);
  while (!is_set(cancel) && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(kCancelPoll);
  return !is_set(cancel);
}

Result<Page> fetch_page(HttpSession& session, const Url& url, const std::vector<std::string>& headers,
                        uint64_t max_bytes, const std::atomic<bool>* cancel) {
  Retries retries(session.policy());
  while (true) {
    std::string text;
    const auto collect = [&](const HttpHead&, std::span<const std::byte> bytes) -> Status {
      if (bytes.size() > max_bytes - text.size()) {
        return make_error(Errc::network, "{}: the page has more than {}", url.display(),
                          human_bytes(max_bytes));
      }
      text.append(
          std::string_view(static_cast<const char*>(static_cast<const void*>(bytes.data())), bytes.size()));
      return {};
    };
    HttpOutcome outcome = session.get(url, headers, collect, cancel);
    if (!outcome.error) {
      // Resolved against the request, so that a redirect elsewhere loses the credentials.
      HEADRACE_TRY(Url address, url.resolve(outcome.final_address));
      return Page{std::move(address), std::move(outcome.head.content_type), std::move(text)};
    }
    if (!outcome.worth_retrying || !retries.again(/*made_progress=*/false, cancel)) return *outcome.error;
  }
}

}  // namespace headrace
