#include "hub/testing/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <sstream>

#include "core/result.h"

namespace headrace::testing {
namespace {

constexpr int kPollMs = 10;
constexpr size_t kPieceBytes = 16384;

bool wait_for_input(int socket, const std::atomic<bool>& stopping) {
  while (!stopping) {
    pollfd waiting{socket, POLLIN, 0};
    if (::poll(&waiting, 1, kPollMs) > 0) return true;
  }
  return false;
}

HttpRequest parse(const std::string& text) {
  HttpRequest request;
  std::istringstream lines(text);
  std::string method, line;
  lines >> method >> request.path;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string value = line.substr(colon + 2);
    if (value.ends_with('\r')) value.pop_back();
    request.headers[name] = value;
  }
  return request;
}

}  // namespace

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = static_cast<sockaddr*>(static_cast<void*>(&address));
  HEADRACE_CHECK(::bind(listener_, generic, size) == 0);
  HEADRACE_CHECK(::listen(listener_, 16) == 0);
  HEADRACE_CHECK(::getsockname(listener_, generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_loop(); });
}

HttpServer::~HttpServer() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
  ::close(listener_);
}

void HttpServer::accept_loop() {
  while (wait_for_input(listener_, stopping_)) {
    const int connection = ::accept(listener_, nullptr, nullptr);
    if (connection < 0) continue;
    connections_.emplace_back([this, connection] {
      serve(connection);
      ::close(connection);
    });
  }
}

void HttpServer::serve(int connection) {
  std::string text;
  std::vector<char> buffer(kPieceBytes);
  while (text.find("\r\n\r\n") == std::string::npos) {
    if (!wait_for_input(connection, stopping_)) return;
    const ssize_t got = ::recv(connection, buffer.data(), buffer.size(), 0);
    if (got <= 0) return;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  const HttpRequest request = parse(text);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  const HttpReply reply = handler_(request);
  std::string head = fmt::format("HTTP/1.1 {} Something\r\nConnection: close\r\n", reply.status);
  if (reply.say_length) head += fmt::format("Content-Length: {}\r\n", reply.body.size());
  for (const auto& [name, value] : reply.headers) head += fmt::format("{}: {}\r\n", name, value);
  head += "\r\n";
  ::send(connection, head.data(), head.size(), MSG_NOSIGNAL);
  const size_t end = std::min(reply.send_only, reply.body.size());
  for (size_t at = 0; at < end && !stopping_;) {
    const ssize_t sent =
        ::send(connection, reply.body.data() + at, std::min(kPieceBytes, end - at), MSG_NOSIGNAL);
    if (sent <= 0) return;
    at += static_cast<size_t>(sent);
    body_bytes_sent_ += static_cast<uint64_t>(sent);
  }
  if (reply.stall) wait_for_input(connection, stopping_);  // until the client gives up
}

std::string HttpServer::url(const std::string& path, const std::string& credentials) const {
  return fmt::format("http://{}{}127.0.0.1:{}{}", credentials, credentials.empty() ? "" : "@", port_, path);
}

std::vector<HttpRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

size_t HttpServer::requests_to(const std::string& path) const {
  const std::vector<HttpRequest> all = requests();
  return static_cast<size_t>(
      std::count_if(all.begin(), all.end(), [&](const HttpRequest& r) { return r.path == path; }));
}

HttpReply file_reply(const HttpRequest& request, const std::string& content, const std::string& etag) {
  HttpReply reply;
  reply.headers.emplace_back("ETag", etag);
  reply.body = content;
  const auto range = request.headers.find("range");
  const auto condition = request.headers.find("if-range");
  if (range == request.headers.end()) return reply;
  if (condition != request.headers.end() && condition->second != etag) return reply;
  const size_t from = std::stoul(range->second.substr(std::strlen("bytes=")));
  if (from >= content.size()) {
    reply.status = 416;
    reply.body.clear();
    return reply;
  }
  reply.status = 206;
  reply.headers.emplace_back("Content-Range",
                             fmt::format("bytes {}-{}/{}", from, content.size() - 1, content.size()));
  reply.body = content.substr(from);
  return reply;
}

}  // namespace headrace::testing
