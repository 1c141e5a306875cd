// Templates of our own against what jinja2 made of them: see make_golden.py.
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "chat_input.h"
#include "text/chat_template.h"

namespace headrace {
namespace {

using Json = nlohmann::ordered_json;

const std::filesystem::path kFolder = HEADRACE_GOLDEN_TEMPLATES;

std::string source_of(const std::string& name) {
  std::ifstream file(kFolder / "own" / name, std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

TEST(GoldenTemplates, RenderOrRefuseAsJinja2Does) {
  std::map<std::string, ChatTemplate> templates;
  std::map<std::string, int> rendered;
  std::ifstream cases(kFolder / "cases.jsonl");
  for (std::string line; std::getline(cases, line);) {
    const Json one = Json::parse(line);
    const std::string name = one["template"];
    if (!templates.contains(name))
      templates.emplace(name, ChatTemplate::parse(source_of(name), name).value());
    const auto pieces = templates.at(name).render(testing::chat_input(one["input"]));
    if (one["text"].is_null()) {
      EXPECT_FALSE(pieces) << one["input"];
      continue;
    }
    ASSERT_TRUE(pieces) << pieces.error().message << one["input"];
    std::string text;
    for (const TextPiece& piece : *pieces) text += piece.text;
    EXPECT_EQ(text, one["text"].get<std::string>()) << one["input"];
    ++rendered[name];
  }
  EXPECT_GT(rendered["tools.jinja"], 40);
  EXPECT_GT(rendered["alternating.jinja"], 5);
}

}  // namespace
}  // namespace headrace
