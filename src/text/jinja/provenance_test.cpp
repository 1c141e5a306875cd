// No way through a template turns a message into trusted text.
#include <gtest/gtest.h>

#include "text/jinja/render_for_test.h"
#include "text/jinja/text.h"

namespace headrace::jinja {
namespace {

constexpr std::string_view kVariables =
    R"({"c": " <|im_end|> ", "w": "<x>", "l": ["<a>", "<b>"], "d": {"<k>": "<v>"},
                                            "lines": "<1>\n<2>", "n": 7})";

struct Case {
  std::string_view source;
  std::string_view expected;  // untrusted pieces in square brackets
};

class Provenance : public testing::TestWithParam<Case> {};

TEST_P(Provenance, IsKeptByteForByte) {
  EXPECT_EQ(render_marked(GetParam().source, kVariables), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Operations, Provenance,
    testing::Values(
        Case{"<|im_start|>{{ w }}<|im_end|>", "<|im_start|>[<x>]<|im_end|>"},
        Case{"{{ '<|im_start|>' + w + '<|im_end|>' }}", "<|im_start|>[<x>]<|im_end|>"},
        Case{"{{ 'a' ~ w ~ 'b' }}", "a[<x>]b"}, Case{"{{ c | trim }}", "[<|im_end|>]"},
        Case{"{{ c.strip() }}{{ c.lstrip() }}{{ c.rstrip() }}", "[<|im_end|><|im_end|>  <|im_end|>]"},
        Case{"{{ ('a' ~ w ~ 'b')[1:-1] }}{{ ('a' ~ w ~ 'b')[::-1] }}{{ ('a' ~ w)[0] }}", "[<x>]b[>x<]aa"},
        Case{"{{ ('a' ~ w ~ 'b')[::2] }}", "a[x]b"}, Case{"{{ 'a-b' | replace('-', w) }}", "a[<x>]b"},
        Case{"{{ w | replace('x', '<|s|>') }}{{ w.replace('x', 'y') }}", "[<]<|s|>[><]y[>]"},
        Case{"{{ l | join('<sep>') }}{{ w.join(['a', 'b']) }}", "[<a>]<sep>[<b>]a[<x>]b"},
        Case{"{{ w | upper }}{{ ('a' ~ w) | upper }}{{ w.title() }}", "[<X>]A[<X><X>]"},
        Case{"{{ 'straße' | upper }}", "STRASSE"},
        Case{
            "{{ ('t ' ~ w).split() | first }}{{ (w ~ ' t').split(' ')[1] }}{{ ('a' ~ w).partition('<')[2] }}",
            "tt[x>]"},
        Case{"{{ ('t' ~ w) | list | last }}{{ (w ~ 't') | reverse }}", "[>]t[>x<]"},
        Case{"{{ d | tojson }}{{ {'a': '<|im_end|>'} | tojson }}{{ d }}",
             R"([{"<k>": "<v>"}{"a": "<|im_end|>"}{'<k>': '<v>'}])"},
        Case{"{% for k, v in d | items %}{{ k }}:{{ v }}{% endfor %}", "[<k>]:[<v>]"},
        Case{"{% set x = '(' ~ w ~ ')' %}{{ x }}", "([<x>])"},
        Case{"{% set x %}<{{ w }}>{% endset %}{{ x }}", "<[<x>]>"},
        Case{"{% macro m(t) %}<{{ t }}>{% endmacro %}{{ m(w) ~ m('t') }}", "<[<x>]><t>"},
        Case{"{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}{{ w }}!{% endcall %}", "<[<x>]!>"},
        Case{"{% filter upper %}a{{ w }}{% endfilter %}", "A[<X>]"},
        Case{"{% set ns = namespace(t='<s>') %}{% set ns.t = ns.t + w %}{{ ns.t }}", "<s>[<x>]"},
        Case{"{{ lines | indent(1) }}{{ 'a\nb' | indent(1) }}", "[<1>\n <2>]a\n b"},
        Case{"{{ '<|{}|>'.format(w) }}{{ '{}'.format('t') }}{{ w.format() }}{{ '{}'.format(5) }}",
             "<|[<x>]|>t[<x>5]"},
        Case{"{{ '<b>' | safe + w }}{{ w | safe + '<' }}{{ w | safe ~ '<' }}", "<b>[&lt;x&gt;<x>]&lt;[<x>]<"},
        Case{"{{ w | escape }}{{ '<' | e }}", "[&lt;x&gt;]&lt;"}, Case{"{{ w | string | safe }}", "[<x>]"},
        Case{"{{ l | map('upper') | join }}{{ l | map('replace', '<', '<s>') | first }}", "[<A><B>]<s>[a>]"},
        Case{"{{ w * 2 }}{{ 'a' * 2 }}", "[<x><x>]aa"}, Case{"{{ n }}{{ 5 }}{{ none }}", "[75None]"},
        Case{"{{ bos_token }}{{ bos_token + w + eos_token }}", "<s><s>[<x>]</s>"},
        Case{"{{ w if true else '' }}{{ w or 'a' }}{{ missing | default(w) }}", "[<x><x><x>]"},
        Case{"{{ 'a' ~ '' ~ 'b' }}{{ ('<|im' ~ w[0:0] ~ '_end|>') }}", "ab<|im_end|>"}));

TEST(Text, AppendsPartsAcrossRuns) {
  Text text("ab", true);
  text.append("é", false);
  text.append("cd", true);
  EXPECT_EQ(text.characters(), 5u);
  Text part = text.slice(1, 5);
  part.append(text, 4, 4);
  const std::vector<TextPiece> pieces = part.pieces();
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].text, "b");
  EXPECT_EQ(pieces[1].text, "é");
  EXPECT_FALSE(pieces[1].trusted);
  EXPECT_EQ(pieces[2].text, "c");
  EXPECT_TRUE(pieces[2].trusted);
  EXPECT_TRUE(Text().pieces().empty());
}

}  // namespace
}  // namespace headrace::jinja
