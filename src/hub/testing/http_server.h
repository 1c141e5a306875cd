// A web server for tests, on 127.0.0.1, that can misbehave.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace headrace::testing {

struct HttpRequest {
  std::string path;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct HttpReply {
  static constexpr size_t kAll = std::numeric_limits<size_t>::max();
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  size_t send_only = kAll;  // bytes of the body, after which the connection breaks
  bool stall = false;       // keep the connection open in silence instead of breaking it
  bool say_length = true;
};

/// Answers every request in a thread of its own, one request a connection.
class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpRequest&)>;
  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// "http://127.0.0.1:PORT" + path, with "USER:PASSWORD@" if given.
  std::string url(const std::string& path, const std::string& credentials = "") const;
  std::vector<HttpRequest> requests() const;
  size_t requests_to(const std::string& path) const;
  uint64_t body_bytes_sent() const { return body_bytes_sent_; }

 private:
  void accept_loop();
  void serve(int connection);
  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> body_bytes_sent_ = 0;
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

/// The file with an ETag, or the range of it that the request asks for (if the If-Range tag is still the
/// file's).
HttpReply file_reply(const HttpRequest& request, const std::string& content,
                     const std::string& etag = "\"v1\"");

}  // namespace headrace::testing
