#include "hub/download.h"

#include <gtest/gtest.h>

#include <atomic>

#include "hub/testing/http_server.h"
#include "hub/testing/wheels.h"

namespace headrace {
namespace {

using testing::HttpReply;
using testing::HttpRequest;
using testing::HttpServer;

constexpr size_t kSize = 3'000'000;
constexpr size_t kBreak = 1'200'000;

class Download : public ::testing::Test {
 protected:
  Status get(const HttpServer& server, const Watch& watch = {}, HttpPolicy policy = testing::quick_policy()) {
    HttpSession session(std::move(policy));
    return download(session, {Url::parse(server.url("/file?sig=hidden")).value(), target_, kSize, sha256_},
                    watch, {});
  }
  void expect_nothing_left() { EXPECT_EQ(testing::names_in(folder_.path()), std::vector<std::string>{}); }
  void expect_complete() {
    EXPECT_EQ(testing::names_in(folder_.path()), std::vector<std::string>{"model.gguf"});
    EXPECT_TRUE(testing::read_file(target_) == content_);
  }

  const std::string content_ = testing::noise(kSize);
  const std::string sha256_ = testing::sha256_of(content_);
  testing::TemporaryFolder folder_;
  const std::filesystem::path target_ = folder_.path() / "model.gguf";
};

TEST_F(Download, BringsTheFileAndReportsEveryByte) {
  const HttpServer server([&](const HttpRequest& request) { return testing::file_reply(request, content_); });
  uint64_t done = 0, total = 0;
  const Watch watch{.progress =
                        [&](uint64_t d, uint64_t t) {
                          EXPECT_GE(d, done);
                          done = d;
                          total = t;
                        },
                    .cancel = nullptr};
  const Status status = get(server, watch);
  ASSERT_TRUE(status) << status.error().message;
  expect_complete();
  EXPECT_EQ(done, kSize);
  EXPECT_EQ(total, kSize);
}

TEST_F(Download, ContinuesABrokenConnectionWithoutSendingAByteTwice) {
  std::atomic<int> count = 0;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_);
    if (++count == 1) reply.send_only = kBreak;
    return reply;
  });
  const Status status = get(server);
  ASSERT_TRUE(status) << status.error().message;
  expect_complete();
  EXPECT_EQ(server.body_bytes_sent(), kSize);
  EXPECT_EQ(server.requests()[1].headers.at("range"), "bytes=1200000-");
  EXPECT_EQ(server.requests()[1].headers.at("if-range"), "\"v1\"");
}

TEST_F(Download, StartsAgainWhenTheServerIgnoresRanges) {
  std::atomic<int> count = 0;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply({request.path, {}}, content_);
    if (++count == 1) reply.send_only = kBreak;
    return reply;
  });
  ASSERT_TRUE(get(server));
  expect_complete();
  EXPECT_EQ(server.body_bytes_sent(), kSize + kBreak);
}

TEST_F(Download, StartsAgainWhenTheFileHasChangedMeanwhile) {
  std::atomic<int> count = 0;
  const std::string old = testing::noise(kSize, 2);
  const HttpServer server([&](const HttpRequest& request) {
    const bool first = ++count == 1;
    HttpReply reply = testing::file_reply(request, first ? old : content_, first ? "\"old\"" : "\"new\"");
    if (first) reply.send_only = kBreak;
    return reply;
  });
  ASSERT_TRUE(get(server));
  expect_complete();
}

TEST_F(Download, StartsAgainWhenNothingVouchesForThePart) {
  testing::write_file(part_path(target_), testing::noise(kBreak, 3));
  const HttpServer server([&](const HttpRequest& request) {
    EXPECT_EQ(request.headers.count("range"), 0u);
    return testing::file_reply(request, content_);
  });
  ASSERT_TRUE(get(server));
  expect_complete();
}

TEST_F(Download, StartsAgainWhenTheServerRefusesTheRange) {
  testing::write_file(part_path(target_), content_.substr(0, kBreak));
  testing::write_file(tag_path(target_), "\"v1\"");
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_);
    if (request.headers.count("range") != 0) {
      reply.status = 416;
      reply.body.clear();
    }
    return reply;
  });
  ASSERT_TRUE(get(server));
  expect_complete();
}

TEST_F(Download, RefusesARangeThatItDidNotAskFor) {
  testing::write_file(part_path(target_), content_.substr(0, kBreak));
  testing::write_file(tag_path(target_), "\"v1\"");
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_);
    for (auto& [name, value] : reply.headers) {
      if (name == "Content-Range") value = "bytes 0-5/6";
    }
    return reply;
  });
  const Status status = get(server);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("bytes 0-5/6"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(target_));
}

TEST_F(Download, RefusesAFileOfAnotherChecksumAndKeepsNothingOfIt) {
  const std::string other = testing::noise(kSize, 2);
  const HttpServer server([&](const HttpRequest& request) { return testing::file_reply(request, other); });
  const Status status = get(server);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::bad_model);
  EXPECT_NE(status.error().message.find(sha256_), std::string::npos);
  EXPECT_NE(status.error().message.find(testing::sha256_of(other)), std::string::npos);
  expect_nothing_left();
}

TEST_F(Download, RefusesAFileOfAnotherSizeBeforeItsFirstByte) {
  for (const size_t size : {kSize - 1, kSize + 1}) {
    const HttpServer server(
        [&](const HttpRequest& request) { return testing::file_reply(request, testing::noise(size)); });
    const Status status = get(server);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::bad_model);
    EXPECT_NE(status.error().message.find(std::to_string(size)), std::string::npos);
    EXPECT_EQ(server.requests().size(), 1u);
    expect_nothing_left();
  }
}

TEST_F(Download, StopsAtTheExpectedSizeWhenTheServerNamesNone) {
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_ + "x");
    reply.say_length = false;
    return reply;
  });
  const Status status = get(server);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::bad_model);
  expect_nothing_left();
}

TEST_F(Download, TakesAShortAnswerOfUnknownLengthForABrokenOne) {
  std::atomic<int> count = 0;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_);
    reply.say_length = false;
    if (++count == 1) reply.send_only = kBreak;
    return reply;
  });
  ASSERT_TRUE(get(server));
  expect_complete();
  EXPECT_EQ(server.body_bytes_sent(), kSize);
}

TEST_F(Download, TriesAgainAfterATroubledServerButNotAfterARefusal) {
  for (const auto& [status_code, attempts] : {std::pair{503, 3u}, {500, 3u}, {404, 1u}, {403, 1u}}) {
    const HttpServer server([code = status_code](const HttpRequest&) {
      HttpReply reply;
      reply.status = code;
      reply.body = "not the file";
      return reply;
    });
    const Status status = get(server);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, status_code == 404 ? Errc::not_found : Errc::network);
    EXPECT_NE(status.error().message.find(std::to_string(status_code)), std::string::npos);
    EXPECT_EQ(status.error().message.find("hidden"), std::string::npos) << status.error().message;
    EXPECT_EQ(server.requests().size(), attempts);
    EXPECT_FALSE(std::filesystem::exists(target_));
  }
}

TEST_F(Download, SucceedsWhenTheTroubleIsOver) {
  std::atomic<int> count = 0;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_);
    if (++count < 3) reply.status = 503;
    return reply;
  });
  ASSERT_TRUE(get(server));
  expect_complete();
}

TEST_F(Download, GoesOnAsLongAsThereIsProgress) {
  // Every connection breaks; more breaks than attempts.
  HttpPolicy policy = testing::quick_policy();
  policy.attempts = 2;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_);
    reply.send_only = kBreak;
    return reply;
  });
  ASSERT_TRUE(get(server, {}, policy));
  expect_complete();
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST_F(Download, GivesUpOnAServerThatFallsSilent) {
  HttpPolicy policy = testing::quick_policy();
  policy.attempts = 1;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_);
    reply.send_only = kBreak;
    reply.stall = true;
    return reply;
  });
  const Status status = get(server, {}, policy);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::network);
  EXPECT_EQ(testing::read_file(part_path(target_)).size(), kBreak);
}

TEST_F(Download, FollowsRedirectsToHttpOnly) {
  const HttpServer server([&](const HttpRequest& request) {
    if (request.path != "/file?sig=hidden") return testing::file_reply(request, content_);
    HttpReply reply;
    reply.status = 302;
    reply.headers.emplace_back("Location", "/elsewhere");
    return reply;
  });
  ASSERT_TRUE(get(server));
  expect_complete();

  const std::filesystem::path bait = folder_.path() / "bait";
  testing::write_file(bait, content_);
  std::filesystem::remove(target_);
  const HttpServer liar([&](const HttpRequest&) {
    HttpReply reply;
    reply.status = 302;
    reply.headers.emplace_back("Location", "file://" + bait.string());
    return reply;
  });
  const Status status = get(liar);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::network);
  EXPECT_FALSE(std::filesystem::exists(target_));
  EXPECT_EQ(liar.requests().size(), 1u);
}

TEST_F(Download, KeepsThePartWhenCancelledAndContinuesItLater) {
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = testing::file_reply(request, content_);
    if (request.headers.count("range") == 0) {
      reply.send_only = kBreak;
      reply.stall = true;
    }
    return reply;
  });
  std::atomic<bool> cancel = false;
  const Watch watch{.progress = [&](uint64_t done, uint64_t) { cancel = done >= kBreak; }, .cancel = &cancel};
  const Status stopped = get(server, watch);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Errc::cancelled);
  EXPECT_EQ(testing::read_file(part_path(target_)).size(), kBreak);
  ASSERT_TRUE(get(server));
  expect_complete();
  EXPECT_EQ(server.body_bytes_sent(), kSize);
}

TEST_F(Download, NamesTheAddressOfAServerThatIsNotThere) {
  std::string url;
  {
    const HttpServer server([](const HttpRequest&) { return HttpReply{}; });
    url = server.url("/file", "user:secret");
  }
  HttpSession session(testing::quick_policy());
  const Status status = download(session, {Url::parse(url).value(), target_, kSize, sha256_}, {}, {});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::network);
  EXPECT_NE(status.error().message.find("127.0.0.1"), std::string::npos);
  EXPECT_EQ(status.error().message.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace headrace
