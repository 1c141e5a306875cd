#include "hub/archive.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "hub/testing/wheels.h"

namespace headrace {
namespace {

constexpr size_t kLocalSizeField = 22;
constexpr size_t kCentralSizeField = 24;

class Archive : public ::testing::Test {
 protected:
  Archive() { testing::write_file(out_path_, "before"); }

  Status extract(const std::string& zip, const std::string& member, uint64_t size, const Watch& watch = {}) {
    testing::write_file(zip_path_, zip);
    PartFile out = PartFile::open_to_append(out_path_).value();
    return extract_member(zip_path_, member, size, out, watch);
  }
  std::string out() const { return testing::read_file(out_path_); }
  void expect_refused(const Status& status) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::bad_model) << status.error().message;
    EXPECT_EQ(out(), "before");
  }

  testing::TemporaryFolder folder_;
  const std::filesystem::path inside_ = folder_.path() / "inside";
  const bool made_ = std::filesystem::create_directory(inside_);
  const std::filesystem::path zip_path_ = inside_ / "a.zip";
  const std::filesystem::path out_path_ = inside_ / "out";
};

TEST_F(Archive, AppendsTheNamedMemberOnly) {
  const std::string content = testing::noise(1'000'000);
  const std::string zip = testing::make_zip({{"pkg/other", "x"}, {"pkg/model", content}});
  uint64_t done = 0;
  const Status status = extract(zip, "pkg/model", content.size(),
                                {.progress = [&](uint64_t d, uint64_t) { done = d; }, .cancel = nullptr});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(out() == "before" + content);
  EXPECT_EQ(done, content.size());
}

TEST_F(Archive, MembersThatPointOutsideAreNotTouched) {
  const std::string zip = testing::make_zip({{"../evil", "x"}, {"/tmp/evil", "x"}, {"pkg/model", "content"}});
  ASSERT_TRUE(extract(zip, "pkg/model", 7));
  EXPECT_EQ(testing::names_in(folder_.path()), std::vector<std::string>{"inside"});
  EXPECT_EQ(testing::names_in(inside_), (std::vector<std::string>{"a.zip", "out"}));
  // Even asked for by name, the name is not a path: the bytes go to `out`.
  ASSERT_TRUE(extract(zip, "../evil", 1));
  EXPECT_EQ(testing::names_in(folder_.path()), std::vector<std::string>{"inside"});
}

TEST_F(Archive, RefusesANearlyRightName) {
  const std::string zip = testing::make_zip({{"pkg/Model", "content"}});
  expect_refused(extract(zip, "pkg/model", 7));
  expect_refused(extract(zip, "Model", 7));
}

TEST_F(Archive, RefusesAnotherSizeThanExpected) {
  const std::string zip =
      testing::make_zip({{"m", std::string(50'000'000, '\0')}});  // small to send, large to unpack
  ASSERT_LT(zip.size(), 500'000u);
  expect_refused(extract(zip, "m", 1000));
  expect_refused(extract(zip, "m", 60'000'000));
}

TEST_F(Archive, RefusesAMemberThatUnpacksToMoreOrLessThanItDeclares) {
  for (const uint32_t lie : {1000u, 60'000'000u}) {
    std::string zip = testing::make_zip({{"m", std::string(50'000'000, '\0')}});
    const size_t central = zip.find("PK\x01\x02");
    ASSERT_NE(central, std::string::npos);
    std::memcpy(zip.data() + kLocalSizeField, &lie, sizeof(lie));
    std::memcpy(zip.data() + central + kCentralSizeField, &lie, sizeof(lie));
    expect_refused(extract(zip, "m", lie));
  }
}

TEST_F(Archive, RefusesDamagedBytes) {
  std::string zip = testing::make_zip({{"m", testing::noise(100'000)}});
  zip[50'000] = static_cast<char>(zip[50'000] ^ 1);
  expect_refused(extract(zip, "m", 100'000));
}

TEST_F(Archive, RefusesEveryTruncation) {
  const std::string zip = testing::make_zip({{"m", "content"}});
  for (size_t size = 0; size < zip.size(); ++size) expect_refused(extract(zip.substr(0, size), "m", 7));
}

TEST_F(Archive, CancellingCutsOffWhatItHadWritten) {
  const std::string content = testing::noise(2'000'000);
  std::atomic<bool> cancel = false;
  const Status status = extract(testing::make_zip({{"m", content}}), "m", content.size(),
                                {.progress = [&](uint64_t, uint64_t) { cancel = true; }, .cancel = &cancel});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::cancelled);
  EXPECT_EQ(out(), "before");
}

}  // namespace
}  // namespace headrace
