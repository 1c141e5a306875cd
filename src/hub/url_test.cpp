#include "hub/url.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(Url, KeepsCredentialsAndSignaturesOutOfWhatIsShown) {
  const Url url =
      Url::parse("https://us%40er:se%3Acret@example.org:8443/a/b%20c.whl?sig=hidden#sha256=00").value();
  EXPECT_EQ(url.user(), "us@er");
  EXPECT_EQ(url.password(), "se:cret");
  EXPECT_EQ(url.address(), "https://example.org:8443/a/b%20c.whl?sig=hidden");
  EXPECT_EQ(url.display(), "https://example.org:8443/a/b%20c.whl");
  EXPECT_EQ(url.file_name(), "b c.whl");
  EXPECT_EQ(url.fragment(), "sha256=00");
}

TEST(Url, RefusesWhatIsNotHttpWithoutRepeatingIt) {
  for (const char* text : {"file:///etc/passwd", "ftp://user:secret@host/", "user:secret@host/path", "",
                           "http://", "http://user:se/cret@host:notaport/", "javascript:alert(1)"}) {
    const Result<Url> url = Url::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, Errc::usage) << text;
    EXPECT_EQ(url.error().message.find("cret"), std::string::npos) << url.error().message;
  }
}

TEST(Url, LinksKeepCredentialsOnTheSameServerOnly) {
  const Url page = Url::parse("https://user:secret@example.org/simple/pkg/").value();
  const Url sibling = page.resolve("../../files/x.whl").value();
  EXPECT_EQ(sibling.address(), "https://example.org/files/x.whl");
  EXPECT_EQ(sibling.password(), "secret");
  for (const char* elsewhere : {"https://files.example.org/x", "http://example.org/x",
                                "https://example.org:444/x", "//other.org/x"}) {
    EXPECT_EQ(page.resolve(elsewhere).value().password(), "") << elsewhere;
  }
  EXPECT_FALSE(page.resolve("file:///etc/passwd"));
}

TEST(Url, FolderIsTheSameWithAndWithoutASlashAtTheEnd) {
  EXPECT_EQ(Url::parse("http://h/simple").value().folder("pkg").value().address(), "http://h/simple/pkg/");
  EXPECT_EQ(Url::parse("http://h/simple/").value().folder("pkg").value().address(), "http://h/simple/pkg/");
}

}  // namespace
}  // namespace headrace
