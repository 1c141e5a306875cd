#include <gtest/gtest.h>

#include "program.h"

namespace headrace::testing {
namespace {

Outcome apply(const std::vector<std::string>& flags, const std::string& json) {
  std::vector<std::string> arguments = {"apply-template"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return headrace(arguments, {.input = json});
}

Outcome apply_model(const std::string& json) {
  return apply({"-m", llama_file()}, json);
}

std::string source_file(const std::string& source) {
  return file_with("template.jinja", source);
}

void expect_refused(const Outcome& outcome, int exit_code, const std::string& part) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("headrace: error: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, part)) << outcome.err;
}

TEST(ApplyTemplate, PrintsThePromptAndNotAByteMore) {
  const Outcome outcome = apply_model(R"({"messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(apply_model(R"({"messages":[],"add_generation_prompt":false})").out, "");
}

TEST(ApplyTemplate, FieldsReachTheTemplateAndTheModelGivesItsTokens) {
  const std::string source =
      source_file("{{ bos_token }}|{{ eos_token }}|{{ mood }}|{{ tools[0].name }}|{{ messages[0].extra }}");
  const std::string json =
      R"({"messages":[{"role":"user","content":null,"extra":3}],"tools":[{"name":"dig"}],)"
      R"("mood":"good"})";
  EXPECT_EQ(apply({"--template", source}, json).out, "||good|dig|3");
  const std::string with = json.substr(0, json.size() - 1) + R"(,"bos_token":"<s>","eos_token":"</s>"})";
  EXPECT_EQ(apply({"--template", source}, with).out, "<s>|</s>|good|dig|3");
  EXPECT_EQ(apply({"-m", llama_file(), "--template", source}, with).out, "<s>|</s>|good|dig|3");
  const Outcome of_model = apply({"-m", llama_file(), "--template", source}, json);
  EXPECT_TRUE(contains(of_model.out, "<|im_end|>|good") || contains(of_model.out, "<|endoftext|>|good"))
      << of_model.out;
  EXPECT_EQ(apply({"--template", source, "--input", file_with("chat.json", with)}, "").out,
            "<s>|</s>|good|dig|3");
}

TEST(ApplyTemplate, WrongTypesAreNamedByField) {
  struct Case {
    const char* json;
    const char* part;
  };
  const Case cases[] = {
      {"[]", "expected an object, found array"},
      {"{}", "messages: missing"},
      {R"({"messages":"hello"})", "messages: expected an array, found string"},
      {R"({"messages":[{"role":"user"},7]})", "messages[1]: expected an object, found number"},
      {R"({"messages":[{"role":1}]})", "messages[0].role: expected a string, found number"},
      {R"({"messages":[],"tools":{}})", "tools: expected an array or null, found object"},
      {R"({"messages":[],"add_generation_prompt":"yes"})", "add_generation_prompt: expected true or false"},
      {R"({"messages":[],"bos_token":null})", "bos_token: expected a string, found null"},
      {R"({"messages":[],"eos_token":1})", "eos_token: expected a string, found number"},
      {R"({"messages":[)", "not JSON: parse error at line 1"},
      {"", "not JSON"},
      {"{\"messages\":[\"\xFF\"]}", "not JSON"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.json);
    expect_refused(apply_model(c.json), 2, c.part);
  }
}

TEST(ApplyTemplate, ARefusalOfTheTemplateNamesFileAndLine) {
  const std::string json = R"({"messages":[]})";
  const std::string raises = source_file("a\nb{{ raise_exception('roles must alternate') }}");
  expect_refused(apply({"--template", raises}, json), 2, "template.jinja line 2");
  expect_refused(apply({"--template", raises}, json), 2, "roles must alternate");
  expect_refused(apply({"--template", source_file("\n\n{% frob %}")}, json), 3, "template.jinja line 3");
  expect_refused(apply({"--template", source_file("{% if %}")}, json), 3, "template.jinja line 1");
  expect_refused(apply({"--template", source_file("{% for i in range(99999) %}{% for j in range(99999) %}"
                                                  "{% endfor %}{% endfor %}")},
                       json),
                 4, "template.jinja");
}

TEST(ApplyTemplate, HugeAndDeepJsonIsRefusedByALimitThatIsNamed) {
  std::string many_keys = R"({"messages":[{"a":1)";
  for (int i = 0; i < 10001; ++i) many_keys += ",\"" + std::to_string(i) + "\":1";
  expect_refused(apply_model(many_keys + "}]}"), 4, "more keys than the limit of 10000");
  expect_refused(apply_model(std::string(3000000, '[')), 4, "deeper than the limit of 200 levels");
  std::string deep = R"({"messages":)";
  for (int i = 0; i < 300; ++i) deep += R"([{"x":)";
  expect_refused(apply_model(deep), 4, "deeper than the limit");
  expect_refused(apply_model(std::string((64 << 20) + 1, ' ')), 4, "67108864 bytes");
}

TEST(ApplyTemplate, ATemplateAndAnInputAreNeeded) {
  expect_refused(apply({}, "{}"), 2, "-m MODEL or --template FILE");
  expect_refused(apply({"-m", gemma3_file()}, "{}"), 2, "no chat template");
  expect_refused(apply({"--template", "/nowhere"}, "{}"), 5, "/nowhere");
  expect_refused(apply({"--template", "-"}, "{}"), 2, "standard input");
  expect_refused(apply({"-m", llama_file(), "--input", "/nowhere"}, ""), 5, "/nowhere");
}

}  // namespace
}  // namespace headrace::testing
