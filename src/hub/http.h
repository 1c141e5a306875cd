// HTTP requests with libcurl: certificates verified, http and https only, time-outs for silence, retries.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/result.h"
#include "hub/url.h"
#include "hub/watch.h"

namespace headrace {

struct HttpPolicy {
  std::filesystem::path ca_bundle;  // a file or folder of certificates; empty: the system's
  std::chrono::milliseconds connect_timeout{20'000};
  std::chrono::milliseconds stall_timeout{30'000};  // without a byte
  int attempts = 5;                                 // in a row without progress, the first included
  std::chrono::milliseconds first_backoff{500};
};

/// What the server said before the body.
struct HttpHead {
  long status = 0;
  std::string content_type;
  std::string content_range;
  std::string etag;
  std::optional<uint64_t> content_length;
};

/// How one attempt ended.
struct HttpOutcome {
  HttpHead head;
  std::string final_address;   // after redirects
  std::optional<Error> error;  // network or cancelled, or what the sink returned
  bool worth_retrying = false;
};

/// Takes the body of a successful answer, piece by piece; an error ends the transfer.
using HttpSink = std::function<Status(const HttpHead& head, std::span<const std::byte> bytes)>;

/// One connection after the other, kept open between requests where the server allows it. Used by one thread.
class HttpSession {
 public:
  explicit HttpSession(HttpPolicy policy);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  /// One attempt. `headers` are whole lines ("Accept: text/html"). An https address is redirected to https
  /// only. Messages name the address without credentials and query. Cancelling takes effect within about a
  /// second.
  HttpOutcome get(const Url& url, const std::vector<std::string>& headers, const HttpSink& sink,
                  const std::atomic<bool>* cancel);

  const HttpPolicy& policy() const { return policy_; }

 private:
  struct Transfer;
  static size_t take_header(char* data, size_t size, size_t count, void* transfer);
  static size_t take_body(char* data, size_t size, size_t count, void* transfer);
  static int watch_over(void* transfer, int64_t, int64_t received, int64_t, int64_t);
  HttpPolicy policy_;
  void* curl_ = nullptr;
};

/// Counts failed attempts and waits between them, each time twice as long.
class Retries {
 public:
  explicit Retries(const HttpPolicy& policy) : policy_(policy), pause_(policy.first_backoff) {}
  /// True after the pause, if another attempt is due; false if there were enough, or on cancellation.
  bool again(bool made_progress, const std::atomic<bool>* cancel);

 private:
  const HttpPolicy& policy_;
  std::chrono::milliseconds pause_;
  int failed_ = 0;
};

struct Page {
  Url address;  // after redirects: links are relative to it
  std::string content_type;
  std::string text;
};

/// A whole answer of at most `max_bytes`, with retries. Fails with network, cancelled, or not_found (404,
/// 410).
Result<Page> fetch_page(HttpSession& session, const Url& url, const std::vector<std::string>& headers,
                        uint64_t max_bytes, const std::atomic<bool>* cancel);

}  // namespace headrace
