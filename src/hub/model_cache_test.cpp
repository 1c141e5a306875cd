#include "hub/model_cache.h"

#include <gtest/gtest.h>

#include <map>

#include "hub/testing/wheels.h"

namespace headrace {
namespace {

Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

RegistryEntry entry_of(const std::string& content) {
  RegistryEntry entry;
  entry.name = "tiny:1m";
  entry.file = "tiny.gguf";
  entry.sha256 = testing::sha256_of(content);
  entry.size = content.size();
  return entry;
}

TEST(CacheFolder, IsTheFirstOfTheThreeThatIsNamed) {
  EXPECT_EQ(cache_folder(environment_of({{"HEADRACE_CACHE", "/c"}, {"XDG_CACHE_HOME", "/x"}, {"HOME", "/h"}}))
                .value(),
            "/c");
  EXPECT_EQ(cache_folder(environment_of({{"XDG_CACHE_HOME", "/x"}, {"HOME", "/h"}})).value(), "/x/headrace");
  EXPECT_EQ(cache_folder(environment_of({{"HOME", "/h"}})).value(), "/h/.cache/headrace");
  EXPECT_EQ(cache_folder(environment_of({})).error().code, Errc::usage);
}

TEST(FindModel, AnExistingPathWinsOverANameAndANameTellsHowToGetIt) {
  const testing::TemporaryFolder folder;
  const std::vector<RegistryEntry> registry = {entry_of("content")};
  const auto missing = find_model(registry, folder.path(), "tiny:1m");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
  EXPECT_NE(missing.error().message.find("run: headrace pull tiny:1m"), std::string::npos);

  const std::filesystem::path file = model_path(folder.path(), registry[0]);
  EXPECT_EQ(file, folder.path() / "models/tiny-1m/tiny.gguf");
  std::filesystem::create_directories(file.parent_path());
  testing::write_file(file, "short");
  EXPECT_FALSE(find_model(registry, folder.path(), "tiny:1m"));
  testing::write_file(file, "content");
  ASSERT_TRUE(mark_verified(registry[0], file));
  EXPECT_EQ(find_model(registry, folder.path(), "tiny:1m").value(), file);

  testing::write_file(file, "CONTENT!");
  const auto changed = find_model(registry, folder.path(), "tiny:1m");
  ASSERT_FALSE(changed);
  EXPECT_NE(changed.error().message.find("has changed since it was verified"), std::string::npos);

  const std::string path = (folder.path() / "models").string();
  EXPECT_EQ(find_model(registry, folder.path(), path).value(), path);
}

TEST(FindModel, AnUnknownNameListsTheKnownOnes) {
  const auto found = find_model({entry_of("content")}, "/nowhere", "no\x1bsuch");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::not_found);
  EXPECT_NE(found.error().message.find("tiny:1m"), std::string::npos);
  EXPECT_EQ(found.error().message.find('\x1b'), std::string::npos);
}

TEST(Verified, EndsWhenTheFileOrTheRegistryChanges) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "tiny.gguf";
  RegistryEntry entry = entry_of("content");
  EXPECT_FALSE(is_verified(entry, file));
  testing::write_file(file, "content");
  EXPECT_FALSE(is_verified(entry, file));
  ASSERT_TRUE(mark_verified(entry, file));
  EXPECT_TRUE(is_verified(entry, file));

  std::filesystem::last_write_time(file, std::filesystem::last_write_time(file) + std::chrono::seconds(1));
  EXPECT_FALSE(is_verified(entry, file));
  ASSERT_TRUE(mark_verified(entry, file));
  entry.sha256 = std::string(64, '0');
  EXPECT_FALSE(is_verified(entry, file));
}

}  // namespace
}  // namespace headrace
