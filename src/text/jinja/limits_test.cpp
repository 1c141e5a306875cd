// Hostile templates end in an error that names the limit.
#include "text/jinja/limits.h"

#include <gtest/gtest.h>

#include "text/jinja/render_for_test.h"

namespace headrace::jinja {
namespace {

std::string repeated(std::string_view part, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += part;
  return text;
}

Errc code_of(std::string_view source, std::string_view variables = "{}") {
  const auto pieces = render_pieces(source, variables);
  EXPECT_FALSE(pieces) << source.substr(0, 80);
  return pieces ? Errc::cancelled : pieces.error().code;
}

TEST(Limits, NestingIsRefusedWhereverItStands) {
  const size_t n = 100'000;
  EXPECT_EQ(code_of("{{ " + repeated("(", n) + "1" + repeated(")", n) + " }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ " + repeated("[", n) + repeated("]", n) + " }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ " + repeated("not ", n) + "1 }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ " + repeated("-", n) + "1 }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ 1" + repeated(" + 1", n) + " }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ 1" + repeated(" if 1 else 1", 50'000) + " }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ x" + repeated(".a", n) + " }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ x" + repeated("|trim", n) + " }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ x" + repeated("[0]", n) + " }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ x" + repeated("()", n) + " }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of(repeated("{% if 1 %}", 50'000)), Errc::out_of_budget);
  EXPECT_EQ(code_of("{% set " + repeated("(", n) + "a" + repeated(")", n) + " = 1 %}"), Errc::out_of_budget);
}

TEST(Limits, WhatIsNestedJustDeepEnoughRuns) {
  EXPECT_EQ(render("{{ " + repeated("(", 50) + "1" + repeated(")", 50) + repeated(" + 1", 100) + " }}"),
            "101");
  EXPECT_EQ(render(repeated("{% if 1 %}", 100) + "x" + repeated("{% endif %}", 100)), "x");
}

TEST(Limits, ATemplateBeyondTheSizeLimitIsRefused) {
  EXPECT_EQ(code_of(std::string(kMaxTemplateBytes + 1, 'x')), Errc::out_of_budget);
}

TEST(Limits, EndlessRecursionOfMacrosIsRefused) {
  EXPECT_EQ(code_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), Errc::out_of_budget);
  EXPECT_EQ(
      code_of("{% macro a() %}{% if 1 %}{% for x in [1] %}{{ '' ~ (b() | trim) }}{% endfor %}{% endif %}"
              "{% endmacro %}{% macro b(x=a()) %}{{ a() }}{% endmacro %}{{ a() }}"),
      Errc::out_of_budget);
}

TEST(Limits, LoopsAreCounted) {
  const std::string inner = "{% for a in range(100000) %}{% endfor %}";
  EXPECT_NE(render("{% for b in range(11) %}" + inner + "{% endfor %}").find("turns"), std::string::npos);
  EXPECT_EQ(code_of("{{ range(100001) }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ range(9223372036854775807) }}"), Errc::out_of_budget);
}

TEST(Limits, WorkIsCountedWithoutLoopsToo) {
  const std::string big = "{% set r = range(100000) | list %}";
  EXPECT_NE(render(big + "{% for a in r %}{% if -1 in r %}{% endif %}{% endfor %}").find("steps"),
            std::string::npos);
  EXPECT_EQ(
      code_of(
          "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
          "{{ ns.x }}"),
      Errc::out_of_budget);
}

TEST(Limits, DeepDataIsRefusedByAllThatWalksIt) {
  const std::string deep =
      "{% set ns = namespace(x=[], y=[]) %}{% for i in range(50000) %}{% set ns.x = [ns.x] %}{% set ns.y = "
      "[ns.y] %}"
      "{% endfor %}";
  EXPECT_EQ(code_of(deep + "{{ ns.x }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of(deep + "{{ ns.x | tojson }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of(deep + "{{ ns.x == ns.y }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of(deep + "{{ ns.x < ns.y }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ x }}", "{\"x\": " + repeated("[", 1000) + repeated("]", 1000) + "}"),
            Errc::out_of_budget);
}

TEST(Limits, ValuesThatMultiplyAreRefused) {
  EXPECT_EQ(code_of("{{ 'x' * 9223372036854775807 }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ [1] * 9223372036854775807 }}"), Errc::out_of_budget);
  EXPECT_EQ(render("{{ '' * 9223372036854775807 }}{{ [] * 9223372036854775807 }}{{ 'x' * -1 }}"), "[]");
  EXPECT_EQ(code_of("{{ 'x' | indent(9223372036854775807) }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{{ [1] | tojson(indent=9223372036854775807) }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{% set x = 'x' * 100000 %}{{ x.replace('x', x) }}"), Errc::out_of_budget);
  EXPECT_EQ(code_of("{% set x = 'x' * 100000 %}{{ x.join(x) }}"), Errc::out_of_budget);
  EXPECT_EQ(
      code_of(
          "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"),
      Errc::out_of_budget);
  EXPECT_EQ(code_of("{% set x = 'x' * 10000000 %}{% for i in range(20) %}{{ x }}{% endfor %}"),
            Errc::out_of_budget);
}

TEST(Limits, AFormatThatWouldPrintMuchIsRefused) {
  EXPECT_EQ(code_of("{{ strftime_now('%1000000d') }}"), Errc::out_of_budget);
}

TEST(Limits, IntegersThatOverflowAreRefused) {
  for (const std::string_view e :
       {"9223372036854775807 + 1", "-9223372036854775807 - 2", "9223372036854775807 * 2", "2 ** 63",
        "-(-9223372036854775807 - 1)", "(-9223372036854775807 - 1) // -1", "9223372036854775808",
        "'99999999999999999999' | int", "1e30 | int"}) {
    EXPECT_EQ(code_of("{{ " + std::string(e) + " }}"), Errc::unsupported) << e;
  }
  EXPECT_EQ(render("{{ (-9223372036854775807 - 1) % -1 }}"), "0");
  EXPECT_EQ(code_of("{{ x }}", R"({"x": 18446744073709551615})"), Errc::unsupported);
}

TEST(Limits, ALoopThatWasLeftDoesNotAskItsConditionAgain) {
  // The macro's scope is free for others by then; to search it as its own parent would take forever.
  const std::string left =
      "{% set ns = namespace() %}{% macro m() %}{% for x in [1, 2, 3] if x < 2 or missing %}"
      "{% set ns.loop = loop %}{% break %}{% endfor %}{% endmacro %}{{ m() }}";
  EXPECT_EQ(code_of(left + "{{ ns.loop.length }}"), Errc::unsupported);
  EXPECT_EQ(code_of(left + "{{ ns.loop.last }}"), Errc::unsupported);
  EXPECT_EQ(
      render(
          "{% set ns = namespace() %}{% for x in [1, 2, 3] %}{% set ns.loop = loop %}{% break %}{% endfor %}"
          "{{ ns.loop.index }}{{ ns.loop.length }}{{ ns.loop.last }}"),
      "13False");
}

TEST(Limits, ValuesThatPointAtThemselvesAreNoTrouble) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.self = ns %}{% macro m() %}x{% endmacro %}"
                   "{% set ns.m = m %}{{ ns.self.self.m() }}{{ ns == ns.self }}"),
            "xTrue");
}

}  // namespace
}  // namespace headrace::jinja
