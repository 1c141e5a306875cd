#include "hub/checksum.h"

#include <gtest/gtest.h>

#include "hub/testing/wheels.h"

namespace headrace {
namespace {

TEST(Checksum, AgreesWithThePublishedVectors) {
  EXPECT_EQ(testing::sha256_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(testing::sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Checksum, OfAFileInPiecesEqualsThatOfItsBytes) {
  const testing::TemporaryFolder folder;
  const std::string content = testing::noise(3'000'001);
  testing::write_file(folder.path() / "f", content);
  uint64_t last = 0;
  const Watch watch{.progress = [&](uint64_t done, uint64_t) { last = done; }, .cancel = nullptr};
  EXPECT_EQ(sha256_of_file(folder.path() / "f", watch).value(), testing::sha256_of(content));
  EXPECT_EQ(last, content.size());
}

TEST(Checksum, OfAMissingFileNamesIt) {
  const Result<std::string> sha = sha256_of_file("/no/such/file", {});
  ASSERT_FALSE(sha);
  EXPECT_EQ(sha.error().code, Errc::not_found);
  EXPECT_NE(sha.error().message.find("/no/such/file"), std::string::npos);
}

TEST(Checksum, IsRecognisedBySpelling) {
  EXPECT_TRUE(is_sha256(std::string(64, 'a')));
  EXPECT_FALSE(is_sha256(std::string(63, 'a')));
  EXPECT_FALSE(is_sha256(std::string(64, 'A')));
  EXPECT_FALSE(is_sha256(std::string(64, 'g')));
}

}  // namespace
}  // namespace headrace
