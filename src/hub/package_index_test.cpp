#include "hub/package_index.h"

#include <gtest/gtest.h>

#include "hub/html_links.h"
#include "hub/testing/http_server.h"
#include "hub/testing/wheels.h"

namespace headrace {
namespace {

const std::string kRight(64, 'a');
const std::string kWrong(64, 'b');

WheelSource wanted() {
  return {
      .package = "My.Pkg", .version = "1.0", .sha256 = kRight, .size = 1, .member = "m", .member_size = 1};
}

Page page_of(std::string text, std::string type = "text/html; charset=utf-8") {
  return {Url::parse("https://user:secret@index.org/simple/my-pkg/").value(), std::move(type),
          std::move(text)};
}

TEST(HtmlLinks, ReadsWhatPackageIndexesWrite) {
  const HtmlLinks links = html_links(
      "<!DOCTYPE html><base href='/files/'><!-- <a href=\"no\"> --><A data-x=\"a>b\" "
      "HREF=\"a&amp;b#sha256=0&#x2F;&#47;\""
      ">a</A><a href=plain>x</a><abbr href=\"no\"><a>none</a><a href='&bogus;'/>");
  EXPECT_EQ(links.base, "/files/");
  EXPECT_EQ(links.hrefs, (std::vector<std::string>{"a&b#sha256=0//", "plain", "&bogus;"}));
}

TEST(HtmlLinks, SurvivesEveryTruncation) {
  const std::string html = "<!-- c --><base href='b'><a href=\"x&#x41;\" data-y='1'>t</a><a href=z>";
  for (size_t size = 0; size <= html.size(); ++size) html_links(html.substr(0, size));
  EXPECT_EQ(html_links(html).hrefs.front(), "xA");
}

TEST(ProjectPage, HtmlAndJsonSayTheSame) {
  const Page html = page_of("<a href=\"../../f/my_pkg-1.0-py3-none-any.whl#sha256=" + kRight + "\">w</a>");
  const Page json = page_of(
      R"({"files": [{"filename": "my_pkg-1.0-py3-none-any.whl", "url": "/f/my_pkg-1.0-py3-none-any.whl",
          "hashes": {"sha256": ")" +
          kRight + "\"}}]}",
      "application/vnd.pypi.simple.v1+json");
  for (const Page& page : {html, json}) {
    const std::vector<IndexFile> files = parse_project_page(page).value();
    ASSERT_EQ(files.size(), 1u);
    EXPECT_EQ(files[0].name, "my_pkg-1.0-py3-none-any.whl");
    EXPECT_EQ(files[0].sha256, kRight);
    EXPECT_EQ(files[0].url.address(), "https://index.org/f/my_pkg-1.0-py3-none-any.whl");
    EXPECT_EQ(files[0].url.password(), "secret");
  }
}

TEST(ProjectPage, SurvivesJsonOfWrongShapes) {
  for (const char* text : {"", "{", "[]", "{\"files\": 1}", "null"}) {
    EXPECT_FALSE(parse_project_page(page_of(text, "application/vnd.pypi.simple.v1+json"))) << text;
  }
  const char* odd =
      R"({"files": [1, null, {}, {"filename": 2, "url": "x"}, {"filename": "a", "url": "file:///x"},
                      {"filename": "ok", "url": "x", "hashes": [1]}]})";
  const auto files = parse_project_page(page_of(odd, "application/vnd.pypi.simple.v1+json"));
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ(files->front().sha256, "");
}

class FindWheel : public ::testing::Test {
 protected:
  Result<Url> find(const std::vector<Url>& indexes) {
    HttpSession session(testing::quick_policy());
    return find_wheel(session, indexes, wanted(), nullptr);
  }
  static std::string link(const std::string& name, const std::string& sha256) {
    return "<a href=\"/f/" + name + (sha256.empty() ? "" : "#sha256=" + sha256) + "\">x</a>\n";
  }
};

TEST_F(FindWheel, TakesTheFileOfThePinnedVersionAndChecksum) {
  const testing::HttpServer server([](const testing::HttpRequest& request) {
    EXPECT_EQ(request.path, "/simple/my-pkg/");
    EXPECT_NE(request.headers.at("accept").find("vnd.pypi.simple.v1+json"), std::string::npos);
    testing::HttpReply reply;
    reply.body = link("my_pkg-1.0.tar.gz", kRight) + link("my_pkg-1.0-py2-none-any.whl", "") +
                 link("my_pkg-0.9-py3-none-any.whl", kRight) + link("other-1.0-py3-none-any.whl", kRight) +
                 link("my_pkg-1.0-py3-none-any.whl", kRight);
    return reply;
  });
  EXPECT_EQ(find({Url::parse(server.url("/simple")).value()})->file_name(), "my_pkg-1.0-py3-none-any.whl");
}

TEST_F(FindWheel, LooksInTheNextIndexWhenOneLacksThePackage) {
  const testing::HttpServer server([](const testing::HttpRequest& request) {
    testing::HttpReply reply;
    if (request.path.starts_with("/first")) reply.status = 404;
    if (request.path.starts_with("/second")) reply.body = link("my_pkg-1.0-py3-none-any.whl", kWrong);
    if (request.path.starts_with("/third")) reply.body = link("my_pkg-1.0-py3-none-any.whl", "");
    return reply;
  });
  const Url first = Url::parse(server.url("/first", "user:secret")).value();
  const Url second = Url::parse(server.url("/second", "user:secret")).value();
  const Url third = Url::parse(server.url("/third")).value();
  EXPECT_TRUE(find({first, second, third}));
  const Result<Url> none = find({first, second});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::not_found);
  EXPECT_NE(none.error().message.find(kWrong), std::string::npos);
  EXPECT_NE(none.error().message.find(kRight), std::string::npos);
  EXPECT_NE(none.error().message.find("404"), std::string::npos);
  EXPECT_EQ(none.error().message.find("secret"), std::string::npos);
}

TEST_F(FindWheel, SendsTheCredentialsOfTheIndexAndNeverShowsThem) {
  const testing::HttpServer server([](const testing::HttpRequest& request) {
    testing::HttpReply reply;
    const auto given = request.headers.find("authorization");
    const bool right = given != request.headers.end() && given->second == "Basic dXNlcjpzZWNyZXQ=";
    reply.status = right ? 500 : 401;
    return reply;
  });
  const Result<Url> found = find({Url::parse(server.url("/simple", "user:secret")).value()});
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("500"), std::string::npos) << found.error().message;
  EXPECT_EQ(found.error().message.find("secret"), std::string::npos);
  EXPECT_EQ(found.error().message.find("user"), std::string::npos);
}

TEST_F(FindWheel, CredentialsStayBehindOnARedirectToAnotherServer) {
  const testing::HttpServer other([](const testing::HttpRequest& request) {
    EXPECT_EQ(request.headers.count("authorization"), 0u);
    testing::HttpReply reply;
    reply.body = link("my_pkg-1.0-py3-none-any.whl", kRight);
    return reply;
  });
  const testing::HttpServer server([&](const testing::HttpRequest&) {
    testing::HttpReply reply;
    reply.status = 302;
    reply.headers.emplace_back("Location", other.url("/elsewhere/"));
    return reply;
  });
  const Result<Url> found = find({Url::parse(server.url("/simple", "user:secret")).value()});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found.value().address(), other.url("/f/my_pkg-1.0-py3-none-any.whl"));
  EXPECT_EQ(found.value().password(), "");
}

TEST_F(FindWheel, WithoutAnIndexSaysThatPipIsConfiguredSo) {
  const Result<Url> found = find({});
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("no-index"), std::string::npos);
}

}  // namespace
}  // namespace headrace
